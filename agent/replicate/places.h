/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A few places in a worker pool for those that will probably only wait: replicas whose last
 * try failed.  So a store that is away, however many databases go to it, leaves
 * workers for the others.  Any thread.
 */
#ifndef AGENT_PLACES_H
#define AGENT_PLACES_H

#include <stdatomic.h>
#include <stdbool.h>

struct places {
	atomic_int left;
};

/* False: all are taken; try again later.  Every true is followed by places_leave. */
static inline bool places_take(struct places *p)
{
	if (atomic_fetch_sub(&p->left, 1) > 0)
		return true;
	atomic_fetch_add(&p->left, 1);
	return false;
}

/* If *held, it is held no more. */
static inline void places_leave(struct places *p, bool *held)
{
	if (*held)
		atomic_fetch_add(&p->left, 1);
	*held = false;
}

#endif
