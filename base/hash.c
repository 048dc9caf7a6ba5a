/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "base/text.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Compiled in: the state's size is no part of the shared library's interface, and ours
 * lies on the stack. */
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { SMALL_PAGE = 1024 };

uint64_t hash_xxh3(const void *p, size_t n)
{
	return XXH3_64bits(p, n);
}

/* A stream hashes the page where it lies; only for small pages is a copy cheaper than the
 * start of a stream (measured: 512 bytes 6.5 against 3.3 GB/s, 4096 bytes 8.6 against 9.5). */
uint64_t hash_page(uint32_t pgno, const uint8_t *page, size_t page_size)
{
	uint8_t small[4 + SMALL_PAGE];
	XXH3_state_t stream;

	put_be32(small, pgno);
	if (page_size <= SMALL_PAGE) {
		memcpy(small + 4, page, page_size);
		return XXH3_64bits(small, 4 + page_size);
	}
	XXH3_INITSTATE(&stream);
	XXH3_64bits_reset(&stream);
	XXH3_64bits_update(&stream, small, 4);
	XXH3_64bits_update(&stream, page, page_size);
	return XXH3_64bits_digest(&stream);
}

struct hash_stream {
	XXH3_state_t *xxh; /* apart, because it wants 64-byte alignment */
};

struct hash_stream *hash_stream_new(void)
{
	struct hash_stream *h = mem_alloc(sizeof(*h));

	h->xxh = XXH3_createState();
	if (!h->xxh)
		abort();
	hash_stream_reset(h);
	return h;
}

void hash_stream_add(struct hash_stream *h, const void *p, size_t n)
{
	XXH3_64bits_update(h->xxh, p, n);
}

uint64_t hash_stream_value(const struct hash_stream *h)
{
	return XXH3_64bits_digest(h->xxh);
}

void hash_stream_reset(struct hash_stream *h)
{
	XXH3_64bits_reset(h->xxh);
}

void hash_stream_destroy(struct hash_stream *h)
{
	if (!h)
		return;
	XXH3_freeState(h->xxh);
	free(h);
}

/* Polynomial 0x1edc6f41, reflected; the remainders of each half byte. */
uint32_t hash_crc32c_plain(const void *p, size_t n)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
		0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};

	uint32_t crc = UINT32_MAX;

	for (const uint8_t *at = p; n; n--, at++) {
		crc ^= *at;
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc,
							       const uint8_t *p, size_t n)
{
	uint64_t wide = crc;

	for (; n >= 8; n -= 8, p += 8)
		wide = __builtin_ia32_crc32di(wide, get_le64(p));
	crc = (uint32_t)wide;
	for (; n; n--, p++)
		crc = __builtin_ia32_crc32qi(crc, *p);
	return crc;
}
#endif

uint32_t hash_crc32c(const void *p, size_t n)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc32c_sse42(UINT32_MAX, p, n);
#endif
	return hash_crc32c_plain(p, n);
}

/* OpenSSL is started by the first digest, not before: most commands need none. */
static struct digest {
	const char *name;
	EVP_MD *md;
	pthread_once_t once;
} sha256_digest = { "SHA256", NULL, PTHREAD_ONCE_INIT },
  md5_digest = { "MD5", NULL, PTHREAD_ONCE_INIT };

_Noreturn static void refused(const char *what)
{
	fprintf(stderr,
		"walback: OpenSSL refuses %s; if this system runs in FIPS mode, allow it "
		"in "
		"openssl.cnf\n",
		what);
	abort();
}

static void fetch(struct digest *d)
{
	d->md = EVP_MD_fetch(NULL, d->name, NULL);
	if (!d->md)
		refused(d->name);
}

static void fetch_sha256(void)
{
	fetch(&sha256_digest);
}

static void fetch_md5(void)
{
	fetch(&md5_digest);
}

static const EVP_MD *sha256(void)
{
	pthread_once(&sha256_digest.once, fetch_sha256);
	return sha256_digest.md;
}

static const EVP_MD *md5(void)
{
	pthread_once(&md5_digest.once, fetch_md5);
	return md5_digest.md;
}

static void must(int ok, const char *what)
{
	if (ok != 1)
		refused(what);
}

void hash_sha256(const void *p, size_t n, uint8_t out[32])
{
	must(EVP_Digest(p, n, out, NULL, sha256(), NULL), "SHA256");
}

void hash_sha256_hex(const void *p, size_t n, char out[65])
{
	uint8_t sum[32];

	hash_sha256(p, n, sum);
	text_hex(sum, sizeof(sum), out);
}

void hash_md5(const void *p, size_t n, uint8_t out[16])
{
	must(EVP_Digest(p, n, out, NULL, md5(), NULL), "MD5");
}

void hash_md5_base64(const void *p, size_t n, char out[25])
{
	uint8_t sum[16];

	hash_md5(p, n, sum);
	EVP_EncodeBlock((unsigned char *)out, sum, sizeof(sum));
}

void hash_hmac_sha256(const void *key, size_t key_len, const void *p, size_t n,
		      uint8_t out[32])
{
	if (key_len > INT32_MAX)
		abort();
	must(HMAC(sha256(), key, (int)key_len, p, n, out, NULL) != NULL, "HMAC-SHA256");
}

struct hash_sha {
	EVP_MD_CTX *ctx;
};

struct hash_sha *hash_sha_new(void)
{
	struct hash_sha *h = mem_alloc(sizeof(*h));

	h->ctx = EVP_MD_CTX_new();
	must(h->ctx && EVP_DigestInit_ex2(h->ctx, sha256(), NULL), "SHA256");
	return h;
}

void hash_sha_add(struct hash_sha *h, const void *p, size_t n)
{
	must(EVP_DigestUpdate(h->ctx, p, n), "SHA256");
}

void hash_sha_end_hex(struct hash_sha *h, char out[65])
{
	uint8_t sum[32];

	must(EVP_DigestFinal_ex(h->ctx, sum, NULL), "SHA256");
	text_hex(sum, sizeof(sum), out);
	hash_sha_destroy(h);
}

void hash_sha_destroy(struct hash_sha *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}
