/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fixed pool of worker threads and a timer.  A job is never run by two
 * workers at once: a wake-up that comes while it runs makes it run once more.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>
#include <stdint.h>

struct pool;
struct job;

/* Workers block all signals.  name: thread name, at most 15 characters. */
struct pool *pool_new(const char *name, int workers);
/* Waits for running jobs; pending ones are dropped.  Jobs may be destroyed after their pool;
 * nobody may wake them while this runs, and waking them afterwards does nothing. */
void pool_destroy(struct pool *p);

/* fn runs on a worker.  The job belongs to the caller; nothing runs before the first wake. */
struct job *job_new(struct pool *p, void (*fn)(void *arg), void *arg);
/* Waits until it is not running; from then on it never runs and waking it does nothing.  For jobs that wake
 * each other: all leave before the first is destroyed. */
void job_leave(struct job *j);
/* job_leave, then frees; must not be called from its own fn. */
void job_destroy(struct job *j);
void job_wake(struct job *j); /* run soon; any thread */
void job_wake_at(
	struct job *j,
	int64_t mono_ms); /* run at that clock_mono_ms, or earlier if one is set earlier */
void job_wake_cancel(struct job *j); /* forget the timer */

#endif
