/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs on objects.  Keys are whole keys of the bucket, not encoded.
 * Error codes as in s3/client.h.
 */
#ifndef S3_OBJECT_H
#define S3_OBJECT_H

#include "s3/client.h"
#include "s3/xml.h"

struct s3_info {
	uint64_t size; /* of the whole object */
	int64_t mtime_ms;
	char etag[S3_ETAG_MAX]; /* as given, with quotes */
	char tag[24];		/* the upload's mark: s3/multipart.h */
};

/* Conditions and results of a write. */
struct s3_put {
	bool if_absent;
	const char *if_match;
	char *etag_out; /* S3_ETAG_MAX bytes or NULL */
};

/* A GET, to be run in the background: init, s3_start(&g->op), and after done: finish, free. */
struct s3_get {
	struct s3_op op;
	uint64_t offset, len;
	char range[64];
	bool nothing; /* no byte was asked for that can exist */
};

/* Bytes [offset, offset+len) are appended to out; len UINT64_MAX: to the end.  size_hint: how
 * many are expected, for the time allowed. */
void s3_get_init(struct s3_get *g, const char *key, uint64_t offset, uint64_t len,
		 uint64_t size_hint, struct buf *out);
/* 0 or the op's error; a range behind the end is 0 and no bytes.  info may be NULL. */
MUST_CHECK int s3_get_finish(struct s3_get *g, struct s3_info *info, struct err *e);
void s3_get_free(struct s3_get *g);

MUST_CHECK int s3_get(struct s3_client *c, struct s3_get *g, struct s3_info *info,
		      struct err *e);
MUST_CHECK int s3_head(struct s3_client *c, const char *key, struct s3_info *info,
		       struct err *e);
/* One request, at most 5 GiB.  EXISTS when a condition fails; a refusal that our own repeated
 * request brought about is told apart by reading the object back. */
MUST_CHECK int s3_put(struct s3_client *c, const char *key, const void *p, size_t n,
		      const struct s3_put *o, struct err *e);
/* Missing objects are fine. */
MUST_CHECK int s3_delete(struct s3_client *c, const char *key, struct err *e);
MUST_CHECK int s3_delete_many(struct s3_client *c, const char *const *keys, size_t n,
			      struct err *e);
/* On the server, unconditionally; at most 5 GiB. */
MUST_CHECK int s3_copy(struct s3_client *c, const char *from, const char *to,
		       char *etag_out, struct err *e);

/* The facts in an answer's headers. */
void s3_info_from(const struct s3_op *op, struct s3_info *info);

#endif
