/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ready jobs wait in a list, timed ones in a binary heap ordered by time.
 * One idle worker at a time sleeps until the first timer (the time keeper);
 * the others sleep until they are woken.  No thread exists only for timers.
 */
#include "base/pool.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NO_TIMER SIZE_MAX

struct job {
	struct pool *pool; /* NULL once the pool is gone */
	void (*fn)(void *arg);
	void *arg;
	struct job *next, *prev;	 /* the list of ready jobs, while queued */
	struct job *all_next, *all_prev; /* every job of the pool */
	bool queued, running, again, leaving;
	size_t slot; /* in the heap, or NO_TIMER */
	int64_t at;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work;  /* plain idle workers */
	pthread_cond_t timer; /* the time keeper */
	pthread_cond_t done;  /* a job stopped running */
	struct job *first, *last, *all;
	struct job **heap;
	size_t timers, heap_room;
	int idle; /* waiting on .work */
	bool keeper, ending;
	int workers;
	pthread_t *threads;
};

static void heap_put(struct pool *p, size_t slot, struct job *j)
{
	p->heap[slot] = j;
	j->slot = slot;
}

static void heap_up(struct pool *p, size_t slot, struct job *j)
{
	for (; slot && p->heap[(slot - 1) / 2]->at > j->at; slot = (slot - 1) / 2)
		heap_put(p, slot, p->heap[(slot - 1) / 2]);
	heap_put(p, slot, j);
}

static void heap_down(struct pool *p, size_t slot, struct job *j)
{
	for (;;) {
		size_t child = 2 * slot + 1;

		if (child + 1 < p->timers && p->heap[child + 1]->at < p->heap[child]->at)
			child++;
		if (child >= p->timers || p->heap[child]->at >= j->at)
			break;
		heap_put(p, slot, p->heap[child]);
		slot = child;
	}
	heap_put(p, slot, j);
}

static void heap_add(struct pool *p, struct job *j)
{
	if (p->timers == p->heap_room) {
		p->heap_room = p->heap_room ? p->heap_room * 2 : 16;
		p->heap = mem_grow(p->heap, p->heap_room, sizeof(struct job *));
	}
	heap_up(p, p->timers++, j);
}

static void heap_remove(struct pool *p, struct job *j)
{
	size_t slot = j->slot;

	if (slot == NO_TIMER)
		return;
	j->slot = NO_TIMER;
	struct job *moved = p->heap[--p->timers];

	if (moved == j)
		return;
	if (slot && p->heap[(slot - 1) / 2]->at > moved->at)
		heap_up(p, slot, moved);
	else
		heap_down(p, slot, moved);
}

static void enqueue(struct pool *p, struct job *j)
{
	j->queued = true;
	j->next = NULL;
	j->prev = p->last;
	if (p->last)
		p->last->next = j;
	else
		p->first = j;
	p->last = j;
}

static void dequeue(struct pool *p, struct job *j)
{
	if (!j->queued)
		return;
	j->queued = false;
	if (j->prev)
		j->prev->next = j->next;
	else
		p->first = j->next;
	if (j->next)
		j->next->prev = j->prev;
	else
		p->last = j->prev;
}

static void make_ready(struct pool *p, struct job *j)
{
	if (j->leaving)
		return;
	if (j->running)
		j->again = true;
	else if (!j->queued)
		enqueue(p, j);
}

/* One sleeper gets up: a plain one if there is one, so that the time keeper keeps time. */
static void call_worker(struct pool *p)
{
	if (p->idle)
		pthread_cond_signal(&p->work);
	else if (p->keeper)
		pthread_cond_signal(&p->timer);
}

static void fire_timers(struct pool *p)
{
	int64_t now = p->timers ? clock_mono_ms() : 0;

	while (p->timers && p->heap[0]->at <= now) {
		struct job *j = p->heap[0];

		heap_remove(p, j);
		make_ready(p, j);
	}
}

static void sleep_until_work(struct pool *p)
{
	if (p->keeper || !p->timers) {
		p->idle++;
		pthread_cond_wait(&p->work, &p->lock);
		p->idle--;
		return;
	}
	struct timespec until = { .tv_sec = p->heap[0]->at / 1000,
				  .tv_nsec = p->heap[0]->at % 1000 * 1000000 };

	p->keeper = true;
	pthread_cond_timedwait(&p->timer, &p->lock, &until);
	p->keeper = false;
}

