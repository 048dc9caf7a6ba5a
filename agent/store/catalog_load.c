/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a catalog.  A store on this machine is asked for one thing after the
 * other: head, then list, so that the list holds what the head speaks of.  A
 * distant one is asked for both at once, and again for the list if it turns out
 * to be the older of the two.
 */
#include "agent/store/catalog.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/text.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define ROOT_ENTRIES_MAX 20000 /* of a root that is shared with other things */

static int on_object(void *arg, const struct store_object *o)
{
	catalog_add(arg, o->key, o->size, o->mtime_ms);
	return 0;
}

static int load_head(struct catalog *c, struct store *s, struct err *e)
{
	struct buf b CLEANUP(buf_free) = BUF(RECORDS_SIZE_MAX + 1);
	struct store_object meta = { .size = 0 };
	struct err le = ERR_INIT;

	if (s->ops->get(s, LAYOUT_HEAD_KEY, 0, UINT64_MAX, &b, &meta, &le) < 0) {
		if (le.code == ERR_NOT_FOUND)
			return 0;
		if (le.code != ERR_CORRUPT) {
			*e = le;
			return -1;
		}
		c->has_head = true; /* larger than any record, for instance */
		c->head_error = mem_str(le.msg);
		return 0;
	}
	c->has_head = true;
	memcpy(c->head_etag, meta.etag, sizeof(c->head_etag));
	if (records_head_parse(&c->head, b.p, b.len, LAYOUT_HEAD_KEY, &le) < 0)
		c->head_error = mem_str(le.msg);
	return 0;
}

struct root_scan {
	unsigned folders; /* bit n: the folder of level n, bit 10: ltx/ */
	size_t entries;
	struct catalog *catalog;
};

/* For "is it one of these?": as many as there is room for. */
static void note_folder(struct catalog *c, const char *name)
{
	size_t used = strlen(c->below), n = strlen(name);

	if (n > 1 && name[n - 1] == '/' && !text_starts(name, LAYOUT_GENERATIONS) &&
	    used + n + 2 < sizeof(c->below))
		snprintf(c->below + used, sizeof(c->below) - used, "%s%s", used ? " " : "",
			 name);
}

static int on_root_entry(void *arg, const struct store_object *o)
{
	struct root_scan *r = arg;

	if (strcmp(o->key, "ltx/") == 0)
		r->folders |= 1U << 10;
	else if (strlen(o->key) == 5 && text_starts(o->key, "000") && o->key[3] >= '0' &&
		 o->key[3] <= '9' && o->key[4] == '/')
		r->folders |= 1U << (o->key[3] - '0');
	else
		note_folder(r->catalog, o->key);
	return ++r->entries >= ROOT_ENTRIES_MAX;
}

static int load_ltx(struct catalog *c, struct store *s, struct err *e)
{
	struct root_scan r = { .catalog = c };

	if (s->ops->list(s, "", true, on_root_entry, &r, e) < 0)
		return -1;
	for (unsigned i = 0; i <= 10; i++) {
		char prefix[] = "000?/";

		prefix[3] = (char)('0' + i);
		if ((r.folders & 1U << i) != 0 &&
		    s->ops->list(s, i == 10 ? "ltx/" : prefix, false, on_object, c, e) < 0)
			return -1;
	}
	return 0;
}

static int load_in_turn(struct catalog *c, struct store *s, bool want_ltx, struct err *e)
{
	if (load_head(c, s, e) < 0 ||
	    s->ops->list(s, LAYOUT_GENERATIONS, false, on_object, c, e) < 0)
		return -1;
	return !c->has_head || want_ltx ? load_ltx(c, s, e) : 0;
}

/* ---- from a distant store ---- */

/* The head and the LIST of the root by one thread, into c; what is below generations/ by the other. */
struct loading {
	struct store *s;
	struct catalog *c, *listed;
	bool want_ltx;
	struct err head, list, ltx;
	atomic_bool over; /* the head's error makes the list useless */
};

static void *load_beside(void *arg)
{
	struct loading *l = arg;

	if (load_head(l->c, l->s, &l->head) < 0)
		atomic_store(&l->over, true);
	else if (!l->c->has_head || l->want_ltx)
		(void)!load_ltx(l->c, l->s, &l->ltx); /* what went wrong is in ltx */
	return NULL;
}

/* Signals are the main thread's. */
static bool start_beside(struct loading *l, pthread_t *thread)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	bool started = pthread_create(thread, NULL, load_beside, l) == 0;

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return started;
}

static int on_listed(void *arg, const struct store_object *o)
{
	struct loading *l = arg;

	catalog_add(l->listed, o->key, o->size, o->mtime_ms);
	return atomic_load(&l->over);
}

static int list_below(struct loading *l, struct err *e)
{
	const struct store_ops *ops = l->s->ops;

	l->listed = catalog_new();
	/* Grouped by their '_', segments are indexes. */
	int rc = ops->list_wide(l->s, LAYOUT_GENERATIONS, '_', on_listed, l, e);

	if (rc <= 0)
		return rc;
	catalog_free(l->listed);
	l->listed = catalog_new();
	return ops->list(l->s, LAYOUT_GENERATIONS, false, on_listed, l, e);
}

static void take_listed(struct loading *l)
{
	struct catalog *c = l->c, none = *c;

	c->gens = l->listed->gens;
	c->ngens = l->listed->ngens;
	c->gens_cap = l->listed->gens_cap;
	c->others = l->listed->others;
	l->listed->gens = none.gens; /* a store's that answered with keys not asked for */
	l->listed->ngens = none.ngens;
	catalog_free(STEAL(l->listed));
}

/* The writer stores a generation's beginning, then the head that names it: a head without one is
 * newer than the list. */
static bool list_is_older(const struct catalog *c)
{
	const struct cat_generation *g;

	if (!c->has_head || c->head_error)
		return false;
	g = catalog_find(c, c->head.generation);
	return !g || !g->nsnapshots;
}

static const struct err *first_error(const struct loading *l)
{
	return l->head.code ? &l->head : l->list.code ? &l->list : &l->ltx;
}

static int load_at_once(struct catalog *c, struct store *s, bool want_ltx, struct err *e)
{
	struct loading l = { .s = s, .c = c, .want_ltx = want_ltx };
	pthread_t thread;
	bool beside = start_beside(&l, &thread);

	if (!beside)
		(void)load_beside(&l);
	int rc = list_below(&l, &l.list);

	if (beside)
		pthread_join(thread, NULL);
	take_listed(&l);
	if (rc == 0 && !first_error(&l)->code && list_is_older(c)) {
		rc = list_below(&l, &l.list);
		take_listed(&l);
	}
	if (first_error(&l)->code) {
		*e = *first_error(&l);
		return -1;
	}
	return rc;
}

struct catalog *catalog_load(struct store *s, unsigned want, struct err *e)
{
	struct catalog *c CLEANUP(catalog_freep) = catalog_new();
	bool distant = s->ops->list_wide, ltx = (want & CATALOG_LTX) != 0;

	if ((distant ? load_at_once(c, s, ltx, e) : load_in_turn(c, s, ltx, e)) < 0)
		return NULL;
	catalog_sort(c);
	if ((want & CATALOG_RECORDS) && catalog_load_records(c, s, e) < 0)
		return NULL;
	return STEAL(c);
}
