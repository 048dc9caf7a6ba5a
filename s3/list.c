/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page names at most a thousand keys, and which page comes next is known when
 * it has come: a hundred thousand keys are a hundred round trips.
 *
 * The wide LIST begins in the same way, which is all there is to most.  When the
 * first page is not the last one, it asks for the groups of keys behind it (a LIST
 * with `fold` as its delimiter: a thousand groups a page), cuts them into ranges
 * of about a page, and lists the ranges side by side; and so on behind the last
 * group named.  A range (after, upto] is left at the first key beyond it.  Where
 * the groups are small, the rest is one range: page after page.
 *
 * Keys of no group come from the page that named the groups, and not from the
 * ranges.  So a snapshot is never listed later than the segments that were stored
 * before it, as in a LIST from front to back.
 *
 * That needs a store whose keys come in the order of their bytes, which S3
 * promises for all but its directory buckets.  Each page is checked for it.
 */
#include "s3/list.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/text.h"

#include <pthread.h>
#include <string.h>

#define PAGES_MAX 100000
#define WIDTH 8u
#define GROUPS_MAX 1000u /* of a page */
#define GROUP_MIN 4u	 /* keys: smaller groups are no shorter to list than their keys */

/* One LIST, page after page. */
struct lister {
	struct s3_client *client;
	const char *prefix, *delimiter, *after;
	char token[S3_TOKEN_MAX];
	struct s3_xml_list page;
	struct s3_op op;
	struct buf body;
};

static void lister_prepare(struct lister *l)
{
	l->body = (struct buf)BUF(S3_XML_MAX);
	l->op = (struct s3_op){ .what = "list", .method = "GET", .out = &l->body };
	s3_op_query(&l->op, "list-type", "2");
	s3_op_query(&l->op, "prefix", l->prefix);
	if (l->delimiter)
		s3_op_query(&l->op, "delimiter", l->delimiter);
	if (l->token[0])
		s3_op_query(&l->op, "continuation-token", l->token);
	else if (l->after && l->after[0])
		s3_op_query(&l->op, "start-after", l->after);
}

static void lister_release(struct lister *l)
{
	s3_op_free(&l->op);
	buf_free(&l->body);
}

static int never_ends(const struct lister *l, struct err *e)
{
	return err_set(e, ERR_CORRUPT, "list %s: the store's pages have no end",
		       s3_client_bucket(l->client));
}

/* The page that came.  1: more pages follow, 0: that was the last, or the callback had enough. */
static int lister_take(struct lister *l, s3_list_cb *cb, void *arg, struct err *e)
{
	if (l->op.rc < 0) {
		*e = l->op.err;
		return -1;
	}
	int rc = s3_xml_list(l->body.p, l->body.len, &l->page, cb, arg, e);

	if (rc < 0)
		return err_wrap(e, "list %s", s3_client_bucket(l->client));
	if (rc > 0 || !l->page.truncated)
		return 0;
	if (!l->page.token[0] || strcmp(l->page.token, l->token) == 0)
		return never_ends(l, e);
	memcpy(l->token, l->page.token, sizeof(l->token));
	return 1;
}

/* Ask for the next page and wait for it; as lister_take. */
static int lister_turn(struct lister *l, s3_list_cb *cb, void *arg, struct err *e)
{
	lister_prepare(l);
	int rc = s3_run(l->client, &l->op, e);

	if (rc == 0)
		rc = lister_take(l, cb, arg, e);
	lister_release(l);
	return rc;
}

int s3_list(struct s3_client *c, const char *prefix, const char *delimiter, s3_list_cb *cb,
	    void *arg, struct err *e)
{
	AUTO_FREE struct lister *l = mem_alloc(sizeof(*l));
	int rc = 1;

	*l = (struct lister){ .client = c, .prefix = prefix, .delimiter = delimiter };
	for (unsigned pages = 0; rc == 1; pages++)
		rc = pages == PAGES_MAX ? never_ends(l, e) : lister_turn(l, cb, arg, e);
	return rc;
}

/* ---- the wide LIST ---- */

enum outcome {
	FAILED = -1,
	GOES_ON,
	OUT_OF_ORDER, /* or groups are not to be had */
	ENOUGH,
};

struct wide;

struct range {
	struct lister l;
	struct wide *wide;
	const char *upto;    /* NULL: the end */
	char *last;	     /* its newest key */
	size_t keys, groups; /* that came; that began */
	bool out, came;	     /* under wide's lock */
};

