/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a long transfer has come: on a terminal one line that is redrawn
 * (percent, speed, time left), elsewhere a plain log line every 10 s.  Quick
 * ones say nothing.  One thread; log lines of others replace the bar, which comes again below.
 */
#ifndef AGENT_PROGRESS_H
#define AGENT_PROGRESS_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what;     /* "restore", for the log line */
	const char *name;     /* which database */
	uint64_t total, done; /* bytes */
	int64_t began_ms, said_ms;
	bool on, bar, drawn;
};

/* what and name live until progress_end.  Starting again forgets what was done.  bar: if standard error is a
 * terminal, it is ours to draw on. */
void progress_begin(struct progress *p, const char *what, const char *name, uint64_t total,
		    bool bar);
void progress_off(struct progress *p); /* says nothing, ever */
void progress_add(struct progress *p, uint64_t bytes);
/* Wipes the bar. */
void progress_end(struct progress *p);

/* The bar as it stands, without control characters: at most 79 columns. */
void progress_format(const struct progress *p, int64_t now_ms, struct buf *out);

#endif
