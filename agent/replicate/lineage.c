/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replicate/lineage.h"

#include "agent/store/catalog.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "wal/trailer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NEWEST_LOOKED_AT 8

/* The end of a generation as its newest objects tell it. */
struct tip {
	bool found;
	struct wal_pos end; /* after the newest data */
	uint64_t db_sum, session;
	int64_t time_ms;
};

static const struct cat_generation *head_generation(const struct catalog *c)
{
	return c->has_head ? catalog_find(c, c->head.generation) : NULL;
}

static int trailer_of(struct store *s, const struct cat_generation *g,
		      const struct cat_object *o, bool snapshot, struct trailer *t,
		      struct err *e)
{
	char key[LAYOUT_KEY_MAX];

	catalog_key(g, o, snapshot, key);
	return catalog_trailer(s, key, o->size, t, e);
}

static void take(struct tip *tip, const struct trailer *t, struct wal_pos end)
{
	*tip = (struct tip){ .found = true,
			     .end = end,
			     .db_sum = t->db_sum_after,
			     .session = t->session,
			     .time_ms = t->time_ms };
}

/* The newest segment that is no claim; claims carry the sums on, so they may be passed over. */
static int newest_segment(struct store *s, const struct cat_generation *g, struct tip *tip,
			  struct err *e)
{
	for (size_t i = 0; i < NEWEST_LOOKED_AT && i < g->nsegments && !tip->found; i++) {
		const struct cat_object *o = &g->segments[g->nsegments - 1 - i];
		struct trailer t = { 0 };
		int has = trailer_of(s, g, o, false, &t, e);

		if (has < 0)
			return -1;
		struct wal_pos end = { o->pos.index, o->pos.offset + t.raw_len };

		if (has && (t.ncommits || t.raw_len > 32))
			take(tip, &t, end);
		trailer_free(&t);
	}
	return 0;
}

static int find_tip(struct store *s, const struct cat_generation *g, struct tip *tip,
		    struct err *e)
{
	*tip = (struct tip){ 0 };
	if (newest_segment(s, g, tip, e) < 0)
		return -1;
	if (!g->nsnapshots)
		return 0;
	struct trailer t = { 0 };
	int has = trailer_of(s, g, &g->snapshots[g->nsnapshots - 1], true, &t, e);

	if (has < 0)
		return -1;
	if (has && (!tip->found || wal_pos_cmp(t.valid, tip->end) > 0))
		take(tip, &t, t.valid);
	trailer_free(&t);
	return 0;
}

/* A generation of Litestream's that is newer than everything of head's: head is stale. */
static const struct cat_generation *newer_plain(const struct catalog *c,
						const struct cat_generation *head)
{
	for (size_t i = 0; i < c->ngens; i++)
		if (!c->gens[i].has_record && c->gens[i].nsnapshots &&
		    c->gens[i].last_ms > head->last_ms)
			return &c->gens[i];
	return NULL;
}

/* 1 the same, 0 not (why). */
static int same_history(struct store *s, const struct catalog *c,
			const struct lineage_facts *f, struct tip *tip, char why[240],
			struct err *e)
{
	const struct cat_generation *g = head_generation(c);
	const struct cat_generation *plain = g ? newer_plain(c, g) : NULL;

	if (!g || plain) {
		snprintf(why, 240, "head names generation %s, %s%s", c->head.generation,
			 g ? "but newer is Litestream's generation " : "which is not there",
			 plain ? plain->id : "");
		return 0;
	}
	if (find_tip(s, g, tip, e) < 0)
		return -1;
	bool moved = f->have_state && !strcmp(f->state.next, g->id);
	bool ours = f->have_state && !strcmp(f->state.generation, g->id);

	if (moved) /* a crash came between head's write and the note of it; the id is ours alone */
		return 1;
	/* Beyond the acknowledged position the session alone tells whose it is: a request whose answer was lost.  An
	 * older copy of this disk of the same session passes too, until `state` notes what is pending. */
	if (ours && tip->found && wal_pos_cmp(tip->end, f->state.acked) > 0 &&
	    tip->session != f->state.session && tip->db_sum != f->db_sum) {
		snprintf(why, 240,
			 "the store is ahead: generation %s goes on to %08x:%08jx, this "
			 "database's "
			 "part of it ends at %08x:%08jx",
			 g->id, tip->end.index, (uintmax_t)tip->end.offset,
			 f->state.acked.index, (uintmax_t)f->state.acked.offset);
		return 0;
	}
	if (ours || (tip->found && tip->db_sum == f->db_sum))
		return 1;
	snprintf(why, 240,
		 "this database is not what generation %s, the current one, left behind",
		 g->id);
	return 0;
}

int lineage_same_history(struct store *s, const struct lineage_facts *f, bool *none,
			 char why[240], struct err *e)
{
	CLEANUP(catalog_freep) struct catalog *c = catalog_load(s, 0, e);
	struct tip tip;

	why[0] = 0;
	if (!c)
		return -1;
	*none = !c->ngens && !c->has_head && !c->ltx_files;
	if (!c->has_head) {
		if (!*none)
			snprintf(why, 240,
				 "the backup there was not made by walback, so this "
				 "database cannot be recognised in it; where it is the "
				 "one that Litestream replicated, choose local");
		return *none;
	}
	return same_history(s, c, f, &tip, why, e);
}

