/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent tells its supervisor, over a pipe whose writing end the
 * agent inherits (replicate -notify-fd N): lines of one word.
 *
 *   ready    the reader is held (or, for a database not there yet, the folder
 *            is watched): the app may open the database
 *   synced   everything committed before this line is in the store; said when
 *            it becomes true, not while it stays so
 *   beat     every few seconds, as long as the agent gets on with its work; a
 *            supervisor that hears nothing for 30 s kills the agent, since a hung
 *            one holds its reader and lets the app's WAL fill the disk
 *
 * Beats begin with notify_open, so a start that takes long (hashing a large
 * database) is not a hang.  Call notify_beat from the loop whose progress
 * proves that the agent is alive, never from a thread of its own.
 *
 * The agent's side never blocks and never fails: without a supervisor (fd < 0),
 * with a full pipe or one whose reader has gone, the words are dropped.
 */
#ifndef AGENT_NOTIFY_H
#define AGENT_NOTIFY_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOTIFY_BEAT_EVERY_MS 2000

/* The agent's side: zero is "no supervisor" once opened with fd -1.  One thread at a time. */
struct notify {
	int fd;
	int64_t next_beat_ms;
};

/* fd as inherited, or -1.  Makes it close-on-exec and non-blocking, says the first beat.
 * ERR_USAGE: no such descriptor. */
MUST_CHECK int notify_open(struct notify *n, int fd, struct err *e);
void notify_close(struct notify *n);
void notify_ready(struct notify *n);
void notify_synced(struct notify *n);
/* Says "beat" when NOTIFY_BEAT_EVERY_MS have passed since the last one; call it as often as you like. */
void notify_beat(struct notify *n, int64_t mono_ms);

/* The supervisor's side: lines from the bytes read, unknown ones ignored. */
enum notify_word { NOTIFY_OTHER, NOTIFY_READY, NOTIFY_SYNCED, NOTIFY_BEAT };

struct notify_parser {
	char line[32];
	size_t n;
};

/* The next word in p[*at .. n), *at moved behind its line; -1 when only a part of a line is left
 * (kept for the next call).  Start *at at 0 for each piece read. */
int notify_parse(struct notify_parser *s, const char *p, size_t n, size_t *at);

#endif
