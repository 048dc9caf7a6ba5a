/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/settings.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "cmd/cmds.h"
#include "cmd/common.h"

#include <string.h>

struct args {
	struct common_args common;
	bool strict;
};

static const struct opt opts[] = {
	{ "strict", 0, OPT_FLAG, offsetof(struct args, strict), NULL,
	  "unknown keys are errors" },
	{ 0 },
};

enum { OUTPUT_MAX = 256 << 20 };

/* Where the lines go: the table or the JSON. */
struct sink {
	const struct config *c;
	struct table *table;
	struct json_out *json;
};

static void put(const struct sink *out, const char *name, const char *value,
		const struct setting_value *v)
{
	char from[512];

	setting_origin_format(v, out->c->file, from);
	if (out->json) {
		json_open(out->json, NULL, '{');
		json_put_str(out->json, "setting", name);
		json_put_str(out->json, "value", value);
		json_put_str(out->json, "from", from);
		json_close(out->json, '}');
		return;
	}
	table_add(out->table, name);
	table_add(out->table, value);
	table_add(out->table, from);
}

/* For a folder the settings of buckets mean nothing. */
static bool means_nothing(const struct setting *s, const struct replica_config *r)
{
	static const char *const s3_only[] = { "bucket", "region", "endpoint",
					       "force-path-style", "skip-verify" };

	for (size_t i = 0; r && r->type == REPLICA_FILE && i < 5; i++)
		if (!strcmp(s->key, s3_only[i]))
			return true;
	return false;
}

static void put_scope(const struct sink *out, enum setting_scope scope, const char *prefix,
		      const struct setting_values *values, const struct replica_config *r)
{
	for (const struct setting *s = settings; values && s->key; s++) {
		const struct setting_value *v = setting_values_get(values, s);
		AUTO_FREE char *name = mem_fmt("%s%s", prefix, s->key);
		const char *value = v ? v->text : NULL;

		if (s->scope != scope || !v || means_nothing(s, r))
			continue;
		if (value && !*value)
			value = NULL;
		put(out, name, value, v);
	}
}

static void put_all(const struct sink *out, const struct config *c, const struct args *a)
{
	const struct setting *level = setting_find(SCOPE_LOGGING, "level");
	const struct setting_value flag = { .s = level, .origin = ORIGIN_FLAG };
	const char *asked = a->common.log_level ? a->common.log_level
			    : a->common.verbose ? "debug"
			    : a->common.quiet	? "warn"
						: NULL;

	put_scope(out, SCOPE_TOP, "", c->explain, NULL);
	put_scope(out, SCOPE_LOGGING, "logging.", c->explain, NULL);
	if (asked)
		put(out, "logging.level", asked, &flag);
	for (size_t i = 0; i < c->ndbs; i++) {
		const struct db_config *db = &c->dbs[i];
		AUTO_FREE char *prefix = mem_fmt("dbs[%zu].", i);

		put_scope(out, SCOPE_DB, prefix, db->explain, NULL);
		for (size_t k = 0; k < db->nreplicas; k++) {
			AUTO_FREE char *below = mem_fmt("%sreplicas[%zu].", prefix, k);

			put_scope(out, SCOPE_REPLICA, below, db->replicas[k].explain,
				  &db->replicas[k]);
		}
	}
}

static int print_json(const struct config *c, const struct args *a)
{
	CLEANUP(buf_free) struct buf b = BUF(OUTPUT_MAX);
	struct json_out j = { .b = &b, .pretty = true };
	const struct sink out = { .c = c, .json = &j };

	json_open(&j, NULL, '{');
	json_put_str(&j, "file", c->file);
	json_open(&j, "settings", '[');
	put_all(&out, c, a);
	json_close(&j, ']');
	json_close(&j, '}');
	buf_add(&b, "\n", 1);
	return cmd_print(&b);
}

static int print_table(const struct config *c, const struct args *a)
{
	static const char *const columns[] = { "setting", "value", "from" };
	CLEANUP(table_free) struct table t;
	const struct sink out = { .c = c, .table = &t };

	table_init(&t, columns, 3);
	t.blanks = true;
	put_all(&out, c, a);
	return table_print(&t);
}

static int run(int argc, char **argv)
{
	struct args a = { .strict = false };
	struct config_request r = { .explain = true, .replica_only = true };
	struct err e = ERR_INIT;
	int status = 0;

	if (!cmd_begin(&cmd_config, argc, argv, &a, &status))
		return status;
	r.config_path = a.common.config;
	r.no_expand_env = a.common.no_expand_env;
	r.strict = a.strict;
	r.quiet = a.common.quiet;

	CLEANUP(config_freep) struct config *c = config_load(&r, &e);

	if (!c)
		return cmd_fail(&e);
	return a.common.json ? print_json(c, &a) : print_table(c, &a);
}

const struct command cmd_config = {
	.name = "config",
	.run = run,
	.opts = opts,
	.operands = "",
	.help = "print the settings in force and where each comes from",
	.config = true,
	.json = true,
};
