/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One database file replaces another, so that a crash at any instant leaves
 * the old database or the new one, whole, and never an old -wal that SQLite
 * would replay over the new file.
 *
 * Any order of rename and delete alone has such a window.  So an intent record,
 * swap.json, makes the steps redoable:
 *
 *   1. the new file complete at its temporary name beside the database,
 *      proven, fsynced                                       (the caller's work)
 *   2. nobody has the database open
 *   3. swap.json appears, whole and durable
 *   4. the old file is linked to its quarantine name (an empty one goes); -wal and
 *      -journal are renamed there; -shm is unlinked; the folder is fsynced
 *   5. the new file is renamed over the old name, or to it if nothing has it (then nothing
 *      is replaced: file_move_new); the folder is fsynced
 *   6. swap.json is removed; its folder is fsynced
 *
 * From 3 on the swap happens: swap_recover goes on from step 4, and each step
 * accepts that it is done already.  Only when the new file turns out to be gone
 * or not the proven one before step 5 is the old database put back.
 *
 * swap.json lies in the folder .NAME-walback beside the database whatever
 * meta-path says, so that a command that knows the path alone finds it.
 * Replaced files are never deleted.
 */
#ifndef AGENT_SWAP_H
#define AGENT_SWAP_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct swap_request {
	const char *db_path; /* realpath of the database; it need not exist */
	const char
		*temp_path; /* the new file, in the same folder, without -wal or -journal */
	uint64_t
		db_sum; /* of the new file; it is read and hashed when have_db_sum is false */
	bool have_db_sum;
	const char
		*label; /* the old one becomes NAME.<label>.<UTC time>; NULL: "corrupted" */
	int64_t now_ms; /* Unix time, for that name */
	bool old_is_healthy; /* take the old file out of WAL mode first, so that it is one file */
};

struct swap_report {
	char *quarantine; /* where the old file went; NULL: there was none (or it was empty) */
	bool side_files; /* a -wal or -journal went there too (NAME.<label>.<time>-wal) */
	bool begun; /* swap_replace: from step 3 on, so that after a failure the next command finishes it; before, the
		     * new file is the caller's to remove */
	bool redone; /* swap_recover: a swap was under way */
	bool undone; /* swap_recover: the new file was lost; the old database is back */
};

/*
 * Steps 2 to 6.  The new file gets mode and owner of the old one.
 *
 * ERR_EXISTS, exit 15: a process has the database open (named, with its pid), or
 * another walback is replacing it; nothing was touched.  ERR_DENIED: mode or owner
 * cannot be kept; nothing was touched.  ERR_IO and others: the message says whether
 * swap.json exists, that is, whether swap_recover will finish the job.
 */
MUST_CHECK int swap_replace(const struct swap_request *r, struct swap_report *out,
			    struct err *e);

/*
 * Finish a swap that a crash interrupted.  Every command calls this before anything
 * opens the database with SQLite, reuses a temporary file or writes beside it.  No
 * swap.json: 0, and one system call.  Errors as swap_replace, and ERR_CORRUPT for a
 * swap.json that is none.
 */
MUST_CHECK int swap_recover(const char *db_path, struct swap_report *out, struct err *e);

/*
 * An absent or empty database that is to be started afresh: what is left of an
 * earlier one (-wal, -journal) goes to NAME.<label>.<time>-wal, since SQLite would
 * delete or replay it.  *moved tells whether there was any.  ERR_EXISTS, exit 15: there is a
 * database by now, or a process has the empty file open.
 */
MUST_CHECK int swap_clear_leftovers(const char *db_path, const char *label, int64_t now_ms,
				    bool *moved, struct err *e);

/*
 * An empty file, which counts as no database, leaves its name, so that a new one can be put there
 * without replacing anything.  It is set aside, looked at where nobody opens it any more, then removed.
 * ERR_EXISTS, exit 15: it is not empty, or a process has it open; it is back in its place.  Nothing there: 0.
 */
MUST_CHECK int swap_take_empty(const char *db_path, int64_t now_ms, struct err *e);

void swap_report_free(struct swap_report *r);

#endif
