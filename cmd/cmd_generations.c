/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/cmds.h"
#include "cmd/lists.h"
#include "wal/trailer.h"

#include <stdlib.h>
#include <string.h>

static const struct opt opts[] = {
	{ "replica", 0, OPT_STRING, offsetof(struct list_args, replica), "NAME",
	  "only this replica" },
	{ .name = NULL },
};

static const char *const columns[] = {
	"name",	  "generation", "lag",	   "start",	"end",
	"parent", "reason",	"current", "snapshots", "size",
};

enum {
	TAIL_BYTES = 64 * 1024, /* of an object; longer trailers are asked for one by one */
	WINDOW = 32,
	WINDOW_BYTES = 8 << 20,
	NANOS_PER_MS = 1000000,
};

struct row {
	const struct cat_generation *gen;
	int64_t start_ms, end_ms;
	bool empty; /* no objects: no times */
};

/* ---- times from the trailers of the oldest snapshot and the newest segment ---- */

struct tail {
	struct row *row;
	const struct cat_object *object;
	bool snapshot;
	char key[LAYOUT_KEY_MAX];
};

static size_t choose_tails(struct row *rows, size_t n, struct tail *tails)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		const struct cat_generation *g = rows[i].gen;
		size_t first = k;

		if (!g->has_record)
			continue;
		if (g->nsnapshots)
			tails[k++] = (struct tail){ .object = &g->snapshots[0],
						    .snapshot = true };
		if (g->nsegments)
			tails[k++] =
				(struct tail){ .object = &g->segments[g->nsegments - 1] };
		else if (g->nsnapshots)
			tails[k++] =
				(struct tail){ .object = &g->snapshots[g->nsnapshots - 1] };
		for (; first < k; first++) {
			tails[first].row = &rows[i];
			catalog_key(g, tails[first].object,
				    tails[first].snapshot || !g->nsegments,
				    tails[first].key);
		}
	}
	return k;
}

static void take_tail(struct listing *l, const struct tail *t, const struct buf *b)
{
	struct trailer tr CLEANUP(trailer_free) = { .ncommits = 0 };
	uint64_t distance = 0;
	struct err le = ERR_INIT;
	bool found = b->len >= TRAILER_TAIL && trailer_find(b->p, b->len, &distance);

	if (!found)
		return; /* damage is a restore's business: here the store's times stay */
	if (distance <= b->len) {
		if (trailer_parse(&tr, b->p + b->len - distance, (size_t)distance, &le) < 0)
			return;
	} else if (catalog_trailer(l->store, t->key, t->object->size, &tr, &le) != 1) {
		return;
	}
	if (t->snapshot)
		t->row->start_ms = tr.time_ms;
	else
		t->row->end_ms = tr.time_ms;
}

static int read_tails(struct listing *l, struct row *rows, size_t n, struct err *e)
{
	struct buf b CLEANUP(buf_free) = BUF(TAIL_BYTES + 1);
	struct tail *tails = mem_array(2 * n + 1, sizeof(*tails));
	struct store_piece *pieces = mem_array(2 * n + 1, sizeof(*pieces));
	size_t k = choose_tails(rows, n, tails);
	struct store_fetch *f;
	int r = 0;

	for (size_t i = 0; i < k; i++) {
		uint64_t size = tails[i].object->size;
		uint64_t len = size < TAIL_BYTES ? size : TAIL_BYTES;

		pieces[i] = (struct store_piece){
			.key = tails[i].key,
			.offset = size - len,
			.len = len,
			.expect = len,
		};
	}
	f = k ? l->store->ops->fetch_begin(l->store, pieces, k, WINDOW, WINDOW_BYTES)
	      : NULL;
	for (size_t i = 0; i < k && r == 0; i++) {
		struct err le = ERR_INIT;

		if (l->store->ops->fetch_next(f, &b, &le) == 1) {
			take_tail(l, &tails[i], &b);
		} else if (le.code != ERR_NOT_FOUND && le.code != ERR_CORRUPT) {
			*e = le;
			r = -1;
		}
	}
	if (f)
		l->store->ops->fetch_end(f);
	free(pieces);
	free(tails);
	return r;
}

/* ---- rows ---- */

/* When the local database last changed; "now" where there is none (a URL, a laptop). */
static int64_t local_ms(const struct db_config *db)
{
	char *wal AUTO_FREE = NULL;
	int64_t ms, wal_ms;

	if (!db->path || (ms = file_mtime_ms(db->path)) < 0)
		return clock_wall_ms();
	wal = mem_fmt("%s-wal", db->path);
	wal_ms = file_mtime_ms(wal);
	return wal_ms > ms ? wal_ms : ms;
}

/* Litestream's rounding: to its unit from 10 s, 1 s and 1 ms on; a generation without objects shows the largest
 * duration there is. */
