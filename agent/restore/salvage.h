/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects without a trailer whose shape or name is not what Litestream writes:
 * bytes behind the LZ4 frame, several frames, a range that overlaps its
 * neighbour, a wrong offset in the name.  What is in them may still be proven
 * by the running checksum of its frames.  Whole objects in memory.
 */
#ifndef AGENT_SALVAGE_H
#define AGENT_SALVAGE_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define SALVAGE_RAW_MAX ((size_t)128 << 20) /* uncompressed bytes of one object */

enum salvage_shape {
	SALVAGE_FOREIGN, /* does not begin with an LZ4 or skippable frame, or holds no data frame */
	SALVAGE_CUT,	 /* its first data frame is cut short */
	SALVAGE_PLAIN,	 /* one data frame, nothing but skippable frames around it */
	SALVAGE_GARBAGE, /* one data frame, then bytes that are no frame */
	SALVAGE_SEVERAL, /* several data frames */
};

/* By the lengths in the frames alone; nothing is decompressed.  *used: the bytes up to the end of the last whole
 * frame. */
enum salvage_shape salvage_shape(const uint8_t *p, size_t n, size_t *used);

/* Decompress all data frames, leave out the first `skip` raw bytes, and append the rest to out as one LZ4 frame, which a
 * segment reader takes.  *raw_len: uncompressed bytes in all.  When there are not more than
 * skip, nothing is appended.  ERR_CORRUPT: not LZ4, damaged, or larger than SALVAGE_RAW_MAX. */
MUST_CHECK int salvage_repack(const uint8_t *p, size_t n, uint64_t skip, struct buf *out,
			      uint64_t *raw_len, struct err *e);

#endif
