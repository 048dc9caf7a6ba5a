/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What SQLite says about a database file: usable, damaged, or not to be had
 * at the moment.  "Damaged" is said only when SQLite itself names a damaged
 * structure; a file that cannot be opened, is locked, or whose schema needs
 * functions and collations that only the app has, is not damaged.
 *
 * Each call opens its own connection and closes it.  Blocking; not for a
 * process that holds other descriptors of the same file, nor (POSIX locks
 * belong to the process) for one that has it open elsewhere outside SQLite.
 */
#ifndef WAL_SQLITE_CHECK_H
#define WAL_SQLITE_CHECK_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum sq_check_mode {
	SQ_CHECK_NONE,	/* open, recover, read the schema: no page is checked */
	SQ_CHECK_QUICK, /* PRAGMA quick_check */
	SQ_CHECK_FULL,	/* PRAGMA integrity_check */
};

enum sq_verdict {
	SQ_OK,
	SQ_WARN,    /* intact, with something to tell: message, timed_out */
	SQ_CORRUPT, /* SQLITE_CORRUPT, SQLITE_NOTADB or a structural message of the check */
	SQ_BUSY,    /* another process holds a lock that does not end */
	SQ_UNUSABLE, /* permissions, I/O, disk full, a read-only volume */
};

struct sq_check_result {
	enum sq_verdict verdict;
	bool timed_out;	   /* SQ_WARN: nothing wrong found in the time there was */
	int code;	   /* SQLite's extended result code, 0 if none */
	int sys;	   /* errno behind it, 0 if none */
	char message[240]; /* one line without control characters; "" for SQ_OK */
};

/* The live database at path, through its locks, with its -wal or hot journal recovered first as any
 * connection would.  Leaves a -wal in place and checkpoints nothing; where there was none, none remains, nor a
 * -shm, unless another connection has come meanwhile.  (Not read-only: SQLite makes both for that too.  Not immutable:
 * without locks a writer beside it looks like damage, and a -wal is not seen.)  timeout_ms <= 0: one hour.
 * -1 (ERR_NOT_FOUND, ERR_BUG) only when there is no file or SQLite does not start: every finding
 * about the database is a verdict. */
MUST_CHECK int sq_check(const char *path, enum sq_check_mode mode, int64_t timeout_ms,
			struct sq_check_result *out, struct err *e);

/* The same for a file that nobody else opens and that has no -wal or journal (a restore's result):
 * read-only, without locks and side files.  path may be /proc/self/fd/N of an unlinked file. */
MUST_CHECK int sq_check_sealed(const char *path, enum sq_check_mode mode,
			       int64_t timeout_ms, struct sq_check_result *out,
			       struct err *e);

/* After connections that keep their -wal: an empty one and its -shm go, if nobody has the database open.  For a database
 * that had none before; what cannot be done stays undone, and is harmless. */
void sq_drop_empty_wal(const char *path);

/* Bring everything into the file and leave WAL mode, so that no -wal remains.  Needs the database for
 * itself: ERR_EXISTS (exit 15) when another connection has it; ERR_CORRUPT, ERR_IO. */
MUST_CHECK int sq_leave_wal(const char *path, struct err *e);

/* A line of the check that names a damaged structure (true) or a broken constraint of the app's
 * (false); exported for its table test. */
bool sq_check_line_is_structural(const char *line);

const char *sq_verdict_name(
	enum sq_verdict v);		   /* "ok" "warn" "corrupt" "busy" "unusable" */
int sq_verdict_parse(const char *name);	   /* -1 if none */
int sq_check_mode_parse(const char *name); /* "none" "quick" "full"; -1 if none */
const char *sq_check_mode_name(enum sq_check_mode m);

#endif
