/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/json.h"
#include "cmd/cmds.h"
#include "cmd/common.h"

#include <string.h>

enum { OUTPUT_MAX = 256 << 20, NAMES_MAX = 1 << 16 };

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct db_config *)a)->path,
		      ((const struct db_config *)b)->path);
}

static int print_table(const struct config *c)
{
	static const char *const columns[] = { "path", "replicas" };
	CLEANUP(table_free) struct table t;

	table_init(&t, columns, 2);
	t.blanks = true; /* a path is printed as it is */
	for (size_t i = 0; i < c->ndbs; i++) {
		const struct db_config *db = &c->dbs[i];
		CLEANUP(buf_free) struct buf names = BUF(NAMES_MAX);

		for (size_t k = 0; k < db->nreplicas; k++)
			buf_addf(&names, "%s%s", k ? "," : "", db->replicas[k].name);
		table_add(&t, db->path);
		table_add(&t, (const char *)names.p);
	}
	return table_print(&t);
}

static int print_json(const struct config *c)
{
	CLEANUP(buf_free) struct buf b = BUF(OUTPUT_MAX);
	struct json_out j = { .b = &b, .pretty = true };

	json_open(&j, NULL, '{');
	json_open(&j, "databases", '[');
	for (size_t i = 0; i < c->ndbs; i++) {
		const struct db_config *db = &c->dbs[i];

		json_open(&j, NULL, '{');
		json_put_str(&j, "path", db->path);
		json_open(&j, "replicas", '[');
		for (size_t k = 0; k < db->nreplicas; k++) {
			const struct replica_config *r = &db->replicas[k];
			bool s3 = r->type == REPLICA_S3;

			json_open(&j, NULL, '{');
			json_put_str(&j, "name", r->name);
			json_put_str(&j, "type", s3 ? "s3" : "file");
			if (s3)
				json_put_str(&j, "bucket", r->bucket);
			json_put_str(&j, "path", r->path);
			json_close(&j, '}');
		}
		json_close(&j, ']');
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	buf_add(&b, "\n", 1);
	return cmd_print(&b);
}

static int run(int argc, char **argv)
{
	struct common_args a = { 0 };
	struct err e = ERR_INIT;
	int status = 0;

	if (!cmd_begin(&cmd_databases, argc, argv, &a, &status))
		return status;

	CLEANUP(config_freep) struct config *c = cmd_load_config(&a, NULL, NULL, 0, &e);

	if (!c)
		return cmd_fail(&e);
	if (c->ndbs)
		qsort(c->dbs, c->ndbs, sizeof(*c->dbs), by_path);
	return a.json ? print_json(c) : print_table(c);
}

const struct command cmd_databases = {
	.name = "databases",
	.run = run,
	.operands = "",
	.help = "list the configured databases and their replicas",
	.config = true,
	.json = true,
};
