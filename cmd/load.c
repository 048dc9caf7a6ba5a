/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/common.h"

struct config *cmd_load_config(const struct common_args *a, const char *db,
			       const char *const *urls, size_t nurls, struct err *e)
{
	const struct config_request r = {
		.config_path = a->config,
		.no_expand_env = a->no_expand_env,
		.db = db,
		.urls = urls,
		.nurls = nurls,
		.quiet = a->quiet,
	};
	struct config *c;

	c = config_load(&r, e);
	if (c)
		cmd_set_up_log(a, c->log_level, c->log_json);
	return c;
}
