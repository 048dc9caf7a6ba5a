/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/restore/restore.h"

#include "agent/exit.h"
#include "agent/restore/restore_int.h"
#include "agent/swap/swap.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "wal/trailer.h"

#include <stdlib.h>
#include <string.h>

enum {
	LIST_AGAIN = 3, /* times, when objects vanish between LIST and GET */
	TEXT_MAX = 64 * 1024,
};

/* ---- the replicas ---- */

static void replica_close(struct replica_at_hand *r)
{
	catalog_free(r->catalog);
	store_close(r->store);
	r->catalog = NULL;
	r->store = NULL;
}

static int load_catalog(struct replica_at_hand *r, const struct restore_request *q,
			struct buf *notes, struct err *e)
{
	unsigned want = q->target.kind == PLAN_TIME ? CATALOG_RECORDS : 0;

	catalog_free(r->catalog);
	r->catalog = catalog_load(r->store, want, e);
	if (!r->catalog) {
		exit_mark_listing(e);
		return -1;
	}
	r->gen = plan_generation(r->catalog, &q->target, notes, e);
	return r->gen ? 0 : -1;
}

static void replica_open(struct replica_at_hand *r, const struct restore_request *q,
			 struct buf *notes)
{
	struct store_options o = { .stop = q->stop, .timeout_ms = q->store_timeout_ms };

	r->store = store_open(r->config, &o, &r->err);
	if (r->store && load_catalog(r, q, notes, &r->err) < 0 && r->err.code == ERR_NONE)
		err_set(&r->err, ERR_BUG, "%s: no reason given", r->store->url);
}

/* The newest moment of a replica, to choose between several: its last object's word, else the store's time. */
static int64_t newest_moment(const struct replica_at_hand *r)
{
	const struct cat_generation *g = r->gen;
	struct trailer t CLEANUP(trailer_free) = { .ncommits = 0 };
	const struct cat_object *o = NULL;
	bool snapshot = g->nsegments == 0;
	char key[LAYOUT_KEY_MAX];
	struct err le = ERR_INIT;

	if (!g->has_record)
		return g->last_ms;
	o = snapshot ? &g->snapshots[g->nsnapshots - 1] : &g->segments[g->nsegments - 1];
	catalog_key(g, o, snapshot, key);
	return catalog_trailer(r->store, key, o->size, &t, &le) == 1 ? t.time_ms
								     : g->last_ms;
}

/* How much an error says when several replicas failed: one that did not answer outweighs one that is damaged, that
 * one which is empty. */
static int weight(const struct err *e)
{
	switch (exit_from_err(e)) {
	case EXIT_UNREACHABLE:
	case EXIT_DENIED:
		return 4;
	case EXIT_DIFFER:
		return 3;
	case EXIT_DAMAGED:
		return 2;
	case EXIT_NO_BACKUP:
		return 1;
	default:
		return 5;
	}
}

static void warn_about(struct restoring *x, const struct replica_at_hand *r)
{
	buf_addf(&x->warnings, "replica %s: %s\n", r->config->name, r->err.msg);
}

/* Is it this machine's or the user's matter, so that no other replica can help? */
static bool is_local(const struct err *e)
{
	return e->code == ERR_IO || e->code == ERR_CANCELED || e->code == ERR_USAGE ||
	       e->code == ERR_BUG || exit_from_err(e) == EXIT_LOCKED;
}

/* ---- one replica ---- */

static int restore_replica(struct restoring *x, struct replica_at_hand *r, struct err *e)
{
	struct err le = ERR_INIT;

	for (int i = 0; i < LIST_AGAIN; i++) {
		size_t said = x->warnings.len;

		le = (struct err)ERR_INIT;
		if (i > 0 && load_catalog(r, x->request, NULL, &le) < 0)
			break;
		if (restore_generation(x, r, &le) == 0)
			return 0;
		/* An object that vanished: retention or compaction went by. */
		if (le.code != ERR_NOT_FOUND || le.exit != 0)
			break;
		x->warnings.len = said;
	}
	if (le.code == ERR_NOT_FOUND && le.exit == 0) {
		err_slug(&le, "object_vanished");
		err_hint(&le, "the replica changes while it is read, or its list does not "
			      "tell the truth: run this again");
		err_exit(&le, EXIT_DAMAGED);
	} else if (!is_local(&le)) {
		exit_mark_store(&le);
	}
	*e = le;
	return -1;
}

static void report_replica(struct restoring *x, const struct replica_at_hand *r)
{
	free(x->report->replica_name);
	free(x->report->replica_url);
	x->report->replica_name = mem_str(r->config->name);
	x->report->replica_url = mem_str(r->store->url);
}

/* The best usable replica not tried yet; the configuration's order among equals. */
static struct replica_at_hand *best_left(struct replica_at_hand *list, size_t n)
{
	struct replica_at_hand *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (list[i].err.code == ERR_NONE &&
		    (!best || list[i].newest_ms > best->newest_ms))
			best = &list[i];
	return best;
}

static int restore_best(struct restoring *x, struct replica_at_hand *list, size_t n,
			struct err *e)
{
	const struct replica_at_hand *worst = NULL;
	struct replica_at_hand *r;

