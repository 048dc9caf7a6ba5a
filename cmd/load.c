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

int cmd_need_replicas(const struct config *c, struct err *e)
{
	for (size_t i = 0; i < c->ndbs; i++) {
		if (c->dbs[i].nreplicas)
			continue;
		err_set(e, ERR_USAGE, "%s has no replica: nothing of it would be kept",
			c->dbs[i].path);
		err_hint(e, "name one under its replicas: in %s",
			 c->file ? c->file : "the configuration");
		return err_slug(e, "no_replica");
	}
	return 0;
}
