/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/lists.h"

#include "agent/exit.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/interrupt.h"

#include <stdlib.h>
#include <string.h>

enum { JSON_MAX = 4 << 20, JSON_FLUSH = 64 << 10 };

static int list_replica(const struct list_command *c, struct listing *l, struct err *e)
{
	struct store_options o = { .stop = interrupt_token() };
	int r = -1;

	l->store = store_open(l->replica, &o, e);
	if (l->store)
		l->catalog = catalog_load(l->store, c->want, e);
	if (l->catalog)
		r = c->rows(l, e);
	if (r < 0)
		exit_mark_listing(e);
	catalog_free(l->catalog);
	store_close(l->store);
	l->catalog = NULL;
	l->store = NULL;
	return r;
}

/* 0 when at least one replica was read. */
static int list_all(const struct list_command *c, struct listing *l, struct err *e)
{
	size_t failed = 0, n = 0;

	for (size_t i = 0; i < l->db->nreplicas; i++) {
		struct err le = ERR_INIT;

		l->replica = &l->db->replicas[i];
		if (l->args->replica && strcmp(l->args->replica, l->replica->name) != 0)
			continue;
		n++;
		if (list_replica(c, l, &le) == 0)
			continue;
		if (failed++ == 0)
			*e = le;
		if (l->db->nreplicas > 1)
			log_warn("replica cannot be listed",
				 LOGS("replica", l->replica->name), LOGE(&le));
	}
	return n > 0 && failed == n ? -1 : 0;
}

static void flush(struct listing *l)
{
	if (l->status == EXIT_OK)
		l->status = cmd_print(l->json);
	buf_reset(l->json);
}

void list_json_line(struct listing *l)
{
	buf_add(l->json, "\n", 1);
	if (l->json->len >= JSON_FLUSH)
		flush(l);
}

static int list_print(struct listing *l)
{
	if (!l->args->common.json)
		return table_print(l->table);
	flush(l);
	return l->status;
}

int list_run(const struct list_command *c, int argc, char **argv)
{
	struct list_args a = { .replica = NULL };
	struct selection s = { .db = NULL };
	struct table table;
	struct buf json CLEANUP(buf_free) = BUF(JSON_MAX);
	struct listing l = { .args = &a, .table = &table, .json = &json };
	struct err e = ERR_INIT;
	int status;

	if (!cmd_begin(c->command, argc, argv, &a, &status))
		return status;
	table_init(&table, c->columns, c->ncolumns);
	if (selection_load(&s, &a.common, &e) < 0) {
		status = cmd_fail(&e);
	} else {
		l.db = s.db;
		if (a.replica && !config_replica(s.db, a.replica, &e))
			status = cmd_fail(&e);
		else
			status = list_all(c, &l, &e) < 0 ? cmd_fail(&e) : list_print(&l);
	}
	table_free(&table);
	selection_free(&s);
	return status;
}

static int by_id(const void *pa, const void *pb)
{
	const struct cat_generation *const *a = pa, *const *b = pb;

	return strcmp((*a)->id, (*b)->id);
}

const struct cat_generation **list_generations(const struct listing *l, size_t *n)
{
	const struct catalog *c = l->catalog;
	const struct cat_generation **list = mem_array(c->ngens + 1, sizeof(void *));

	*n = 0;
	for (size_t i = 0; i < c->ngens; i++)
		if (!l->args->generation || strcmp(l->args->generation, c->gens[i].id) == 0)
			list[(*n)++] = &c->gens[i];
	qsort(list, *n, sizeof(void *), by_id);
	return list;
}
