/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/store/catalog.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/text.h"
#include "wal/trailer.h"

#include <stdlib.h>
#include <string.h>

enum {
	TAIL_BYTES = 64 * 1024, /* holds nearly every trailer */
	RECORDS_WINDOW = 32,
};

struct catalog *catalog_new(void)
{
	return mem_alloc(sizeof(struct catalog));
}

static void generation_free(struct cat_generation *g)
{
	free(g->record);
	free(g->record_error);
	free(g->snapshots);
	free(g->segments);
}

void catalog_free(struct catalog *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->ngens; i++)
		generation_free(&c->gens[i]);
	free(c->gens);
	free(c->head_error);
	free(c);
}

void catalog_freep(struct catalog **c)
{
	catalog_free(*c);
}

/* A LIST comes in the order of its keys as a rule, so the last one is nearly always it. */
static struct cat_generation *generation_of(struct catalog *c, const char *id)
{
	struct cat_generation *g;

	for (size_t i = c->ngens; i-- > 0;)
		if (strcmp(c->gens[i].id, id) == 0)
			return &c->gens[i];
	if (c->ngens == c->gens_cap) {
		c->gens_cap = c->gens_cap ? c->gens_cap * 2 : 4;
		c->gens = mem_grow(c->gens, c->gens_cap, sizeof(*c->gens));
	}
	g = &c->gens[c->ngens++];
	*g = (struct cat_generation){ .has_record = false };
	memcpy(g->id, id, sizeof(g->id));
	return g;
}

static void append(struct cat_object **list, size_t *n, size_t *cap, struct cat_object o)
{
	if (*n == *cap) {
		*cap = *cap ? *cap * 2 : 16;
		*list = mem_grow(*list, *cap, sizeof(**list));
	}
	(*list)[(*n)++] = o;
}

static void add_object(struct cat_generation *g, const struct fact *f, uint64_t size,
		       int64_t mtime_ms)
{
	struct cat_object o = {
		.pos = f->pos,
		.size = size,
		.mtime_ms = mtime_ms,
		.session = f->session,
		.codec = f->codec,
		.has_session = f->has_session,
		.offset_digits = f->offset_digits,
	};

	if (g->nsnapshots + g->nsegments == 0 || mtime_ms < g->first_ms)
		g->first_ms = mtime_ms;
	if (g->nsnapshots + g->nsegments == 0 || mtime_ms > g->last_ms)
		g->last_ms = mtime_ms;
	g->bytes += size;
	if (f->kind == LAYOUT_SNAPSHOT)
		append(&g->snapshots, &g->nsnapshots, &g->snapshots_cap, o);
	else
		append(&g->segments, &g->nsegments, &g->segments_cap, o);
}

void catalog_add(struct catalog *c, const char *key, uint64_t size, int64_t mtime_ms)
{
	struct fact f = layout_parse(key);

	switch (f.kind) {
	case LAYOUT_SNAPSHOT:
	case LAYOUT_SEGMENT:
		add_object(generation_of(c, f.generation), &f, size, mtime_ms);
		break;
	case LAYOUT_LINEAGE:
		generation_of(c, f.generation)->has_record = true;
		break;
	case LAYOUT_LTX:
		c->ltx_files++;
		if (mtime_ms > c->ltx_last_ms)
			c->ltx_last_ms = mtime_ms;
		break;
	case LAYOUT_OTHER:
		if (text_starts(key, LAYOUT_GENERATIONS))
			c->others++;
		break;
	case LAYOUT_HEAD:
	case LAYOUT_TAG:
	case LAYOUT_AUDIT:
	case LAYOUT_VERIFIED:
		break;
	}
}

static int compare_objects(const void *pa, const void *pb)
{
	const struct cat_object *a = pa, *b = pb;
	int r = wal_pos_cmp(a->pos, b->pos);

	if (r)
		return r;
	if (a->has_session != b->has_session)
		return a->has_session ? 1 : -1;
	if (a->session != b->session)
		return a->session < b->session ? -1 : 1;
	if (a->codec != b->codec)
		return a->codec == CODEC_ZST ? 1 : -1;
	return a->offset_digits - b->offset_digits;
}

static int compare_generations(const void *pa, const void *pb)
{
	const struct cat_generation *a = pa, *b = pb;

	if (a->last_ms != b->last_ms)
		return a->last_ms < b->last_ms ? -1 : 1;
	return strcmp(a->id, b->id);
}

/* A name with padding (a copy tool's) does not count where the right one is there too. */
static void drop_padded_twins(struct cat_generation *g)
{
	size_t kept = 0;

	for (size_t i = 0; i < g->nsegments; i++) {
		const struct cat_object *o = &g->segments[i];
		const struct cat_object *last = kept ? &g->segments[kept - 1] : NULL;

		if (last && wal_pos_cmp(last->pos, o->pos) == 0 &&
		    last->has_session == o->has_session && last->session == o->session &&
		    last->codec == o->codec)
			continue;
		g->segments[kept++] = *o;
	}
	g->nsegments = kept;
}

