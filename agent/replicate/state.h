/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a replica's writer remembers locally (docs/format.md, "On the local disk"): the file
 * `state` in the replica's subfolder.  Two alternating 4 KiB slots, each a JSON document
 * with a sequence number, then its length and CRC-32C; the newer valid slot counts, so a
 * write that a crash cut short leaves the older one.  Disposable: without it a start
 * looks at the database and the store instead.
 */
#ifndef AGENT_STATE_H
#define AGENT_STATE_H

#include "base/err.h"
#include "wal/pos.h"

#include <stdbool.h>
#include <stdint.h>

struct state {
	char generation[17];
	char next
		[17]; /* head is about to move there: after a crash it may name this one; "": none */
	struct wal_pos acked; /* everything before it is in the store */
	uint64_t db_sum;      /* of the database at acked */
	uint64_t session;
	int64_t time_ms;
};

struct state_file;

/* Opens or creates the file at path (its folder must exist). */
MUST_CHECK struct state_file *state_open(const char *path, struct err *e);
void state_close(struct state_file *f);

/* Is it the file at its path?  False after its folder was removed, moved or exchanged. */
bool state_in_place(const struct state_file *f);
/* What it says: true, or false when it says nothing usable. */
bool state_get(const struct state_file *f, struct state *out);
/* Empties the slot that the next state_put writes, and syncs: what fails now (a full disk) would fail then.  What
 * state_get says stays. */
MUST_CHECK int state_reserve(struct state_file *f, struct err *e);
/* One pwrite; sync: and fdatasync. */
MUST_CHECK int state_put(struct state_file *f, const struct state *s, bool sync,
			 struct err *e);

#endif