struct wide {
	struct s3_client *client;
	const char *prefix;
	char fold[2];
	s3_list_cb *cb;
	void *arg;
	unsigned pages;
	enum outcome outcome;
	char *from;	     /* everything up to here is listed */
	char *single, *seen; /* the newest key of no group, now and when this page of groups
				  * began; NULL: such keys come from the ranges */
	char *group[GROUPS_MAX]; /* the groups behind it, as many as are known ... */
	size_t ngroups;
	bool more_groups; /* ... and there are others */
	size_t step;	  /* groups to a range, a little less than were on the first page */
	struct range range[WIDTH];
	pthread_mutex_t lock;
	pthread_cond_t any_came;
};

static void range_init(struct wide *w, struct range *r, const char *after, const char *upto)
{
	free(r->last);
	*r = (struct range){
		.l = { .client = w->client, .prefix = w->prefix, .after = after },
		.wide = w,
		.upto = upto,
		.last = mem_str(after),
	};
}

/* How much of the key names its group; 0: it is in none. */
static size_t group_len(const struct wide *w, const char *key)
{
	size_t skip = strlen(w->prefix);

	if (!text_starts(key, w->prefix))
		return 0;
	size_t n = skip + strcspn(key + skip, w->fold);

	return key[n] ? n + 1 : 0;
}

static void deliver(struct wide *w, const struct s3_xml_object *o)
{
	if (w->cb(w->arg, o))
		w->outcome = ENOUGH;
}

static int on_key(void *arg, const struct s3_xml_object *o)
{
	struct range *r = arg;
	struct wide *w = r->wide;
	size_t group = group_len(w, o->key);

	if (r->last && strcmp(o->key, r->last) <= 0) {
		w->outcome = OUT_OF_ORDER;
		return 1;
	}
	if (r->upto && strcmp(o->key, r->upto) > 0)
		return 1;
	r->keys++;
	if (group && (!r->last || strncmp(o->key, r->last, group) != 0))
		r->groups++;
	free(r->last);
	r->last = mem_str(o->key);
	if (group || !w->single)
		deliver(w, o);
	return w->outcome != GOES_ON;
}

static bool page_allowed(struct wide *w, const struct lister *l, struct err *e)
{
	if (w->pages++ < PAGES_MAX)
		return true;
	return never_ends(l, e) == 0;
}

/* ---- the ranges ---- */

static void on_page(struct s3_op *op)
{
	struct range *r = op->arg;

	pthread_mutex_lock(&r->wide->lock);
	r->came = true;
	pthread_cond_signal(&r->wide->any_came);
	pthread_mutex_unlock(&r->wide->lock);
}

static void range_ask(struct wide *w, struct range *r, struct err *e)
{
	if (!page_allowed(w, &r->l, e)) {
		w->outcome = FAILED;
		return;
	}
	lister_prepare(&r->l);
	r->l.op.done = on_page;
	r->l.op.arg = r;
	r->came = false;
	r->out = true;
	s3_start(w->client, &r->l.op);
}

static struct range *wait_for_any(struct wide *w)
{
	struct range *found = NULL;
	size_t out = 0;

