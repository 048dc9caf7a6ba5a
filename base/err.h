/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One error type for the whole program.
 *
 * A fallible function takes `struct err *e` last and returns 0 or -1 (or a
 * pointer or NULL).  On failure it has called exactly one of err_set and
 * err_errno; on success it leaves *e alone.  The code says what the caller
 * can DO; the message says what happened, outermost context first; the hint
 * says what the person should do next; the slug is a stable word to search
 * the manual for ("code=gap_in_wal").
 *
 * Fixed size, on the caller's stack: nothing to free, works without memory.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

#define MUST_CHECK __attribute__((warn_unused_result))

enum errc {
	ERR_NONE = 0,
	ERR_USAGE,     /* bad flag or configuration: fix it and rerun */
	ERR_NOT_FOUND, /* expected absence: object, key, file */
	ERR_EXISTS,    /* a precondition or lease lost the race */
	ERR_DENIED,    /* credentials or permissions: retrying is useless */
	ERR_AGAIN,     /* transient: retry with backoff */
	ERR_CORRUPT,   /* bytes fail a checksum or a format rule */
	ERR_IO,	       /* the local system failed; see .sys for errno */
	ERR_CANCELED,  /* we were asked to stop */
	ERR_BUG,       /* a broken invariant */
};

struct err {
	enum errc code;
	int sys;	  /* errno when code came from the system, else 0 */
	int exit;	  /* exit status the program should end with; 0: by code */
	const char *slug; /* static string or NULL */
	char msg[480];
	char hint[240]; /* "" if none */
};

#define ERR_INIT                 \
	{                        \
		.code = ERR_NONE \
	}

/* Messages that are too long are cut.  Arguments may point into *e itself.
 *
 * Record a failure.  Returns -1 so callers can `return err_set(...)`.
 * Clears slug, hint, exit and sys. */
int err_set(struct err *e, enum errc code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Same, from errno: appends strerror's text and picks the code (ENOENT NOT_FOUND,
 * EEXIST EXISTS, EACCES EPERM EROFS DENIED, EAGAIN ETIMEDOUT AGAIN, else IO).
 * Sets a hint where errno alone tells the remedy (disk full, quota, read-only, open files). */
int err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Put context in front: "restore /data/app.db: get ltx/0/1: 503".  Keeps the rest. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Set the remedy, one line without a full stop ("check LITESTREAM_ENDPOINT").
 * An inner hint, being nearer to the cause, is kept.  Returns -1. */
int err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Set the searchable slug (a string literal).  An inner one is kept.  Returns -1. */
int err_slug(struct err *e, const char *slug);
bool err_has_slug(const struct err *e, const char *slug);

/* Set the exit status if none was set deeper down.  Returns -1. */
int err_exit(struct err *e, int status);

#endif
