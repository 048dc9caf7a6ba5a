/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One database of the agent: waits until it is there, captures it, feeds its replicas.
 * All of it happens in one job of the local pool, which never waits for the network.
 */
#ifndef AGENT_DATABASE_H
#define AGENT_DATABASE_H

#include "agent/replicate/replica.h"
#include "base/pool.h"

#include <stdbool.h>
#include <stdint.h>

struct database;
struct watch;

/* Takes the lock file of the database (ERR_EXISTS, exit 15: another walback serves it), redoes an interrupted
 * swap, makes the replicas.  cfg, env and watch outlive it.  Nothing runs before database_wake. */
MUST_CHECK struct database *database_new(const struct db_config *cfg,
					 const struct replica_env *env, struct pool *local,
					 struct watch *watch, struct err *e);
/* Ends its job, then its replicas and its connections. */
void database_destroy(struct database *d);

void database_wake(struct database *d); /* any thread */
/* The reader is held, or the folder of a database that is not there is watched. */
bool database_ready(const struct database *d);
/* From now on: copy and cut at once what is committed. */
void database_drain(struct database *d);
/* Everything committed before the last wake-up in draining is acknowledged by every replica. */
bool database_drained(struct database *d);
/* Let every replica's head.json say so; database_released tells when. */
void database_release(struct database *d);
bool database_released(struct database *d);
/* One log line for each replica: what is there, or what did not make it. */
void database_log_end(struct database *d);
const char *database_path(const struct database *d);

#endif
