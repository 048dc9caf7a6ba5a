/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many pieces at once, delivered in order.  A ring of slots holds the pieces
 * that are asked for or wait for their turn; a piece that comes in makes room
 * for the next request at once, on the loop's thread, so that the connections
 * stay busy while the consumer works.
 */
#include "agent/store/store_s3.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "s3/object.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#define WINDOW_MAX 512u
/* Small pieces wait in number: those behind a large one are fetched while it comes. */
#define SLOTS_PER_WINDOW 24u
/* Buffers are kept for the next pieces: memory that was given back comes again page by page. */
#define SPARES 64
#define SPARE_BYTES ((size_t)4 << 20)
#define UNKNOWN_EXPECT ((uint64_t)64 << 20)

struct slot {
	struct store_fetch *f;
	struct s3_get get;
	struct buf data;
	char *key;
	struct err err; /* of a name that cannot be asked for */
	enum { SLOT_FREE, SLOT_OUT, SLOT_DONE, SLOT_BAD } state;
};

struct store_fetch {
	struct s3_store *s;
	const struct store_piece *pieces;
	size_t n;
	unsigned window;
	uint64_t max_bytes;

	pthread_mutex_t lock;
	pthread_cond_t came;
	struct slot *slot;
	size_t nslots;
	size_t asked, taken; /* pieces: asked for, delivered */
	unsigned out;	     /* requests */
	uint64_t bytes;	     /* expected of those asked for and not delivered */
	unsigned filling;    /* threads of the loop inside fill */
	bool ending;
	struct buf spare[SPARES];
	unsigned nspare;
	size_t spare_bytes;
};

static uint64_t expected(const struct store_piece *p)
{
	if (p->len != UINT64_MAX)
		return p->len;
	return p->expect;
}

/* How much a piece's buffer may take: no more than was announced. */
static uint64_t ceiling(const struct store_piece *p)
{
	if (p->expect)
		return p->expect;
	return p->len < UNKNOWN_EXPECT ? p->len : UNKNOWN_EXPECT;
}

/* ---- spare buffers ---- */

static void take_spare(struct store_fetch *f, struct buf *b)
{
	pthread_mutex_lock(&f->lock);
	if (f->nspare) {
		*b = f->spare[--f->nspare];
		f->spare_bytes -= b->cap;
	}
	pthread_mutex_unlock(&f->lock);
}

static void put_spare(struct store_fetch *f, struct buf *b)
{
	pthread_mutex_lock(&f->lock);
	if (b->cap && f->asked < f->n && f->nspare < SPARES &&
	    f->spare_bytes + b->cap <= SPARE_BYTES) {
		f->spare_bytes += b->cap;
		f->spare[f->nspare++] = *b;
		*b = (struct buf)BUF(0);
	}
	pthread_mutex_unlock(&f->lock);
	buf_free(b);
}

/* ---- asking ---- */

/* The one that the consumer waits for. */
static struct slot *next_slot(const struct store_fetch *f)
{
	return &f->slot[f->taken % f->nslots];
}

static void fill(struct store_fetch *f);

static void on_piece(struct s3_op *op)
{
	struct slot *s = op->arg;
	struct store_fetch *f = s->f;

	pthread_mutex_lock(&f->lock);
	s->state = SLOT_DONE;
	f->out--;
	f->filling++; /* keeps the fetch until we are through */
	if (f->ending || s == next_slot(f))
		pthread_cond_broadcast(&f->came);
	pthread_mutex_unlock(&f->lock);
	fill(f);
	pthread_mutex_lock(&f->lock);
	f->filling--;
	if (f->ending)
		pthread_cond_broadcast(&f->came);
	pthread_mutex_unlock(&f->lock);
}

/* Reserve the next piece's slot if the limits allow one more; under the lock. */
static struct slot *reserve(struct store_fetch *f)
{
	if (f->ending || f->asked == f->n || f->out >= f->window ||
	    f->asked - f->taken >= f->nslots)
		return NULL;
	uint64_t want = expected(&f->pieces[f->asked]);

	if (f->asked > f->taken && f->bytes + want > f->max_bytes)
		return NULL;
	struct slot *s = &f->slot[f->asked++ % f->nslots];

	f->bytes += want;
	f->out++;
	s->state = SLOT_OUT;
	return s;
}

