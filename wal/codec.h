/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed streams: zstd, and LZ4 frames that every Litestream 0.3 and 0.5
 * reads (independent blocks, content checksum on, block checksums off, no
 * dictionary).  The only user of libzstd and liblz4.
 */
#ifndef WAL_CODEC_H
#define WAL_CODEC_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum codec { CODEC_ZST, CODEC_LZ4 };

const char *codec_suffix(enum codec c); /* "zst", "lz4" */

/* One frame, appended to out piece by piece.  small: the whole input is under 64 KiB, say. */
struct encoder;
struct encoder *encoder_new(enum codec c, struct buf *out);
void encoder_add(struct encoder *x, const void *p, size_t n);
void encoder_end_frame(
	struct encoder *x); /* finish the frame; the next add begins another */
void encoder_destroy(struct encoder *x);

/* One independent frame of all n bytes (a snapshot chunk). */
void codec_compress(enum codec c, const void *p, size_t n, struct buf *out);
/* Exactly raw_len bytes come out of exactly n, or ERR_CORRUPT. */
MUST_CHECK int codec_decompress(enum codec c, const void *p, size_t n, uint8_t *out,
				size_t raw_len, struct err *e);

/* Push decoder.  Skippable frames are passed over; LZ4: exactly one data frame (anything but
 * skippable frames after it is ERR_CORRUPT); zstd: one or more.  sink gets raw bytes as they
 * come and returns -1 (with *e set) to stop. */
struct decoder;
struct decoder *decoder_new(enum codec c,
			    int (*sink)(void *arg, const uint8_t *p, size_t n,
					struct err *e),
			    void *arg);
MUST_CHECK int decoder_push(struct decoder *d, const uint8_t *p, size_t n, struct err *e);
/* The input is over: ERR_CORRUPT if it ended inside a frame or held no data frame. */
MUST_CHECK int decoder_finish(struct decoder *d, struct err *e);
void decoder_destroy(struct decoder *d);

#endif