static bool holds_lz4(const struct catalog *c)
{
	for (size_t i = 0; i < c->ngens; i++) {
		const struct cat_generation *g = &c->gens[i];

		if ((g->nsnapshots && g->snapshots[g->nsnapshots - 1].codec == CODEC_LZ4) ||
		    (g->nsegments && g->segments[g->nsegments - 1].codec == CODEC_LZ4))
			return true;
		if (g->record && g->record->compression == CODEC_LZ4)
			return true;
	}
	return false;
}

static void fill_record(struct lineage_plan *p, const struct lineage_facts *f,
			int64_t now_ms)
{
	struct lineage *r = &p->record;

	random_hex16(r->generation);
	r->created_at_ms = now_ms;
	r->session = f->session;
	r->page_size = f->page_size;
	if (gethostname(r->host, sizeof(r->host) - 1) < 0)
		snprintf(r->host, sizeof(r->host), "unknown");
	snprintf(r->version, sizeof(r->version), "%s", f->version);
	snprintf(r->db, sizeof(r->db), "%s", f->db_name);
}

static void fill_head(struct lineage_plan *p, const struct catalog *c, int64_t now_ms)
{
	struct head *h = &p->head;

	h->epoch = c->has_head ? c->head.epoch + 1 : 1;
	h->reason = p->record.reason;
	h->updated_at_ms = h->since_ms = now_ms;
	h->session = p->record.session;
	memcpy(h->generation, p->record.generation, sizeof(h->generation));
	memcpy(h->host, p->record.host, sizeof(h->host));
	if (c->has_head)
		memcpy(p->etag, c->head_etag, sizeof(p->etag));
}

static void fill_parent(struct lineage_plan *p, const struct catalog *c,
			const struct tip *tip, const struct lineage_facts *f)
{
	struct lineage_parent *parent = &p->record.parent;
	bool from_state = !tip->found;

	p->record.has_parent = true;
	memcpy(parent->generation, c->head.generation, sizeof(parent->generation));
	parent->pos = from_state ? f->state.acked : tip->end;
	parent->time_ms = from_state ? f->state.time_ms : tip->time_ms;
}

int lineage_decide(struct store *s, const struct lineage_facts *f, int64_t now_ms,
		   struct lineage_plan *out, struct err *e)
{
	CLEANUP(catalog_freep) struct catalog *c = catalog_load(s, CATALOG_RECORDS, e);
	struct lineage_plan *p = out;
	struct tip tip = { 0 };

	*p = (struct lineage_plan){ 0 };
	if (!c)
		return -1;
	p->record.reason = REASON_INIT;
	p->move_head = true;
	if (c->has_head) {
		int same = same_history(s, c, f, &tip, p->differs, e);

		if (same < 0)
			return -1;
		p->record.reason = same ? REASON_CONTINUED : REASON_DIVERGED;
		p->move_head = same || f->adopt_local;
		if (head_generation(c) && (tip.found || f->have_state))
			fill_parent(p, c, &tip, f);
	}
	p->kept_lz4 = f->compression == COMPRESSION_AUTO && holds_lz4(c);
	p->record.compression =
		f->compression == COMPRESSION_LZ4 || p->kept_lz4 ? CODEC_LZ4 : CODEC_ZST;
	fill_record(p, f, now_ms);
	fill_head(p, c, now_ms);
	return 0;
}

int lineage_write_record(struct store *s, const struct lineage_plan *p, struct err *e)
{
	struct buf b = BUF(RECORDS_SIZE_MAX);
	struct fact f = { .kind = LAYOUT_LINEAGE };
	struct store_put put = { .if_absent = true };
	char key[LAYOUT_KEY_MAX];

	memcpy(f.generation, p->record.generation, sizeof(f.generation));
	layout_format(&f, key);
	records_lineage_format(&p->record, &b);
	int rc = s->ops->put(s, key, b.p, b.len, &put, e);

	buf_free(&b);
	return rc;
}

static int put_head(struct store *s, struct lineage_plan *p, struct err *e)
{
	struct buf b = BUF(RECORDS_SIZE_MAX);
	char etag[STORE_ETAG_MAX] = "";
	struct store_put put = { .if_absent = !p->etag[0],
				 .if_match = p->etag[0] ? p->etag : NULL,
				 .etag_out = etag };

	records_head_format(&p->head, &b);
	int rc = s->ops->put(s, LAYOUT_HEAD_KEY, b.p, b.len, &put, e);

	buf_free(&b);
	if (rc == 0)
		memcpy(p->etag, etag, sizeof(p->etag));
	else if (e->code == ERR_EXISTS)
		err_slug(e, "head_moved");
	return rc;
}

int lineage_write_head(struct store *s, struct lineage_plan *p, int64_t now_ms,
		       struct err *e)
{
	if (!p->move_head)
		return 0;
	p->head.updated_at_ms = now_ms;
	return put_head(s, p, e);
}

int lineage_release(struct store *s, struct lineage_plan *p, int64_t now_ms, struct err *e)
{
	if (!p->move_head)
		return 0;
	p->head.released = true;
	p->head.released_at_ms = p->head.updated_at_ms = now_ms;
	return put_head(s, p, e);
}
