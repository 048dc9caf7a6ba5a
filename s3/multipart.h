/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object written as a stream.  Up to one part it is a plain PUT; beyond, a
 * multipart upload whose parts go out while more is written.  Memory: the parts
 * in flight and the one that fills.  Parts start at 5 MiB, S3's least, and grow
 * by their number so that 10,000 of them hold any object.
 *
 * Each upload carries a random mark in its metadata (S3_UPLOAD_TAG), by which an
 * object that a broken connection left in doubt is recognised as ours.
 *
 * Used by one thread.
 */
#ifndef S3_MULTIPART_H
#define S3_MULTIPART_H

#include "s3/object.h"

#define S3_UPLOAD_TAG "x-amz-meta-walback-upload"

struct s3_upload;

struct s3_upload_options {
	struct s3_put put; /* if_match is copied; etag_out is filled by commit */
	unsigned
		in_flight; /* parts sent at once, and their buffers: one fills when a part has arrived; 0: 2 */
	size_t part_bytes; /* 0: 5 MiB; the first parts' size */
};

struct s3_upload *s3_upload_begin(struct s3_client *c, const char *key,
				  const struct s3_upload_options *o);
/* After a failure only abort may follow. */
MUST_CHECK int s3_upload_write(struct s3_upload *u, const void *p, size_t n, struct err *e);
/* Frees u in every case; after a failure nothing is left behind. */
MUST_CHECK int s3_upload_commit(struct s3_upload *u, struct err *e);
void s3_upload_abort(struct s3_upload *u);

/* Size of part number n (from 1). */
size_t s3_part_bytes(size_t first, unsigned n);

#endif
