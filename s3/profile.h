/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials from AWS's shared files: the profile that AWS_PROFILE (or AWS_DEFAULT_PROFILE) names, else
 * "default"; in AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials) section [NAME], then in AWS_CONFIG_FILE
 * (~/.aws/config) section [profile NAME], or [default].
 */
#ifndef S3_PROFILE_H
#define S3_PROFILE_H

#include "s3/creds.h"

/* env: "NAME=value", NULL-terminated.  1: found, *out is the caller's; 0: no profile is named and none gives keys;
 * -1 ERR_DENIED: a file that is named cannot be read, the named profile is nowhere (slug no_profile) or gives no keys
 * (profile_without_keys), or gives half a pair. */
MUST_CHECK int s3_creds_from_profile(struct s3_creds *out, const char *const *env,
				     struct err *e);

#endif