static void lag_text(const struct row *r, int64_t now_ms, char out[40])
{
	int64_t ms = now_ms - r->end_ms, unit = 1;

	if (r->empty) {
		text_go_duration(INT64_MAX / NANOS_PER_MS / 1000 * 1000 * NANOS_PER_MS,
				 out);
		return;
	}
	if (ms > 10000 || ms < -10000)
		unit = 1000;
	else if (ms > 1000 || ms < -1000)
		unit = 100;
	text_go_duration(ms / unit * unit * NANOS_PER_MS, out);
}

static bool is_current(const struct listing *l, const struct row *r)
{
	const struct catalog *c = l->catalog;

	if (c->has_head)
		return !c->head_error && strcmp(c->head.generation, r->gen->id) == 0;
	/* Without a head: the newest with a snapshot (they are sorted so). */
	for (size_t i = c->ngens; i-- > 0;)
		if (c->gens[i].nsnapshots > 0)
			return &c->gens[i] == r->gen;
	return false;
}

static void add_json(struct listing *l, const struct row *r, int64_t now_ms)
{
	const struct lineage *rec = r->gen->record;
	struct json_out j = { .b = l->json };

	json_open(&j, NULL, '{');
	json_put_str(&j, "name", l->replica->name);
	json_put_str(&j, "generation", r->gen->id);
	if (r->empty) {
		json_put_null(&j, "behind_ms");
		json_put_null(&j, "start");
		json_put_null(&j, "end");
	} else {
		json_put_i64(&j, "behind_ms", now_ms - r->end_ms);
		json_put_time(&j, "start", r->start_ms);
		json_put_time(&j, "end", r->end_ms);
	}
	json_put_str(&j, "parent", rec && rec->has_parent ? rec->parent.generation : NULL);
	json_put_str(&j, "reason", rec ? lineage_reason_name(rec->reason) : NULL);
	json_put_bool(&j, "current", is_current(l, r));
	json_put_u64(&j, "snapshots", r->gen->nsnapshots);
	json_put_u64(&j, "segments", r->gen->nsegments);
	json_put_u64(&j, "size_bytes", r->gen->bytes);
	json_put_str(&j, "record_error", r->gen->record_error);
	json_close(&j, '}');
	list_json_line(l);
}

static void add_row(struct listing *l, const struct row *r, int64_t now_ms)
{
	const struct lineage *rec = r->gen->record;
	char lag[40], start[21] = "0001-01-01T00:00:00Z", end[21] = "0001-01-01T00:00:00Z";

	if (l->args->common.json) {
		add_json(l, r, now_ms);
		return;
	}
	lag_text(r, now_ms, lag);
	if (!r->empty) {
		text_format_time_s(r->start_ms, start);
		text_format_time_s(r->end_ms, end);
	}
	table_add(l->table, l->replica->name);
	table_add(l->table, r->gen->id);
	table_add(l->table, lag);
	table_add(l->table, start);
	table_add(l->table, end);
	table_add(l->table, rec && rec->has_parent ? rec->parent.generation : NULL);
	table_add(l->table, rec ? lineage_reason_name(rec->reason) : NULL);
	table_add(l->table, is_current(l, r) ? "yes" : "no");
	table_addf(l->table, "%zu", r->gen->nsnapshots);
	table_addf(l->table, "%llu", (unsigned long long)r->gen->bytes);
}

static int by_start(const void *pa, const void *pb)
{
	const struct row *a = pa, *b = pb;

	if (a->start_ms != b->start_ms)
		return a->start_ms < b->start_ms ? -1 : 1;
	return strcmp(a->gen->id, b->gen->id);
}

static int rows(struct listing *l, struct err *e)
{
	const struct catalog *c = l->catalog;
	struct row *list = mem_array(c->ngens + 1, sizeof(*list));
	int64_t now_ms = local_ms(l->db);
	int r;

	for (size_t i = 0; i < c->ngens; i++)
		list[i] = (struct row){
			.gen = &c->gens[i],
			.start_ms = c->gens[i].first_ms,
			.end_ms = c->gens[i].last_ms,
			.empty = c->gens[i].nsnapshots + c->gens[i].nsegments == 0,
		};
	r = read_tails(l, list, c->ngens, e);
	if (c->ngens)
		qsort(list, c->ngens, sizeof(*list), by_start);
	for (size_t i = 0; r == 0 && i < c->ngens; i++)
		add_row(l, &list[i], now_ms);
	free(list);
	return r;
}

static int run(int argc, char **argv)
{
	static const struct list_command c = {
		.command = &cmd_generations,
		.columns = columns,
		.ncolumns = sizeof(columns) / sizeof(columns[0]),
		.want = CATALOG_RECORDS,
		.rows = rows,
	};

	return list_run(&c, argc, argv);
}

const struct command cmd_generations = {
	.name = "generations",
	.run = run,
	.opts = opts,
	.operands = "[DB|URL]",
	.help = "list the generations of a replica",
	.max_operands = 1,
	.config = true,
	.json = true,
};