	for (size_t i = 0; i < n; i++)
		if (list[i].err.code != ERR_NONE && is_local(&list[i].err)) {
			*e = list[i].err;
			return -1;
		}
	while ((r = best_left(list, n)) != NULL) {
		report_replica(x, r);
		if (restore_replica(x, r, &r->err) == 0) {
			for (size_t i = 0; i < n; i++)
				if (list[i].err.code != ERR_NONE)
					warn_about(x, &list[i]);
			return 0;
		}
		if (is_local(&r->err)) {
			*e = r->err;
			return -1;
		}
	}
	for (size_t i = 0; i < n; i++)
		if (!worst || weight(&list[i].err) > weight(&worst->err))
			worst = &list[i];
	if (!worst)
		return err_set(e, ERR_USAGE, "no replica is configured");
	*e = worst->err;
	for (size_t i = 0; i < n; i++)
		if (&list[i] != worst)
			warn_about(x, &list[i]);
	if (n > 1)
		err_wrap(e, "replica %s", worst->config->name);
	return -1;
}

static int with_replicas(struct restoring *x, struct err *e)
{
	const struct restore_request *q = x->request;
	struct replica_at_hand *list = mem_array(q->db->nreplicas + 1, sizeof(*list));
	size_t n = 0;
	int r = -1;

	if (q->replica && !config_replica(q->db, q->replica, e))
		goto out;
	for (size_t i = 0; i < q->db->nreplicas; i++)
		if (!q->replica || strcmp(q->db->replicas[i].name, q->replica) == 0)
			list[n++].config = &q->db->replicas[i];
	for (size_t i = 0; i < n; i++)
		replica_open(&list[i], q, &x->notes);
	for (size_t i = 0; n > 1 && i < n; i++)
		if (list[i].err.code == ERR_NONE)
			list[i].newest_ms = newest_moment(&list[i]);
	r = restore_best(x, list, n, e);
	for (size_t i = 0; i < n; i++)
		replica_close(&list[i]);
out:
	free(list);
	return r;
}

/* ---- into place ---- */

static int deliver(struct restoring *x, struct err *e)
{
	const struct restore_request *q = x->request;
	struct restore_report *rep = x->report;
	bool moved = false;

	if (place_seal(&x->place, q, &rep->sync_ms, e) < 0)
		return -1;
	if (q->output_fd > 0)
		return place_copy(&x->place, q->output_fd, q->stop, e);
	if (q->temp_only) {
		rep->temp = STEAL(x->place.path);
		rep->temp_fd = steal_fd(&x->place.fd);
		rep->output = mem_str(x->place.output);
		return 0;
	}
	if (place_commit(&x->place, &moved, e) < 0)
		return -1;
	if (moved)
		buf_addf(&x->warnings,
			 "what was left of an earlier database beside %s was moved aside\n",
			 x->place.output);
	rep->output = mem_str(x->place.output);
	return 0;
}

static int refuse_output(const struct restore_request *q, struct err *e)
{
	const char *output = q->output ? q->output : q->db->path;

	if (q->dry_run || q->output_fd > 0)
		return 0;
	if (!output)
		return err_set(e, ERR_USAGE, "output path required");
	return place_refuse(output, q->temp_only, e);
}

/* A swap that a crash interrupted is finished before anything else looks at the file. */
static int finish_swap(const struct restore_request *q, struct err *e)
{
	const char *output = q->output ? q->output : q->db->path;
	char *real AUTO_FREE = NULL;
	struct swap_report sw = { .quarantine = NULL };
	struct err le = ERR_INIT;
	int r;

	if (q->dry_run || q->output_fd > 0 || !output)
		return 0;
	real = file_realpath(output, &le);
	if (!real)
		return 0; /* not even its folder is there */
	r = swap_recover(real, &sw, e);
	swap_report_free(&sw);
	return r;
}

static char *text_of(struct buf *b)
{
	return mem_strn(b->p ? (const char *)b->p : "", b->len);
}

int restore_run(const struct restore_request *q, struct restore_report *report,
		struct err *e)
{
	struct restoring x = {
		.request = q,
		.report = report,
		.place = { .fd = -1 },
		.warnings = BUF(TEXT_MAX),
		.notes = BUF(TEXT_MAX),
	};
	int64_t began = clock_mono_ms();
	int r = -1;

	*report = (struct restore_report){ .temp_fd = -1 };
	if (finish_swap(q, e) == 0 && refuse_output(q, e) == 0 && with_replicas(&x, e) == 0)
		r = q->dry_run ? 0 : deliver(&x, e);
	place_drop(&x.place);
	report->warnings = text_of(&x.warnings);
	report->notes = text_of(&x.notes);
	report->total_ms = clock_mono_ms() - began;
	buf_free(&x.warnings);
	buf_free(&x.notes);
	return r;
}

void restore_report_free(struct restore_report *report)
{
	free(report->replica_name);
	free(report->replica_url);
	free(report->output);
	free(report->temp);
	free(report->warnings);
	free(report->notes);
	if (report->temp_fd >= 0)
		close(report->temp_fd);
	*report = (struct restore_report){ .temp_fd = -1 };
}