static void run_job(struct pool *p, struct job *j)
{
	dequeue(p, j);
	j->running = true;
	/* While this worker is busy someone else must take the rest and keep the time. */
	if (p->first || (p->timers && !p->keeper))
		call_worker(p);
	pthread_mutex_unlock(&p->lock);
	j->fn(j->arg);
	pthread_mutex_lock(&p->lock);
	j->running = false;
	if (j->again) {
		j->again = false;
		enqueue(p, j);
	}
	pthread_cond_broadcast(&p->done);
}

static void *work(void *arg)
{
	struct pool *p = arg;

	pthread_mutex_lock(&p->lock);
	while (!p->ending) {
		fire_timers(p);
		if (p->first)
			run_job(p, p->first);
		else
			sleep_until_work(p);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void must(int sys, const char *what)
{
	if (!sys)
		return;
	fprintf(stderr, "walback: %s: error %d\n", what, sys);
	abort();
}

struct pool *pool_new(const char *name, int workers)
{
	struct pool *p = mem_alloc(sizeof(*p));
	sigset_t all, before;

	assert(workers > 0);
	must(pthread_mutex_init(&p->lock, NULL), "pthread_mutex_init");
	clock_cond_init(&p->work);
	clock_cond_init(&p->timer);
	clock_cond_init(&p->done);
	p->workers = workers;
	p->threads = mem_array((size_t)workers, sizeof(*p->threads));
	/* Threads inherit the mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (int i = 0; i < workers; i++) {
		must(pthread_create(&p->threads[i], NULL, work, p), "pthread_create");
		pthread_setname_np(p->threads[i], name);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return p;
}

void pool_destroy(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	pthread_cond_broadcast(&p->work);
	pthread_cond_broadcast(&p->timer);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->workers; i++)
		pthread_join(p->threads[i], NULL);
	for (struct job *j = p->all; j; j = j->all_next)
		j->pool = NULL;
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->timer);
	pthread_cond_destroy(&p->done);
	pthread_mutex_destroy(&p->lock);
	free(p->threads);
	free(p->heap);
	free(p);
}

struct job *job_new(struct pool *p, void (*fn)(void *arg), void *arg)
{
	struct job *j = mem_alloc(sizeof(*j));

	*j = (struct job){ .pool = p, .fn = fn, .arg = arg, .slot = NO_TIMER };
	pthread_mutex_lock(&p->lock);
	j->all_next = p->all;
	if (p->all)
		p->all->all_prev = j;
	p->all = j;
	pthread_mutex_unlock(&p->lock);
	return j;
}

static void leave_pool(struct pool *p, struct job *j)
{
	pthread_mutex_lock(&p->lock);
	if (j->leaving) {
		pthread_mutex_unlock(&p->lock);
		return;
	}
	j->leaving = true;
	j->again = false;
	heap_remove(p, j);
	dequeue(p, j);
	while (j->running)
		pthread_cond_wait(&p->done, &p->lock);
	if (j->all_prev)
		j->all_prev->all_next = j->all_next;
	else
		p->all = j->all_next;
	if (j->all_next)
		j->all_next->all_prev = j->all_prev;
	pthread_mutex_unlock(&p->lock);
}

void job_leave(struct job *j)
{
	if (j && j->pool)
		leave_pool(j->pool, j);
}

void job_destroy(struct job *j)
{
	job_leave(j);
	free(j);
}

void job_wake(struct job *j)
{
	struct pool *p = j->pool;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	bool was_queued = j->queued;

	make_ready(p, j);
	if (j->queued && !was_queued)
		call_worker(p);
	pthread_mutex_unlock(&p->lock);
}

void job_wake_at(struct job *j, int64_t mono_ms)
{
	struct pool *p = j->pool;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	if (!j->leaving && (j->slot == NO_TIMER || mono_ms < j->at)) {
		heap_remove(p, j);
		/* A condition variable takes no time before its clock began. */
		j->at = mono_ms > 0 ? mono_ms : 0;
		heap_add(p, j);
		if (!j->slot) {
			/* The first in time: the sleep until then must be set anew. */
			if (p->keeper)
				pthread_cond_signal(&p->timer);
			else
				call_worker(p);
		}
	}
	pthread_mutex_unlock(&p->lock);
}

void job_wake_cancel(struct job *j)
{
	struct pool *p = j->pool;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	heap_remove(p, j);
	pthread_mutex_unlock(&p->lock);
}
