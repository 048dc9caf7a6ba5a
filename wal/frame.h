/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite's write-ahead log: the 32-byte header, the 24-byte frame headers and
 * the running checksum (sqlite.org/fileformat2.html, section 4).
 *
 * All integers are big-endian; the checksum runs over 32-bit words in the
 * order that the magic's last bit tells (0x377f0682 little-endian words,
 * 0x377f0683 big-endian).
 */
#ifndef WAL_FRAME_H
#define WAL_FRAME_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WAL_HEADER_SIZE 32
#define WAL_FRAME_HEADER_SIZE 24
#define WAL_MAGIC 0x377f0682U
#define WAL_VERSION 3007000U

struct wal_sum {
	uint32_t s0, s1;
};

struct wal_header {
	bool big_endian; /* the order of the checksum's words */
	uint32_t page_size, ckpt_seq, salt[2];
	struct wal_sum sum; /* of bytes 0..23: the first frame continues it */
};

struct wal_frame {
	uint32_t pgno;
	uint32_t
		commit; /* database size in pages after the commit; 0: not a commit frame */
	uint32_t salt[2];
	struct wal_sum sum;
};

/* Decodes and checks magic, version, page size and the header's own checksum (ERR_CORRUPT). */
MUST_CHECK int wal_header_parse(struct wal_header *out, const uint8_t *p, size_t n,
				struct err *e);
/* Fills the 32 bytes and h->sum. */
void wal_header_format(uint8_t out[WAL_HEADER_SIZE], struct wal_header *h);

void wal_frame_parse(struct wal_frame *out, const uint8_t p[WAL_FRAME_HEADER_SIZE]);

/* n is a multiple of 8. */
void wal_sum_add(struct wal_sum *s, bool big_endian, const uint8_t *p, size_t n);

/* Is this header and page the next frame after *sum under h?  On true *sum moves on. */
bool wal_frame_verify(const struct wal_header *h, struct wal_sum *sum,
		      const uint8_t hdr[WAL_FRAME_HEADER_SIZE], const uint8_t *page);
/* The frame header that continues *sum; moves it on. */
void wal_frame_format(uint8_t out[WAL_FRAME_HEADER_SIZE], const struct wal_header *h,
		      struct wal_sum *sum, uint32_t pgno, uint32_t commit,
		      const uint8_t *page);

static inline uint64_t wal_frame_offset(uint32_t page_size, uint64_t frame_no_from_0)
{
	return WAL_HEADER_SIZE +
	       frame_no_from_0 * (WAL_FRAME_HEADER_SIZE + (uint64_t)page_size);
}

#endif