void catalog_sort(struct catalog *c)
{
	for (size_t i = 0; i < c->ngens; i++) {
		struct cat_generation *g = &c->gens[i];

		if (g->nsnapshots)
			qsort(g->snapshots, g->nsnapshots, sizeof(*g->snapshots),
			      compare_objects);
		if (g->nsegments)
			qsort(g->segments, g->nsegments, sizeof(*g->segments),
			      compare_objects);
		drop_padded_twins(g);
	}
	if (c->ngens)
		qsort(c->gens, c->ngens, sizeof(*c->gens), compare_generations);
}

static void take_record(struct cat_generation *g, const char *key, const struct buf *b)
{
	struct lineage l;
	struct err le = ERR_INIT;

	if (!buf_ok(b))
		err_set(&le, ERR_CORRUPT, "%s is larger than a record", key);
	else if (records_lineage_parse(&l, b->p, b->len, key, &le) == 0 &&
		 strcmp(l.generation, g->id) != 0)
		err_set(&le, ERR_CORRUPT, "%s is the record of generation %s", key,
			l.generation);
	if (le.code)
		g->record_error = mem_str(le.msg);
	else
		g->record = mem_dup(&l, sizeof(l));
}

static int fetch_records(struct catalog *c, struct store *s, struct store_piece *pieces,
			 size_t n, struct err *e)
{
	struct buf b CLEANUP(buf_free) = BUF(RECORDS_SIZE_MAX + 1);
	struct store_fetch *f =
		s->ops->fetch_begin(s, pieces, n, RECORDS_WINDOW, (size_t)4 << 20);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct fact at = layout_parse(pieces[i].key);
		struct cat_generation *g = generation_of(c, at.generation);
		struct err le = ERR_INIT;

		if (s->ops->fetch_next(f, &b, &le) == 1) {
			take_record(g, pieces[i].key, &b);
		} else if (le.code == ERR_NOT_FOUND || le.code == ERR_CORRUPT) {
			g->record_error = mem_str(le.msg);
		} else {
			*e = le;
			r = -1;
		}
	}
	s->ops->fetch_end(f);
	return r;
}

int catalog_load_records(struct catalog *c, struct store *s, struct err *e)
{
	struct store_piece *pieces = mem_array(c->ngens + 1, sizeof(*pieces));
	char(*keys)[LAYOUT_KEY_MAX] = mem_array(c->ngens + 1, sizeof(*keys));
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < c->ngens; i++) {
		const struct cat_generation *g = &c->gens[i];
		struct fact f = { .kind = LAYOUT_LINEAGE };

		if (!g->has_record || g->record || g->record_error)
			continue;
		memcpy(f.generation, g->id, sizeof(f.generation));
		layout_format(&f, keys[n]);
		pieces[n] = (struct store_piece){
			.key = keys[n],
			.len = UINT64_MAX,
			.expect = RECORDS_SIZE_MAX,
		};
		n++;
	}
	if (n > 0)
		r = fetch_records(c, s, pieces, n, e);
	free(keys);
	free(pieces);
	return r;
}

const struct cat_generation *catalog_find(const struct catalog *c, const char *id)
{
	for (size_t i = 0; i < c->ngens; i++)
		if (strcmp(c->gens[i].id, id) == 0)
			return &c->gens[i];
	return NULL;
}

void catalog_key(const struct cat_generation *g, const struct cat_object *o, bool snapshot,
		 char out[LAYOUT_KEY_MAX])
{
	struct fact f = {
		.kind = snapshot ? LAYOUT_SNAPSHOT : LAYOUT_SEGMENT,
		.pos = o->pos,
		.codec = o->codec,
		.has_session = o->has_session,
		.session = o->session,
		.offset_digits = o->offset_digits,
	};

	memcpy(f.generation, g->id, sizeof(f.generation));
	layout_format(&f, out);
}

int catalog_trailer(struct store *s, const char *key, uint64_t size, struct trailer *out,
		    struct err *e)
{
	struct buf b CLEANUP(buf_free) = BUF(TRAILER_MAX);
	uint64_t distance = 0, n = size < TAIL_BYTES ? size : TAIL_BYTES;

	if (n < TRAILER_TAIL)
		return 0;
	if (s->ops->get(s, key, size - n, n, &b, NULL, e) < 0)
		return -1;
	if (b.len != n)
		return err_set(e, ERR_CORRUPT,
			       "%s: %zu bytes came where the list promised %llu", key,
			       b.len, (unsigned long long)n);
	if (!trailer_find(b.p, b.len, &distance))
		return 0;
	if (distance > size || distance > TRAILER_MAX)
		return err_set(e, ERR_CORRUPT, "%s: its trailer is longer than the object",
			       key);
	if (distance > n) {
		n = distance;
		buf_reset(&b);
		if (s->ops->get(s, key, size - n, n, &b, NULL, e) < 0)
			return -1;
		if (b.len != n)
			return err_set(e, ERR_CORRUPT, "%s: its tail came cut short", key);
	}
	if (trailer_parse(out, b.p + b.len - distance, distance, e) < 0)
		return err_wrap(e, "%s", key);
	return 1;
}
