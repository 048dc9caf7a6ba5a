/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials: who signs.  Static ones here: given by the configuration, or
 * found in an environment under WALBACK_*, LITESTREAM_* or AWS_* names, each also as
 * NAME_FILE, a file that holds the value (trailing white space is cut off).
 */
#ifndef S3_CREDS_H
#define S3_CREDS_H

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>

struct s3_creds {
	char *id;
	struct secret secret, token;
};

#define S3_CREDS_FAMILIES 4
/* The variables that give a pair and, maybe, a session token; in the order in which they are asked. */
extern const char *const s3_creds_names[S3_CREDS_FAMILIES][3];

/* A variable of env ("NAME=value", NULL-terminated); NULL if it is not there or empty. */
const char *s3_creds_env(const char *const *env, const char *name);
/* 1: found, *out is the caller's; 0: none; -1 ERR_DENIED: half a pair or an unreadable file; the message
 * names the variables. */
MUST_CHECK int s3_creds_from_env(struct s3_creds *out, const char *const *env,
				 struct err *e);
/* By copy.  token may be NULL or empty.  ERR_DENIED: half_credentials, no_credentials, bad_key_id. */
MUST_CHECK int s3_creds_set(struct s3_creds *out, const char *id,
			    const struct secret *secret, const struct secret *token,
			    struct err *e);
void s3_creds_free(struct s3_creds *c);
/* "..MPLE": the last four characters, for messages; "" for short ids. */
void s3_creds_hint(const char *id, char out[8]);

#endif
