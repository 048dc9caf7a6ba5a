/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "cmd/cmds.h"
#include "cmd/lists.h"

#include <stdlib.h>

static const struct opt opts[] = {
	{ "replica", 0, OPT_STRING, offsetof(struct list_args, replica), "NAME",
	  "only this replica" },
	{ "generation", 0, OPT_STRING, offsetof(struct list_args, generation), "ID",
	  "only this generation" },
	{ .name = NULL },
};

static const char *const columns[] = { "replica", "generation", "index",
				       "size",	  "created",	"object" };

static void add_json(struct listing *l, const struct cat_generation *g,
		     const struct cat_object *o)
{
	struct json_out j = { .b = l->json };
	char key[LAYOUT_KEY_MAX];

	catalog_key(g, o, true, key);
	json_open(&j, NULL, '{');
	json_put_str(&j, "replica", l->replica->name);
	json_put_str(&j, "generation", g->id);
	json_put_u64(&j, "index", o->pos.index);
	json_put_hex(&j, "object", o->pos.index, 8);
	json_put_u64(&j, "size_bytes", o->size);
	json_put_time(&j, "created", o->mtime_ms);
	json_put_str(&j, "key", key);
	json_close(&j, '}');
	list_json_line(l);
}

static void add_row(struct listing *l, const struct cat_generation *g,
		    const struct cat_object *o)
{
	char created[21];

	if (l->args->common.json) {
		add_json(l, g, o);
		return;
	}
	text_format_time_s(o->mtime_ms, created);
	table_add(l->table, l->replica->name);
	table_add(l->table, g->id);
	table_addf(l->table, "%u", o->pos.index);
	table_addf(l->table, "%llu", (unsigned long long)o->size);
	table_add(l->table, created);
	table_addf(l->table, "%08x", o->pos.index);
}

static int rows(struct listing *l, struct err *e)
{
	size_t n;
	const struct cat_generation **list = list_generations(l, &n);

	(void)e;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < list[i]->nsnapshots; k++)
			add_row(l, list[i], &list[i]->snapshots[k]);
	free(list);
	return 0;
}

static int run(int argc, char **argv)
{
	static const struct list_command c = {
		.command = &cmd_snapshots,
		.columns = columns,
		.ncolumns = sizeof(columns) / sizeof(columns[0]),
		.rows = rows,
	};

	return list_run(&c, argc, argv);
}

const struct command cmd_snapshots = {
	.name = "snapshots",
	.run = run,
	.opts = opts,
	.operands = "[DB|URL]",
	.help = "list the snapshots of a replica",
	.max_operands = 1,
	.config = true,
	.json = true,
};
