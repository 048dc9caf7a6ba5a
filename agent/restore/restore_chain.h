/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt: a snapshot and its chain of segments, fetched in parallel,
 * verified in order and applied to a file.  Says how far it came and what
 * stopped it.  One thread; the store fetches with its own.
 */
#ifndef AGENT_RESTORE_CHAIN_H
#define AGENT_RESTORE_CHAIN_H

#include "agent/progress.h"
#include "agent/restore/plan.h"
#include "agent/store/store.h"
#include "base/stop.h"

struct chain_job {
	struct store *store;
	const struct plan *plan;
	struct plan_snapshot snapshot; /* .replay: where the chain begins */
	const struct plan_target *target;
	unsigned parallelism;
	const struct stop *stop;
	struct progress *progress;
	int fd;		      /* an empty file, read and write */
	const char *path;     /* names it in errors */
	struct buf *warnings; /* lines */
};

enum chain_damage {
	CHAIN_WHOLE,
	CHAIN_SNAPSHOT, /* the snapshot is damaged, or does not give its own checksum */
	CHAIN_SEGMENT,	/* an object is damaged */
	CHAIN_GAP,	/* an object is missing, or two claim one place */
	CHAIN_CHANGED,	/* an object vanished or changed since the LIST: list again */
};

struct chain_result {
	enum chain_damage damage;
	struct wal_pos damage_at;
	int64_t damage_time_ms; /* the store's time of the damaged object; 0: unknown */

	struct wal_pos replay; /* as the snapshot says, once it was read */
	bool have_state;       /* end and time_ms are those of a whole, proven state */
	struct wal_pos
		end; /* of the last transaction applied, or the snapshot's position */
	int64_t time_ms;
	bool time_is_stored;	 /* the store's time of an object, for want of a commit's */
	bool stopped;		 /* something later than the target is there */
	uint64_t dropped_frames; /* of a transaction without its commit at the end */
	uint64_t transactions, objects, stored_bytes, snapshot_bytes;
	uint32_t page_size, pages;
	bool have_db_sum;
	uint64_t db_sum;
};

/* 0: fd holds the state at the target.  ERR_CORRUPT: out->damage says what stopped it, and end and
 * time_ms how far the chain is proven.  ERR_USAGE: a position that is no transaction's end.  Others: the store's
 * and the file's. */
MUST_CHECK int chain_read(const struct chain_job *job, struct chain_result *out,
			  struct err *e);

#endif
