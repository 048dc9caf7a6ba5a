/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/chain.h"

#include "s3/profile.h"

int s3_creds_find(struct s3_creds *out, const char *const *env, struct err *e)
{
	int rc = s3_creds_from_env(out, env, e);

	if (rc == 0)
		rc = s3_creds_from_profile(out, env, e);
	if (rc == 0)
		return s3_creds_set(out, NULL, NULL, NULL, e); /* says so */
	return rc < 0 ? -1 : 0;
}
