/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stored WAL is walback's own: commits (sets of pages) framed with
 * walback's header, salts and running checksum.  A synth is the place in a
 * stored index where the next frame goes.  No I/O; the caller owns it by value.
 */
#ifndef WAL_SYNTH_H
#define WAL_SYNTH_H

#include "wal/frame.h"
#include "wal/pos.h"

struct synth {
	struct wal_header header; /* of the current index */
	struct wal_sum sum;
	struct wal_pos
		pos; /* where the next byte goes; offset 0: the header is not written yet */
};

/* At offset 0 of an index, with fresh random salts. */
void synth_init(struct synth *s, uint32_t page_size, uint32_t index);
/* The 32 bytes of the index's header (pos.offset must be 0); moves to 32. */
void synth_header(struct synth *s, uint8_t out[WAL_HEADER_SIZE]);
/* The 24 bytes in front of this page; commit as in struct wal_frame.  Moves on by 24 + page size. */
void synth_frame(struct synth *s, uint32_t pgno, uint32_t commit, const uint8_t *page,
		 uint8_t out[WAL_FRAME_HEADER_SIZE]);
/* Go to offset 0 of the next index, with fresh salts. */
void synth_next_index(struct synth *s);

#endif
