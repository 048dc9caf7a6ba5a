/* SPDX-License-Identifier: Apache-2.0 */
/*
 *  header, 32 bytes                       frame header, 24 bytes
 *   0  magic                               0  page number
 *   4  format version 3007000              4  pages after the commit, or 0
 *   8  page size                           8  salt-1   12  salt-2
 *  12  checkpoint sequence                16  checksum-1   20  checksum-2
 *  16  salt-1   20  salt-2
 *  24  checksum-1   28  checksum-2
 *
 * The checksum is a pair that starts at (0, 0): for each two words x0, x1,
 * s0 += x0 + s1, s1 += x1 + s0.  The header's covers its first 24 bytes; a
 * frame's goes on from the one before over the first 8 bytes of its header
 * and the page.
 */
#include "wal/frame.h"

#include "base/bytes.h"
#include "wal/dbhdr.h"

#include <string.h>

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define HOST_BIG_ENDIAN true
#else
#define HOST_BIG_ENDIAN false
#endif

static inline uint32_t word(const uint8_t *p, bool swap)
{
	uint32_t x;

	memcpy(&x, p, sizeof x);
	return swap ? __builtin_bswap32(x) : x;
}

/* Two words.  Each is added to its own sum first, since the other sum is the one that arrives late. */
static inline __attribute__((always_inline)) void step(struct wal_sum *s, bool swap,
						       const uint8_t *p)
{
	s->s0 = (s->s0 + word(p, swap)) + s->s1;
	s->s1 = (s->s1 + word(p + 4, swap)) + s->s0;
}

static inline __attribute__((always_inline)) void sum_words(struct wal_sum *out, bool swap,
							    const uint8_t *p, size_t n)
{
	struct wal_sum s = *out;

	for (; n >= 32; p += 32, n -= 32) {
		step(&s, swap, p);
		step(&s, swap, p + 8);
		step(&s, swap, p + 16);
		step(&s, swap, p + 24);
	}
	for (; n >= 8; p += 8, n -= 8)
		step(&s, swap, p);
	*out = s;
}

void wal_sum_add(struct wal_sum *s, bool big_endian, const uint8_t *p, size_t n)
{
	if (big_endian != HOST_BIG_ENDIAN)
		sum_words(s, true, p, n);
	else
		sum_words(s, false, p, n);
}

int wal_header_parse(struct wal_header *out, const uint8_t *p, size_t n, struct err *e)
{
	struct wal_sum sum = { 0, 0 };

	if (n < WAL_HEADER_SIZE)
		return err_set(e, ERR_CORRUPT, "a WAL header has %d bytes, here are %zu",
			       WAL_HEADER_SIZE, n);
	uint32_t magic = get_be32(p), page_size = get_be32(p + 8);

	if ((magic & ~1U) != WAL_MAGIC)
		return err_set(e, ERR_CORRUPT, "not a WAL header: magic %08x", magic);
	if (get_be32(p + 4) != WAL_VERSION)
		return err_set(e, ERR_CORRUPT, "WAL format version %u, known is %u",
			       get_be32(p + 4), WAL_VERSION);
	if (!db_page_size_ok(page_size))
		return err_set(e, ERR_CORRUPT, "the WAL header's page size is %u",
			       page_size);
	wal_sum_add(&sum, magic & 1, p, 24);
	if (sum.s0 != get_be32(p + 24) || sum.s1 != get_be32(p + 28))
		return err_set(e, ERR_CORRUPT, "the WAL header's checksum is wrong");
	*out = (struct wal_header){
		.big_endian = magic & 1,
		.page_size = page_size,
		.ckpt_seq = get_be32(p + 12),
		.salt = { get_be32(p + 16), get_be32(p + 20) },
		.sum = sum,
	};
	return 0;
}

void wal_header_format(uint8_t out[WAL_HEADER_SIZE], struct wal_header *h)
{
	put_be32(out, WAL_MAGIC | (h->big_endian ? 1 : 0));
	put_be32(out + 4, WAL_VERSION);
	put_be32(out + 8, h->page_size);
	put_be32(out + 12, h->ckpt_seq);
	put_be32(out + 16, h->salt[0]);
	put_be32(out + 20, h->salt[1]);
	h->sum = (struct wal_sum){ 0, 0 };
	wal_sum_add(&h->sum, h->big_endian, out, 24);
	put_be32(out + 24, h->sum.s0);
	put_be32(out + 28, h->sum.s1);
}

void wal_frame_parse(struct wal_frame *out, const uint8_t p[WAL_FRAME_HEADER_SIZE])
{
	*out = (struct wal_frame){
		.pgno = get_be32(p),
		.commit = get_be32(p + 4),
		.salt = { get_be32(p + 8), get_be32(p + 12) },
		.sum = { get_be32(p + 16), get_be32(p + 20) },
	};
}

bool wal_frame_verify(const struct wal_header *h, struct wal_sum *sum,
		      const uint8_t hdr[WAL_FRAME_HEADER_SIZE], const uint8_t *page)
{
	struct wal_frame f;
	struct wal_sum s = *sum;

	wal_frame_parse(&f, hdr);
	if (!f.pgno || f.salt[0] != h->salt[0] || f.salt[1] != h->salt[1])
		return false;
	wal_sum_add(&s, h->big_endian, hdr, 8);
	wal_sum_add(&s, h->big_endian, page, h->page_size);
	if (s.s0 != f.sum.s0 || s.s1 != f.sum.s1)
		return false;
	*sum = s;
	return true;
}

void wal_frame_format(uint8_t out[WAL_FRAME_HEADER_SIZE], const struct wal_header *h,
		      struct wal_sum *sum, uint32_t pgno, uint32_t commit,
		      const uint8_t *page)
{
	put_be32(out, pgno);
	put_be32(out + 4, commit);
	put_be32(out + 8, h->salt[0]);
	put_be32(out + 12, h->salt[1]);
	wal_sum_add(sum, h->big_endian, out, 8);
	wal_sum_add(sum, h->big_endian, page, h->page_size);
	put_be32(out + 16, sum->s0);
	put_be32(out + 20, sum->s1);
}