	/* Ends by itself: the loop keeps each request's deadline and the stop token. */
	pthread_mutex_lock(&w->lock);
	for (;;) {
		for (size_t i = 0; i < WIDTH; i++) {
			out += w->range[i].out;
			if (w->range[i].out && w->range[i].came)
				found = &w->range[i];
		}
		if (found || !out)
			break;
		pthread_cond_wait(&w->any_came, &w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return found;
}

/* Deliver the page that came, and ask for the range's next one. */
static void range_go_on(struct wide *w, struct range *r, struct err *e)
{
	int rc = 0;

	if (w->outcome == GOES_ON && (rc = lister_take(&r->l, on_key, r, e)) < 0)
		w->outcome = FAILED;
	lister_release(&r->l);
	r->out = false;
	if (w->outcome == GOES_ON && rc == 1)
		range_ask(w, r, e);
}

/* Range i of those into which the groups are cut. */
static void range_begin(struct wide *w, struct range *r, size_t i, struct err *e)
{
	size_t first = i * w->step, end = first + w->step;
	bool open = end >= w->ngroups && !w->more_groups;

	if (end > w->ngroups)
		end = w->ngroups;
	range_init(w, r, i ? w->group[first - 1] : w->from,
		   open ? NULL : w->group[end - 1]);
	range_ask(w, r, e);
}

static void cancel_all(struct wide *w)
{
	for (size_t i = 0; i < WIDTH; i++)
		if (w->range[i].out)
			s3_cancel(&w->range[i].l.op);
}

static void list_ranges(struct wide *w, struct err *e)
{
	size_t next = 0, n = w->ngroups ? (w->ngroups + w->step - 1) / w->step : 1;
	struct range *r;

	for (; next < n && next < WIDTH && w->outcome == GOES_ON; next++)
		range_begin(w, &w->range[next], next, e);
	while ((r = wait_for_any(w))) {
		range_go_on(w, r, e);
		if (w->outcome != GOES_ON)
			cancel_all(w);
		else if (!r->out && next < n)
			range_begin(w, r, next++, e);
	}
}

/* ---- the groups ---- */

/* A key of no group. */
static void on_single(struct wide *w, const struct s3_xml_object *o)
{
	if (strcmp(o->key, w->seen) <= 0)
		return; /* it came with the page before */
	if (strcmp(o->key, w->single) <= 0) {
		w->outcome = OUT_OF_ORDER;
		return;
	}
	free(w->single);
	w->single = mem_str(o->key);
	deliver(w, o);
}

static int on_group(void *arg, const struct s3_xml_object *o)
{
	struct wide *w = arg;
	const char *last = w->ngroups ? w->group[w->ngroups - 1] : NULL;

	if (!o->is_prefix) {
		if (!group_len(w, o->key))
			on_single(w, o);
	} else if (last && (strcmp(o->key, last) <= 0 || w->ngroups == GROUPS_MAX)) {
		w->outcome = OUT_OF_ORDER;
	} else if (strcmp(o->key, w->from) > 0) {
		w->group[w->ngroups++] = mem_str(o->key);
	}
	return w->outcome != GOES_ON;
}

static void forget_groups(struct wide *w)
{
	while (w->ngroups)
		free(w->group[--w->ngroups]);
}

/* One page of them. */
static void find_groups(struct wide *w, struct err *e)
{
	AUTO_FREE struct lister *l = mem_alloc(sizeof(*l));
	struct err le = ERR_INIT;

	*l = (struct lister){ .client = w->client,
			      .prefix = w->prefix,
			      .delimiter = w->fold,
			      .after = w->from };
	free(w->seen);
	w->seen = mem_str(w->single);
	int rc = page_allowed(w, l, &le) ? lister_turn(l, on_group, w, &le) : -1;

	w->more_groups = rc == 1;
	if (rc == 1 && !w->ngroups)
		w->outcome = OUT_OF_ORDER; /* a store that knows no such delimiter */
	if (rc >= 0)
		return;
	w->outcome = le.code == ERR_DENIED ? OUT_OF_ORDER : FAILED;
	if (w->outcome == FAILED)
		*e = le;
}

/* All behind w->from, in rounds of one page of groups; so many were on the first page. */
static void list_rest(struct wide *w, size_t groups, struct err *e)
{
	w->single = mem_str(w->from);
	w->step = groups > 1 ? groups - (groups + 4) / 5 : 1;
	do {
		find_groups(w, e);
		if (w->outcome == GOES_ON)
			list_ranges(w, e);
		free(w->from);
		w->from = w->ngroups ? mem_str(w->group[w->ngroups - 1]) : NULL;
		forget_groups(w);
	} while (w->outcome == GOES_ON && w->more_groups);
}

int s3_list_wide(struct s3_client *c, const char *prefix, char fold, s3_list_cb *cb,
		 void *arg, struct err *e)
{
	AUTO_FREE struct wide *w = mem_alloc(sizeof(*w));
	struct range *first = w->range;

	w->client = c;
	w->prefix = prefix;
	w->fold[0] = fold;
	w->cb = cb;
	w->arg = arg;
	w->pages = 1;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->any_came, NULL);
	range_init(w, first, NULL, NULL);
	int rc = lister_turn(&first->l, on_key, first, e);

	if (rc < 0)
		w->outcome = FAILED;
	if (rc == 1 && w->outcome == GOES_ON) {
		w->from = first->last ? STEAL(first->last) : mem_str("");
		if (first->groups * GROUP_MIN > first->keys)
			list_ranges(w, e);
		else
			list_rest(w, first->groups, e);
	}
	for (size_t i = 0; i < WIDTH; i++)
		free(w->range[i].last);
	free(w->from);
	free(w->single);
	free(w->seen);
	pthread_cond_destroy(&w->any_came);
	pthread_mutex_destroy(&w->lock);
	return w->outcome == FAILED ? -1 : w->outcome == OUT_OF_ORDER;
}
