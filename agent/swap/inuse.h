/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether another process has a database open.
 *
 * Looking needs a descriptor, and closing any descriptor of a database file
 * drops all POSIX locks that the process holds on it: so the looking is done by
 * a child of this binary (`walback internal-inuse PATH`) that has no SQLite
 * connections.
 */
#ifndef AGENT_INUSE_H
#define AGENT_INUSE_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct inuse {
	bool in_use;
	pid_t pid;     /* 0: not known (another PID namespace) */
	char name[32]; /* the process's name, "" if not known */
};

/* By a child process; 10 s at most.  No file: not in use. */
MUST_CHECK int inuse_ask(const char *db_path, struct inuse *out, struct err *e);

/* The same as an error: ERR_EXISTS with exit 15 that names the process.  0: nobody. */
MUST_CHECK int inuse_refuse(const char *db_path, struct err *e);

/*
 * The child's side: locks on the file's lock bytes and on the -shm, else any
 * process seen in /proc with the file open (a connection in rollback-journal mode
 * holds no lock between transactions).  The caller's own process does not count.
 */
MUST_CHECK int inuse_look(const char *db_path, struct inuse *out, struct err *e);

/* One JSON line on stdout for inuse_ask; returns the exit status. */
int inuse_main(const char *db_path);

#endif
