/* SPDX-License-Identifier: Apache-2.0 */
/* From a request that failed for good to an error: code, message, slug, remedy. */
#ifndef S3_EXPLAIN_H
#define S3_EXPLAIN_H

#include "s3/client.h"

struct s3_failure {
	const struct s3_op *op;
	const char *host, *bucket, *key_id;
	const struct stop *stop;
	int64_t took_ms;
};

/* A TLS handshake that was answered in plain text: to try again is no use. */
bool s3_plain_http(const struct http_call *call);

void s3_explain(const struct s3_failure *f, struct err *e);
/* Append "(5 tries, 31 s)" to the message if there was more than one. */
void s3_explain_tries(const struct s3_op *op, int64_t took_ms, struct err *e);

#endif
