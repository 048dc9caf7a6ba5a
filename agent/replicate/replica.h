/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One replica of one database: a local side that frames commits into segments, and a
 * network side that begins generations, uploads segments in order and takes snapshots.
 *
 * The local side belongs to the database's job and never waits for the network; the network
 * side runs in two jobs of its own (start_job: generations and snapshots; upload_job: segments)
 * and asks the local side for what must happen at a barrier through a request that
 * replica_serve answers.
 *
 * Order in a new generation: lineage record; zst: segments while the fuzzy snapshot is read, up to its
 * valid position, the snapshot, head, further segments; lz4: snapshot, head, segments.  Nothing counts
 * as acknowledged before that.
 */
#ifndef AGENT_REPLICA_H
#define AGENT_REPLICA_H

#include "agent/config/config.h"
#include "agent/replicate/capture.h"
#include "agent/replicate/places.h"
#include "agent/store/store.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/stop.h"
#include "wal/pos.h"

#include <stdbool.h>
#include <stdint.h>

struct replica;

/* What all replicas share; const. */
struct replica_env {
	struct pool *start_pool, *upload_pool;
	struct places *start_places, *upload_places; /* for those whose last try failed */
	const struct stop *stop;
	const char *version;
	bool stop_if_different; /* another history in the store: fatal instead of a generation aside */
	bool adopt_local; /* another history in the store at the first start: head moves to this database */
	bool show_bar; /* of first snapshots; else log lines tell how far they are */
	void (*fatal)(void *arg, const struct err *e); /* any thread */
	void (*alive)(
		void *arg); /* said by long local work: it makes progress; any thread; may be NULL */
	void *arg;	    /* of both */
};

enum replica_phase {
	REPLICA_IDLE,	  /* the database is not open yet */
	REPLICA_STARTING, /* a generation is being begun */
	REPLICA_RUNNING,
};

struct replica_status {
	enum replica_phase phase;
	char generation[17];
	struct wal_pos acked;
	uint64_t segments, bytes, snapshots, unsent_bytes;
	int64_t last_ack_ms; /* Unix time */
	bool drained;	     /* every delivered commit is acknowledged */
	bool dead;	     /* told to env->fatal: nothing more will be sent */
	bool released;	     /* replica_release has done its work */
};

/* wake_local(arg) makes the database's job run soon.  ERR_IO: the state folder; errors of store_open. */
MUST_CHECK struct replica *replica_new(const struct replica_env *env,
				       const struct db_config *db,
				       const struct replica_config *rc,
				       void (*wake_local)(void *arg), void *arg,
				       struct err *e);
/* Whoever waits for the local side gives up; any thread. */
void replica_cancel(struct replica *r);
/* Ends its jobs; what is in flight is given up. */
void replica_destroy(struct replica *r);
const char *replica_name(const struct replica *r);

/* ---- local side: the database's job only ---- */

/* The capture has settled: begin a generation. */
void replica_open(struct replica *r, const struct capture *c, int64_t last_commit_ms);
/* The capture is over (discontinuity, file replaced): what is not sent is dropped. */
void replica_lost(struct replica *r);
/* A delivered page, and the end of its transaction. */
void replica_page(struct replica *r, uint32_t pgno, uint32_t commit, const uint8_t *page);
void replica_commit(struct replica *r, int64_t time_ms, uint64_t db_sum, uint32_t pages,
		    int64_t mono_ms);
/* Does the network side wait for something that needs a completed barrier? */
bool replica_wants_barrier(struct replica *r);
/* Answer its request; at_rest: a barrier has just completed and everything is delivered. */
void replica_serve(struct replica *r, struct capture *c, bool at_rest);
/* Cut the segment being built if its time has come (or now, with force).  Returns the clock_mono_ms at which
 * it comes, INT64_MAX if nothing is pending. */
int64_t replica_cut_due(struct replica *r, int64_t mono_ms, bool force);

/* ---- any thread ---- */

void replica_status(struct replica *r, struct replica_status *out);
/* Wake the network side (after the stop of an outage, say, or for the last sync). */
void replica_kick(struct replica *r);
/* The last thing: let head.json say that this writer has released (status.released). */
void replica_release(struct replica *r);

#endif
