/* SPDX-License-Identifier: Apache-2.0 */
/* The table is read from the top; the first row that fits decides. */
#include "agent/run/startup.h"

#include "agent/exit.h"

#define BIT(x) (1U << (x))
#define ANY 0xffU
#define AWAY BIT(BACKUP_UNREACHABLE)
#define DENIED BIT(BACKUP_DENIED)
#define OFFLINE (AWAY | DENIED)
#define REPLACEABLE (BIT(DB_CORRUPT) | BIT(DB_UNREADABLE))

/* Flags a row asks for. */
enum want {
	WANT_NOTHING,
	WANT_REQUIRE_BACKUP,
	WANT_ACCEPT_LOSS,
	WANT_NO_REPLACE_UNREADABLE,
	WANT_START_EMPTY,
	WANT_OFFLINE_STOP,
	WANT_ADOPT_LOCAL,
	WANT_ADOPT_REPLICA,
};

struct row {
	unsigned file, backup, history; /* sets of bits */
	enum want want;
	struct startup_decision then;
};

#define STOP(status, code, why, next)                                                      \
	{                                                                                  \
		.action = STARTUP_STOP, .exit = (status), .slug = (code), .reason = (why), \
		.remedy = (next)                                                           \
	}
#define GO(what)                 \
	{                        \
		.action = (what) \
	}
#define GO_WARN(what, why)                                      \
	{                                                       \
		.action = (what), .reason = (why), .warn = true \
	}

static const struct row table[] = {
	/* What nobody can decide about. */
	{ BIT(DB_BUSY), ANY, ANY, WANT_NOTHING,
	  STOP(EXIT_LOCKED, "database_busy", "is locked by another process",
	       "stop the process that has it open, then start again") },
	{ BIT(DB_UNUSABLE), ANY, ANY, WANT_NOTHING,
	  STOP(EXIT_FAILED, "database_unusable",
	       "cannot be used; it is not known to be damaged",
	       "put the cause right (owner, mode, volume), then start again") },
	{ BIT(DB_UNREADABLE), ANY, ANY, WANT_NO_REPLACE_UNREADABLE,
	  STOP(EXIT_DB_CORRUPT, "database_unreadable",
	       "is there but is not a SQLite database (or is encrypted); nothing was "
	       "touched",
	       "look at the file; --replace-unreadable treats it as corrupt") },
	{ ANY, BIT(BACKUP_AMBIGUOUS), ANY, WANT_NOTHING,
	  STOP(EXIT_DIFFER, "stale_head", "has two histories in the replica",
	       "walback generations shows both; restore one with -generation") },

	/* Absent, or zero bytes. */
	{ BIT(DB_ABSENT), BIT(BACKUP_EXISTS), ANY, WANT_NOTHING, GO(STARTUP_RESTORE) },
	{ BIT(DB_ABSENT), BIT(BACKUP_NONE), ANY, WANT_REQUIRE_BACKUP,
	  STOP(EXIT_NO_BACKUP, "no_backup",
	       "does not exist and there is no backup, but one is required",
	       "check the replica's bucket and path; without --require-backup it starts "
	       "empty") },
	{ BIT(DB_ABSENT), BIT(BACKUP_NONE), ANY, WANT_NOTHING,
	  GO_WARN(STARTUP_EMPTY, "does not exist and there is no backup: starting empty") },
	{ BIT(DB_ABSENT), BIT(BACKUP_DAMAGED), ANY, WANT_ACCEPT_LOSS,
	  GO_WARN(STARTUP_RESTORE_OLDER,
		  "does not exist and its backup is damaged: restoring the newest provable "
		  "moment") },
	{ BIT(DB_ABSENT), BIT(BACKUP_DAMAGED), ANY, WANT_NOTHING,
	  STOP(EXIT_DAMAGED, "backup_damaged",
	       "does not exist and its backup cannot be proven up to its newest state",
	       "--accept-loss restores the newest provable moment") },
	{ BIT(DB_ABSENT), OFFLINE, ANY, WANT_START_EMPTY,
	  GO_WARN(STARTUP_EMPTY,
		  "does not exist and no replica tells of a backup: starting empty, as "
		  "--offline start-empty says") },
	{ BIT(DB_ABSENT), AWAY, ANY, WANT_NOTHING,
	  STOP(EXIT_UNREACHABLE, "store_unreachable",
	       "does not exist, and whether there is a backup cannot be told",
	       "make the replica reachable; an empty database must not start a new history "
	       "(--offline start-empty does)") },
	{ BIT(DB_ABSENT), DENIED, ANY, WANT_NOTHING,
	  STOP(EXIT_DENIED, "store_denied",
	       "does not exist, and the replica refuses to tell whether there is a backup",
	       "put the credentials or their rights right; an empty database must not "
	       "start "
	       "a new history (--offline start-empty does)") },

	/* Corrupt, or declared so. */
	{ REPLACEABLE, BIT(BACKUP_EXISTS), ANY, WANT_NOTHING, GO(STARTUP_RESTORE) },
	{ REPLACEABLE, BIT(BACKUP_NONE), ANY, WANT_NOTHING,
	  STOP(EXIT_DB_CORRUPT, "database_corrupt",
	       "is damaged and there is no backup; nothing was touched",
	       "try `sqlite3 DB .recover` on a copy") },
	{ REPLACEABLE, BIT(BACKUP_DAMAGED), ANY, WANT_NOTHING,
	  STOP(EXIT_DAMAGED, "backup_damaged",
	       "is damaged and its backup cannot be proven up to its newest state; nothing "
	       "was "
	       "touched",
	       "walback restore -o OTHER -timestamp T for the newest provable moment, then "
	       "compare") },
	{ REPLACEABLE, AWAY, ANY, WANT_NOTHING,
	  STOP(EXIT_UNREACHABLE, "store_unreachable",
	       "is damaged and no replica answers; nothing was touched",
	       "make the replica reachable, then start again") },
	{ REPLACEABLE, DENIED, ANY, WANT_NOTHING,
	  STOP(EXIT_DENIED, "store_denied",
	       "is damaged and the replica refuses access; nothing was touched",
	       "put the credentials or their rights right, then start again") },

	/* Intact. */
	{ BIT(DB_INTACT), AWAY, ANY, WANT_OFFLINE_STOP,
	  STOP(EXIT_UNREACHABLE, "store_unreachable", "is intact, but no replica answers",
	       "make the replica reachable; --offline ok starts without it") },
	{ BIT(DB_INTACT), DENIED, ANY, WANT_OFFLINE_STOP,
	  STOP(EXIT_DENIED, "store_denied", "is intact, but the replica refuses access",
	       "put the credentials or their rights right; --offline ok starts without "
	       "it") },
	{ BIT(DB_INTACT), AWAY, ANY, WANT_NOTHING,
	  GO_WARN(STARTUP_REPLICATE,
		  "is intact, but no replica answers: replication begins when one does") },
	{ BIT(DB_INTACT), DENIED, ANY, WANT_NOTHING,
	  GO_WARN(STARTUP_REPLICATE,
		  "is intact, but the replica refuses access: replication begins when it "
		  "no longer does") },
	{ BIT(DB_INTACT), BIT(BACKUP_DAMAGED), ANY, WANT_NOTHING,
	  GO_WARN(STARTUP_REPLICATE,
		  "is intact, but its backup is damaged: a new generation begins") },
	{ BIT(DB_INTACT), BIT(BACKUP_NONE), ANY, WANT_NOTHING, GO(STARTUP_REPLICATE) },
	{ BIT(DB_INTACT), BIT(BACKUP_EXISTS), BIT(HISTORY_SAME), WANT_NOTHING,
	  GO(STARTUP_REPLICATE) },
	{ BIT(DB_INTACT), BIT(BACKUP_EXISTS), ANY, WANT_ADOPT_LOCAL,
	  GO_WARN(STARTUP_ADOPT_LOCAL,
		  "is not what the replica has: the local file becomes "
		  "its newest state, as --adopt local says") },
	{ BIT(DB_INTACT), BIT(BACKUP_EXISTS), ANY, WANT_ADOPT_REPLICA,
	  GO_WARN(STARTUP_ADOPT_REPLICA,
		  "is not what the replica has: it is replaced by the "
		  "replica's, as --adopt replica says") },
	{ BIT(DB_INTACT), BIT(BACKUP_EXISTS), ANY, WANT_NOTHING,
	  STOP(EXIT_DIFFER, "histories_differ",
	       "is intact, but it is not the database that the replica has",
	       "--adopt replica keeps the local file aside and restores; --adopt local "
	       "goes "
	       "on from the local file (either one for a single start)") },
};

