/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rebuild a database from its replicas: plan from one LIST, fetch in
 * parallel, prove every object and the whole database, and only then put the
 * file into place.  docs/format.md says what is proven by what.
 *
 * Nothing is written over an existing database, and nothing is left behind on
 * failure.  One restore of an output at a time: the temporary file is locked.
 * Several restores may run in one process, each in its own thread.
 */
#ifndef AGENT_RESTORE_H
#define AGENT_RESTORE_H

#include "agent/config/config.h"
#include "agent/restore/plan.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/stop.h"
#include "wal/pos.h"
#include "wal/sqlite_check.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define RESTORE_PARALLELISM 64
#define RESTORE_TEMP_SUFFIX ".walback-tmp"

struct restore_report;

struct restore_request {
	const struct db_config *db; /* its replicas, in order of preference */
	const char *replica;	    /* only the one of this name; NULL: any */
	const char *output; /* the file to make; NULL: db->path; unused with output_fd */
	int output_fd; /* > 0: the proven database is written there instead (standard output) */
	struct plan_target target; /* zero: the newest state */

	/* Requests in flight for segments, and a quarter as many for the snapshot; 0: RESTORE_PARALLELISM. */
	unsigned parallelism;
	enum sq_check_mode check; /* SQ_CHECK_NONE: no SQLite check at all */
	int64_t check_timeout_ms; /* 0: an hour */
	int64_t store_timeout_ms; /* for one request with its retries; 0: the store's default */
	const struct stop *stop; /* may be NULL */

	/* Called once the plan is made, before anything is fetched; may be NULL.  report holds what is known. */
	void (*on_plan)(void *arg, const struct restore_report *report);
	void *on_plan_arg;

	bool dry_run; /* plan only: nothing is fetched but lists, records and a few tails */
	bool temp_only; /* stop at the proven, fsynced temporary file (report.temp), for a swap by the caller */
	bool show_progress; /* on standard error: a bar on a terminal, else a log line every 10 s */
	bool have_mode, have_owner;
	mode_t mode; /* of the new file; default 0600 */
	uid_t uid;   /* default, as root: those of the output's folder */
	gid_t gid;
};

struct restore_report {
	char *replica_name, *replica_url;
	char *output; /* where the database is now; NULL for output_fd and dry_run */
	char *temp;   /* temp_only: the temporary file */
	int temp_fd;  /* temp_only: holds its lock; close it after the swap; else -1 */

	char generation[17];
	uint32_t snapshot_index;
	struct wal_pos end; /* the restored state's position */
	int64_t time_ms; /* of its last transaction; Litestream's objects: of the last object */
	bool time_is_stored; /* time_ms is the store's time of an object, not a commit's */
	bool proven; /* page for page by a trailer's sum; false for Litestream's objects, whose frames alone are checked */
	uint64_t
		db_sum; /* XXH3 sum of the pages (docs/format.md); valid when have_db_sum */
	bool have_db_sum;
	uint32_t page_size, pages;
	uint64_t bytes;		 /* of the database */
	uint64_t objects;	 /* fetched, the snapshot included (dry_run: planned) */
	uint64_t stored_bytes;	 /* of those */
	uint64_t snapshot_bytes; /* stored size of the snapshot */
	uint64_t transactions;	 /* applied after the snapshot */
	int64_t total_ms, fetch_ms, check_ms,
		sync_ms; /* fetch: until all is applied; sync: the final fsync */
	struct sq_check_result check;

	/* Exit 13: the newest state of `generation` that can be proven, for PLAN_POSITION. */
	bool have_provable;
	struct wal_pos provable;

	char *warnings; /* lines, "" if none: replicas passed over, damage gone round, stray objects */
	char *notes; /* lines: "the newest state is older than asked for", ... */
};

/*
 * Errors by e->exit: 10 no backup (or none at or before the target), 11, 12, 13 no provable chain (message, slug and hint
 * name the object, the nearest provable moments and the way to them), 14 never, 15 another restore holds the
 * temporary file, 16 head is stale, 2 a -position that is none.  ERR_EXISTS, exit 1: the output
 * exists.  report is filled as far as known even on failure; free it in every case.
 */
MUST_CHECK int restore_run(const struct restore_request *r, struct restore_report *report,
			   struct err *e);
void restore_report_free(struct restore_report *report);

#endif
