/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/common.h"

static struct config *load(const struct common_args *a, struct config_request r,
			   struct err *e)
{
	struct config *c;

	r.config_path = a->config;
	r.no_expand_env = a->no_expand_env;
	r.quiet = a->quiet;
	c = config_load(&r, e);
	if (c)
		cmd_follow_config(a, c);
	return c;
}

struct config *cmd_load_config(const struct common_args *a, const char *db,
			       const char *const *urls, size_t nurls, struct err *e)
{
	return load(a, (struct config_request){ .db = db, .urls = urls, .nurls = nurls },
		    e);
}

struct config *cmd_load_replicas(const struct common_args *a, struct err *e)
{
	return load(a, (struct config_request){ .replica_only = true }, e);
}
