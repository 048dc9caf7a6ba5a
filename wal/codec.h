/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed streams: zstd, and LZ4 frames that every Litestream 0.3 and 0.5
 * reads (independent blocks, content checksum on, block checksums off, no
 * dictionary).  The only user of libzstd and liblz4.
 *
 * Memory: an encoder holds at most 128 KiB of input (zst) or one block (lz4)
 * and allocates a compression state only when it has something to compress;
 * a decoder holds a window, at most 8 MiB (a zstd frame that wants more is
 * ERR_CORRUPT; an lz4 frame with Litestream's 4 MiB blocks costs two blocks).
 * Objects belong to one thread at a time; the functions may be called from
 * any.  A few used decoders are kept for reuse: codec_trim() frees them.
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

/* One frame, appended to out piece by piece. */
struct encoder;
struct encoder *encoder_new(enum codec c, struct buf *out);
void encoder_add(struct encoder *x, const void *data, size_t n);
void encoder_end_frame(
	struct encoder *x); /* finish the frame; the next add begins another */
void encoder_destroy(struct encoder *x);

/* One independent frame of all n bytes (a snapshot chunk). */
void codec_compress(enum codec c, const void *p, size_t n, struct buf *out);
/* Exactly raw_len bytes come out of exactly n, or ERR_CORRUPT. */
MUST_CHECK int codec_decompress(enum codec c, const void *p, size_t n, uint8_t *out,
				size_t raw_len, struct err *e);

/* The magic of the skippable frame that a trailer lies in (docs/format.md). */
#define CODEC_TRAILER_MAGIC 0x184D2A5BU

struct decoder_sink {
	void *arg;
	/* Raw bytes as they come; -1 (with *e set) stops. */
	int (*data)(void *arg, const uint8_t *p, size_t n, struct err *e);
	/* A data frame is over; it had that many compressed bytes.  NULL: nobody asks. */
	int (*frame_end)(void *arg, uint64_t compressed, struct err *e);
	/* Gets the skippable frame with CODEC_TRAILER_MAGIC whole, its 8 bytes of header included; then it
	 * must be the object's last and follow a data frame directly, and fit the buffer's
	 * ceiling, or ERR_CORRUPT.  NULL: such a frame is passed over like any other skippable one. */
	struct buf *trailer;
	/* lz4: bytes after the data frame that are no frame are ignored; Litestream 0.3 never reads them. */
	bool lenient;
};

/* Push decoder.  Skippable frames are passed over; LZ4: exactly one data frame, with a content checksum
 * (anything but skippable frames after it is ERR_CORRUPT); zstd: one or more. */
struct decoder;
struct decoder *decoder_new(enum codec c, const struct decoder_sink *sink);
MUST_CHECK int decoder_push(struct decoder *d, const uint8_t *p, size_t n, struct err *e);
/* The input is over: ERR_CORRUPT if it ended inside a frame or held no data frame. */
MUST_CHECK int decoder_finish(struct decoder *d, struct err *e);
void decoder_destroy(struct decoder *d);

/* Free what is kept for reuse (a process that goes idle after restoring or verifying). */
void codec_trim(void);

#endif
