/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of the S3 store share. */
#ifndef AGENT_STORE_S3_H
#define AGENT_STORE_S3_H

#include "agent/store/store.h"
#include "s3/client.h"

struct s3_store {
	struct store base;
	struct s3_client *client;
	char *prefix; /* "" or "path/" */
};

/* The whole key in the bucket, malloc'd; ERR_USAGE for a name that cannot be one. */
MUST_CHECK char *store_s3_key(const struct s3_store *s, const char *key, struct err *e);

struct store_fetch *store_s3_fetch_begin(struct store *s, const struct store_piece *pieces,
					 size_t n, unsigned window, size_t max_bytes);
int store_s3_fetch_next(struct store_fetch *f, struct buf *out, struct err *e);
void store_s3_fetch_end(struct store_fetch *f);

#endif
