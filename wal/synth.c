/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/synth.h"

#include "base/clock.h"

#include <assert.h>

void synth_init(struct synth *s, uint32_t page_size, uint32_t index)
{
	*s = (struct synth){
		.header = { .page_size = page_size, .ckpt_seq = index },
		.pos = { index, 0 },
	};
	random_bytes(s->header.salt, sizeof s->header.salt);
}

void synth_header(struct synth *s, uint8_t out[WAL_HEADER_SIZE])
{
	assert(!s->pos.offset);
	wal_header_format(out, &s->header);
	s->sum = s->header.sum;
	s->pos.offset = WAL_HEADER_SIZE;
}

void synth_frame(struct synth *s, uint32_t pgno, uint32_t commit, const uint8_t *page,
		 uint8_t out[WAL_FRAME_HEADER_SIZE])
{
	assert(s->pos.offset >= WAL_HEADER_SIZE && pgno);
	wal_frame_format(out, &s->header, &s->sum, pgno, commit, page);
	s->pos.offset += WAL_FRAME_HEADER_SIZE + (uint64_t)s->header.page_size;
}

void synth_next_index(struct synth *s)
{
	synth_init(s, s->header.page_size, s->pos.index + 1);
}
