/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: all databases of a configuration, replicated until told to stop.
 *
 * Three pools: local jobs (capture) touch only local files; uploads send segments; starts begin
 * generations and take snapshots.  The caller's thread runs the loop: it polls
 * engine_fd, calls engine_dispatch, and sees to signals and children.
 */
#ifndef AGENT_ENGINE_H
#define AGENT_ENGINE_H

#include "agent/config/config.h"
#include "base/err.h"
#include "base/stop.h"

#include <stdbool.h>
#include <stdint.h>

struct engine;

struct engine_options {
	const struct config *config; /* outlives the engine */
	const char *version;
	bool stop_if_different; /* another history in a replica: engine_failed, exit 16 */
	bool adopt_local; /* another history in a replica: this database becomes its head, once */
	bool show_bar; /* of first snapshots: a terminal on standard error is ours to draw on */
};

/* Opens nothing of the databases or stores yet but locks and folders.  Errors of database_new. */
MUST_CHECK struct engine *engine_new(const struct engine_options *o, struct err *e);
void engine_destroy(struct engine *g);

void engine_start(struct engine *g);
/* Readable: call engine_dispatch.  -1: nothing to poll. */
int engine_fd(const struct engine *g);
void engine_dispatch(struct engine *g);

/* Every database's reader is held (or it is not there, and watched). */
bool engine_ready(const struct engine *g);
/* Everything committed so far is in every replica, as far as the agent has looked. */
bool engine_synced(struct engine *g);
/* The pools make progress: true if a local job has run since the last call, which asks for another. */
bool engine_alive(struct engine *g);
/* Something that nobody can go on from: *e is filled in. */
bool engine_failed(struct engine *g, struct err *e);

/* The last sync: everything committed until now is sent, within timeout_ms, and each head released.  Logs what did
 * not make it.  True if all of it is in every replica (but one that engine_failed is about).  tick is called every
 * few milliseconds; false from it ends the wait at once. */
bool engine_finish(struct engine *g, int64_t timeout_ms, bool (*tick)(void *arg),
		   void *arg);

#endif
