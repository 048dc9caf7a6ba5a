/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3-64 (seed 0), CRC-32C, SHA-256, MD5, HMAC-SHA256: whole buffers and streams.
 * SHA-256, MD5 and HMAC abort with a message when OpenSSL refuses them. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_xxh3(const void *p, size_t n);
/* XXH3-64 of (big-endian u32 pgno || page): docs/format.md, db_sum. */
uint64_t hash_page(uint32_t pgno, const uint8_t *page, size_t page_size);

struct hash_stream; /* XXH3-64, streaming */
struct hash_stream *hash_stream_new(void);
void hash_stream_add(struct hash_stream *h, const void *p, size_t n);
uint64_t hash_stream_value(const struct hash_stream *h);
void hash_stream_reset(struct hash_stream *h);
void hash_stream_destroy(struct hash_stream *h);

uint32_t hash_crc32c(const void *p, size_t n); /* Castagnoli, reflected, as in iSCSI */
uint32_t hash_crc32c_plain(const void *p,
			   size_t n); /* the same without special instructions */
void hash_sha256(const void *p, size_t n, uint8_t out[32]);
void hash_sha256_hex(const void *p, size_t n, char out[65]);
void hash_md5(const void *p, size_t n, uint8_t out[16]);
void hash_md5_base64(const void *p, size_t n, char out[25]);
void hash_hmac_sha256(const void *key, size_t key_len, const void *p, size_t n,
		      uint8_t out[32]);

struct hash_sha; /* SHA-256, streaming */
struct hash_sha *hash_sha_new(void);
void hash_sha_add(struct hash_sha *h, const void *p, size_t n);
void hash_sha_end_hex(struct hash_sha *h, char out[65]); /* ends and destroys */
void hash_sha_destroy(struct hash_sha *h);		 /* without ending; NULL is fine */

#endif