static void ask(struct store_fetch *f, struct slot *s, const struct store_piece *p)
{
	s->f = f;
	s->err = (struct err)ERR_INIT;
	s->key = store_s3_key(f->s, p->key, &s->err);
	if (!s->key) {
		pthread_mutex_lock(&f->lock);
		s->state = SLOT_BAD;
		f->out--;
		pthread_cond_broadcast(&f->came);
		pthread_mutex_unlock(&f->lock);
		return;
	}
	take_spare(f, &s->data);
	s->data.max = ceiling(p) < SIZE_MAX / 2 ? (size_t)ceiling(p) : SIZE_MAX / 2;
	buf_reset(&s->data);
	if (expected(p) <= s->data.max) /* at once, instead of doubling up to it */
		(void)buf_space(&s->data, (size_t)expected(p));
	s3_get_init(&s->get, s->key, p->offset, p->len, expected(p), &s->data);
	s->get.op.done = on_piece;
	s->get.op.arg = s;
	s3_start(f->s->client, &s->get.op);
}

/* Ask for as many pieces as the limits allow. */
static void fill(struct store_fetch *f)
{
	for (;;) {
		pthread_mutex_lock(&f->lock);
		size_t i = f->asked;
		struct slot *s = reserve(f);

		pthread_mutex_unlock(&f->lock);
		if (!s)
			return;
		ask(f, s, &f->pieces[i]);
	}
}

struct store_fetch *store_s3_fetch_begin(struct store *s, const struct store_piece *pieces,
					 size_t n, unsigned window, size_t max_bytes)
{
	struct store_fetch *f = mem_alloc(sizeof(*f));

	f->s = (struct s3_store *)s;
	f->pieces = pieces;
	f->n = n;
	f->window = window == 0 ? 1 : window < WINDOW_MAX ? window : WINDOW_MAX;
	f->max_bytes = max_bytes;
	f->nslots = (size_t)f->window * SLOTS_PER_WINDOW;
	f->slot = mem_array(f->nslots, sizeof(*f->slot));
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->came, NULL);
	fill(f);
	return f;
}

/* Hand the slot's bytes over without copying, when the caller's ceiling allows. */
static int deliver(struct slot *s, struct buf *out, struct err *e)
{
	if (s->data.len > out->max)
		return err_set(e, ERR_CORRUPT,
			       "get %s: %zu bytes are more than the %zu expected", s->key,
			       s->data.len, out->max);
	struct buf mine = s->data;

	s->data = (struct buf){ .p = out->p, .cap = out->cap };
	out->p = mine.p;
	out->cap = mine.cap;
	out->len = mine.len;
	return 1;
}

static void release(struct slot *s)
{
	if (s->state == SLOT_DONE)
		s3_get_free(&s->get);
	free(STEAL(s->key));
	put_spare(s->f, &s->data);
	s->state = SLOT_FREE;
}

int store_s3_fetch_next(struct store_fetch *f, struct buf *out, struct err *e)
{
	buf_reset(out);
	if (f->taken == f->n)
		return 0;
	struct slot *s = next_slot(f);

	pthread_mutex_lock(&f->lock);
	while (s->state == SLOT_OUT)
		pthread_cond_wait(&f->came, &f->lock);
	pthread_mutex_unlock(&f->lock);
	int rc = -1;

	if (s->state == SLOT_BAD)
		*e = s->err;
	else if (s3_get_finish(&s->get, NULL, e) == 0)
		rc = deliver(s, out, e);
	release(s);
	pthread_mutex_lock(&f->lock);
	f->bytes -= expected(&f->pieces[f->taken++]);
	pthread_mutex_unlock(&f->lock);
	fill(f);
	return rc;
}

void store_s3_fetch_end(struct store_fetch *f)
{
	pthread_mutex_lock(&f->lock);
	f->ending = true;
	while (f->filling) /* after this nothing new is asked for */
		pthread_cond_wait(&f->came, &f->lock);
	pthread_mutex_unlock(&f->lock);
	for (size_t i = f->taken; i < f->asked; i++) {
		struct slot *s = &f->slot[i % f->nslots];

		pthread_mutex_lock(&f->lock);
		bool out = s->state == SLOT_OUT;

		pthread_mutex_unlock(&f->lock);
		if (out)
			s3_cancel(&s->get.op);
	}
	pthread_mutex_lock(&f->lock);
	while (f->out || f->filling)
		pthread_cond_wait(&f->came, &f->lock);
	pthread_mutex_unlock(&f->lock);
	for (size_t i = f->taken; i < f->asked; i++)
		release(&f->slot[i % f->nslots]);
	while (f->nspare)
		buf_free(&f->spare[--f->nspare]);
	pthread_cond_destroy(&f->came);
	pthread_mutex_destroy(&f->lock);
	free(f->slot);
	free(f);
}
