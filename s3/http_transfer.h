/* SPDX-License-Identifier: Apache-2.0 */
/* One transfer of s3/http: a libcurl handle set up for a call, and what came of it.  Loop's thread only. */
#ifndef S3_HTTP_TRANSFER_H
#define S3_HTTP_TRANSFER_H

#include "s3/http.h"

/* easy: a CURL handle as new.  Returns the header list, to be freed after the transfer. */
void *http_transfer_set(struct http_call *c, void *easy, const char *ca_file,
			const char *ca_path);
/* result: a CURLcode.  Fills c->status and c->why from c->easy. */
enum http_fail http_transfer_end(struct http_call *c, int result);

#endif
