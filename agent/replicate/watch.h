/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of files, so that a database at rest costs no wake-ups.  inotify; where
 * there is none, watch_new gives NULL and its users poll.  What cannot be watched (the
 * system's limit, a folder that is not there) is polled until watch_arm says that it is;
 * the first time is logged, and the first loss of events.
 */
#ifndef AGENT_WATCH_H
#define AGENT_WATCH_H

#include <stdbool.h>

struct watch;
struct watch_entry; /* what one user watches */

struct watch *watch_new(void); /* NULL: no inotify to be had */
void watch_destroy(struct watch *w);
int watch_fd(const struct watch *w); /* readable: call watch_dispatch; -1 for NULL */
void watch_dispatch(struct watch *w);

/* fn(arg) is called from watch_dispatch when a name beginning with `name` comes, goes or is replaced in the
 * folder dir, when that folder itself goes or is moved away, when an armed file has been written, and when
 * events were lost.  It must not call back.  NULL only for a NULL watch. */
struct watch_entry *watch_add(struct watch *w, const char *dir, const char *name,
			      void (*fn)(void *arg), void *arg);
void watch_remove(struct watch *w, struct watch_entry *x); /* NULL: nothing */
/* One call of fn at the next write to that file, or when it comes into being (it must lie in the entry's folder).
 * True: from now on nothing is missed.  False: poll, and arm again: it cannot be watched, or another folder
 * has come to lie at the entry's path and is watched from now on. */
bool watch_arm(struct watch *w, struct watch_entry *x, const char *file);

#endif
