/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be found at a database's path: one of six states, which the
 * start-up decision is made from.
 *
 * A file counts as damaged only on evidence: no header where SQLite's should
 * be, or SQLite's own finding.  What cannot be read, written or locked is
 * unusable or busy, never corrupt.
 */
#ifndef AGENT_DBCHECK_H
#define AGENT_DBCHECK_H

#include "base/err.h"
#include "wal/sqlite_check.h"

#include <stdbool.h>
#include <stdint.h>

enum db_state {
	DB_ABSENT,  /* no file, or zero bytes */
	DB_CORRUPT, /* SQLite finds damage; shorter than a header; zeros instead of one */
	DB_UNREADABLE, /* some other first 16 bytes: encrypted, or not a database at all */
	DB_UNUSABLE,   /* permissions, I/O, a read-only volume, not a regular file */
	DB_BUSY,       /* locked by another process */
	DB_INTACT,
};

struct dbcheck {
	enum db_state state;
	bool leftovers; /* DB_ABSENT: there is a -wal or -journal that is not empty */
	bool timed_out; /* DB_INTACT: the check was not finished */
	uint64_t bytes;
	char message[240]; /* the finding; DB_INTACT: a warning or "" */
};

/* By a child process (`walback internal-dbcheck`), since header and side files must not be touched by a
 * process with SQLite connections, and a file that crashes SQLite must not take us along.
 * timeout_ms bounds the check; some seconds later the child is killed (DB_UNUSABLE). */
MUST_CHECK int dbcheck_ask(const char *db_path, enum sq_check_mode mode, int64_t timeout_ms,
			   struct dbcheck *out, struct err *e);

/* The child's side: in this process. */
void dbcheck_look(const char *db_path, enum sq_check_mode mode, int64_t timeout_ms,
		  struct dbcheck *out);
/* One JSON line on stdout for dbcheck_ask; mode and timeout as text.  Returns the exit status. */
int dbcheck_main(const char *db_path, const char *mode, const char *timeout_ms);

const char *db_state_name(enum db_state s); /* "absent" "corrupt" ... */

#endif