static bool wanted(enum want w, const struct startup_options *o)
{
	switch (w) {
	case WANT_NOTHING:
		return true;
	case WANT_REQUIRE_BACKUP:
		return o->require_backup;
	case WANT_ACCEPT_LOSS:
		return o->accept_loss;
	case WANT_NO_REPLACE_UNREADABLE:
		return !o->replace_unreadable;
	case WANT_START_EMPTY:
		return o->offline == OFFLINE_START_EMPTY;
	case WANT_OFFLINE_STOP:
		return o->offline == OFFLINE_STOP;
	case WANT_ADOPT_LOCAL:
		return o->adopt == ADOPT_LOCAL;
	case WANT_ADOPT_REPLICA:
		return o->adopt == ADOPT_REPLICA;
	}
	return false;
}

void startup_decide(struct startup_decision *out, const struct startup_facts *f,
		    const struct startup_options *o)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		const struct row *r = &table[i];

		if (!(r->file & BIT(f->file)) || !(r->backup & BIT(f->backup)) ||
		    !(r->history & BIT(f->history)) || !wanted(r->want, o))
			continue;
		*out = r->then;
		return;
	}
	*out = (struct startup_decision)STOP(EXIT_FAILED, "startup_undecided",
					     "is in a state that no rule covers",
					     "report this");
}

enum backup_state startup_merge(const struct backup_fact *f, size_t n, size_t *chosen)
{
	static const enum backup_state order[] = { BACKUP_UNREACHABLE, BACKUP_DENIED,
						   BACKUP_AMBIGUOUS, BACKUP_DAMAGED };
	size_t best = n;

	*chosen = 0;
	for (size_t i = 0; i < n; i++)
		if (f[i].state == BACKUP_EXISTS &&
		    (best == n || f[i].time_ms > f[best].time_ms))
			best = i;
	if (best < n) {
		*chosen = best;
		return BACKUP_EXISTS;
	}
	for (size_t k = 0; k < sizeof(order) / sizeof(*order); k++)
		for (size_t i = 0; i < n; i++)
			if (f[i].state == order[k]) {
				*chosen = i;
				return order[k];
			}
	return BACKUP_NONE;
}

const char *backup_state_name(enum backup_state s)
{
	static const char *const names[] = { "exists",	    "none",   "damaged",
					     "unreachable", "denied", "ambiguous" };

	return names[s];
}

const char *startup_action_name(enum startup_action a)
{
	static const char *const names[] = { "stop",	     "replicate",     "start-empty",
					     "restore",	     "restore-older", "adopt-local",
					     "adopt-replica" };

	return names[a];
}
