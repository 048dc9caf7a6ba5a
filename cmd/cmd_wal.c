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

static const char *const columns[] = {
	"replica", "generation", "index", "offset", "size", "created", "object",
};

/* As in the key: index_offset, which -position takes with a colon. */
static void object_name(const struct cat_object *o, char out[48])
{
	if (o->has_session)
		snprintf(out, 48, "%08x_%08llx-%016llx", o->pos.index,
			 (unsigned long long)o->pos.offset, (unsigned long long)o->session);
	else
		snprintf(out, 48, "%08x_%08llx", o->pos.index,
			 (unsigned long long)o->pos.offset);
}

static void add_json(struct listing *l, const struct cat_generation *g,
		     const struct cat_object *o)
{
	struct json_out j = { .b = l->json };
	char key[LAYOUT_KEY_MAX], object[48];

	object_name(o, object);
	catalog_key(g, o, false, key);
	json_open(&j, NULL, '{');
	json_put_str(&j, "replica", l->replica->name);
	json_put_str(&j, "generation", g->id);
	json_put_u64(&j, "index", o->pos.index);
	json_put_u64(&j, "offset", o->pos.offset);
	json_put_str(&j, "object", object);
	json_put_u64(&j, "size_bytes", o->size);
	json_put_time(&j, "created", o->mtime_ms);
	json_put_str(&j, "key", key);
	json_close(&j, '}');
	list_json_line(l);
}

static void add_row(struct listing *l, const struct cat_generation *g,
		    const struct cat_object *o)
{
	char created[21], object[48];

	if (l->args->common.json) {
		add_json(l, g, o);
		return;
	}
	text_format_time_s(o->mtime_ms, created);
	table_add(l->table, l->replica->name);
	table_add(l->table, g->id);
	table_addf(l->table, "%u", o->pos.index);
	table_addf(l->table, "%llu", (unsigned long long)o->pos.offset);
	table_addf(l->table, "%llu", (unsigned long long)o->size);
	table_add(l->table, created);
	object_name(o, object);
	table_add(l->table, object);
}

static int rows(struct listing *l, struct err *e)
{
	size_t n;
	const struct cat_generation **list = list_generations(l, &n);

	(void)e;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < list[i]->nsegments; k++)
			add_row(l, list[i], &list[i]->segments[k]);
	free(list);
	return 0;
}

static int run(int argc, char **argv)
{
	static const struct list_command c = {
		.command = &cmd_wal,
		.columns = columns,
		.ncolumns = sizeof(columns) / sizeof(columns[0]),
		.rows = rows,
	};

	return list_run(&c, argc, argv);
}

const struct command cmd_wal = {
	.name = "wal",
	.run = run,
	.opts = opts,
	.operands = "[DB|URL]",
	.help = "list the WAL segments of a replica",
	.max_operands = 1,
	.config = true,
	.json = true,
};
