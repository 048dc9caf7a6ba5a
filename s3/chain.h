/* SPDX-License-Identifier: Apache-2.0 */
/* Where credentials come from, in AWS's order: the environment, then the shared files. */
#ifndef S3_CHAIN_H
#define S3_CHAIN_H

#include "s3/creds.h"

/* env: "NAME=value", NULL-terminated.  The first source that has any decides: a half pair there is an error, not the
 * next source's turn.  ERR_DENIED, slug no_credentials: there are none. */
MUST_CHECK int s3_creds_find(struct s3_creds *out, const char *const *env, struct err *e);

#endif
