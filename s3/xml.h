/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The XML documents of S3, read with ceilings on size, depth and text.  A
 * DOCTYPE is refused, nothing is fetched, no entity but XML's own five and
 * character references is expanded.  Namespaces are ignored.
 *
 * All parsers: `what` names the document in errors; ERR_CORRUPT when it is not
 * well-formed, truncated, or has another root than asked for.
 */
#ifndef S3_XML_H
#define S3_XML_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S3_XML_MAX ((size_t)8 << 20)
#define S3_ETAG_MAX 96
#define S3_TOKEN_MAX 2048 /* continuation tokens, upload ids */

struct s3_xml_error {
	char code[64]; /* "" when the document is none of S3's errors */
	char message[200];
	char region[64];
	char request_id[64];
	char key[1032]; /* DeleteResult: which one */
};

struct s3_xml_object {
	const char *key; /* valid during the call */
	uint64_t size;
	int64_t mtime_ms; /* -1 unknown */
	char etag[S3_ETAG_MAX];
	bool is_prefix; /* a CommonPrefixes entry: key only */
};

struct s3_xml_list {
	bool truncated;
	char token[S3_TOKEN_MAX];
};

struct s3_xml_complete {
	char etag[S3_ETAG_MAX];
};

/* <Error> or <ErrorResponse><Error>, from a body that may be anything.  Cannot fail:
 * all fields are "" if it is no such document. */
void s3_xml_error(const void *p, size_t n, struct s3_xml_error *out);

/* ListBucketResult.  With encoding-type=url echoed, keys are decoded.  cb non-zero stops: returns 1. */
MUST_CHECK int s3_xml_list(const void *p, size_t n, struct s3_xml_list *out,
			   int (*cb)(void *arg, const struct s3_xml_object *o), void *arg,
			   struct err *e);

/* InitiateMultipartUploadResult: the upload id. */
MUST_CHECK int s3_xml_upload_id(const void *p, size_t n, char out[S3_TOKEN_MAX],
				struct err *e);

/* CompleteMultipartUploadResult or CopyObjectResult (root): its ETag.  ERR_AGAIN with *error filled
 * when the document is an <Error>, which may come with status 200; ERR_AGAIN also for anything else,
 * since a cut answer proves nothing. */
MUST_CHECK int s3_xml_etag(const void *p, size_t n, const char *root,
			   char etag[S3_ETAG_MAX], struct s3_xml_error *error,
			   struct err *e);

/* DeleteResult: calls cb for each key that was not deleted. */
MUST_CHECK int s3_xml_delete(const void *p, size_t n,
			     void (*cb)(void *arg, const struct s3_xml_error *error),
			     void *arg, struct err *e);

/* Text for an element. */
void s3_xml_escape(struct buf *out, const char *s);

#endif
