/* SPDX-License-Identifier: Apache-2.0 */
/* Exit statuses of the program (docs/protocol.md, "Exit statuses") and the default for an error. */
#ifndef AGENT_EXIT_H
#define AGENT_EXIT_H

#include "base/err.h"

enum exit_status {
	EXIT_OK = 0,
	EXIT_FAILED = 1,       /* any other failure */
	EXIT_USAGE = 2,	       /* usage or configuration */
	EXIT_NO_BACKUP = 10,   /* no backup found */
	EXIT_UNREACHABLE = 11, /* replica unreachable within the time budget */
	EXIT_DENIED = 12,      /* access denied or bad credentials */
	EXIT_DAMAGED = 13,     /* no provable chain to the target */
	EXIT_DB_CORRUPT = 14,  /* database corrupt or unreadable, and not restored */
	EXIT_LOCKED = 15, /* another walback, another writer, or the database is in use */
	EXIT_DIFFER = 16, /* local and stored histories differ; a choice is needed */
	EXIT_UNHEALTHY = 17,   /* the app did not become healthy; database put back */
	EXIT_UNCONFIRMED = 18, /* not confirmed */
	EXIT_TOO_OLD = 19,     /* backup too old (check) */
};

/* e->exit if set; else USAGE 2, DENIED 12, AGAIN 11, else 1. */
int exit_from_err(const struct err *e);
/* What a store did not give has a status of its own: 12, or 11 (also for a missing bucket).  It is never "no backup". */
void exit_mark_store(struct err *e);
/* The same for a list, where an answer that makes no sense is no damage either: 11. */
void exit_mark_listing(struct err *e);

#endif
