/* SPDX-License-Identifier: Apache-2.0 */
/* What replica.c, replica_start.c, replica_upload.c and snapshotter.c share; for nobody else. */
#ifndef AGENT_REPLICA_PRIV_H
#define AGENT_REPLICA_PRIV_H

#include "agent/replicate/framer.h"
#include "agent/replicate/lineage.h"
#include "agent/replicate/outbox.h"
#include "agent/replicate/replica.h"
#include "agent/replicate/state.h"
#include "base/log.h"

#include <pthread.h>

enum replica_request {
	REQUEST_NONE,
	REQUEST_BEGIN, /* at a barrier: a new framer, and from here on commits are framed */
	REQUEST_NEXT_INDEX, /* at a barrier: go to the next stored index */
	REQUEST_CUT,	    /* end the segment being built */
};

/* What the local side answers: the state of the database between two transactions. */
struct replica_answer {
	struct wal_pos pos;  /* where the next byte goes */
	struct wal_pos sent; /* the end of what was handed to the outbox before */
	uint64_t db_sum;
	uint32_t pages;
	int64_t time_ms;
	struct sq_file *file; /* BEGIN and NEXT_INDEX, zst: owned by who asked */
	struct err err;	      /* code ERR_NONE: answered */
};

struct replica {
	const struct replica_env *env;
	const struct db_config *db;
	const struct replica_config *rc;
	void (*wake_local)(void *arg);
	void *wake_arg;
	struct store *store;
	char *dir, *copy_path, *wal_path;
	uint64_t session;
	struct job *start_job, *upload_job;

	pthread_mutex_t mu; /* of everything down to the next blank line */
	pthread_cond_t cv;
	struct state_file *state;
	struct log_trouble state_trouble;
	enum replica_phase phase;
	unsigned epoch; /* counts captures: what was asked of an older one is void */
	bool have_facts;
	struct lineage_facts facts;
	int64_t last_commit_ms;
	enum replica_request request;
	bool answered;
	unsigned asked; /* counts requests: an answer to an older one is void */
	struct replica_answer answer;
	struct outbox *out, *doomed; /* doomed: still in use by an upload */
	bool uploading, failed;	     /* failed: the local side gave the generation up */
	struct wal_pos gate;	     /* nothing beyond it is uploaded yet */
	struct wal_pos acked;
	struct wal_pos
		durable; /* a power cut leaves everything before it in the -wal or the database */
	bool snapshot_due;
	bool releasing, released;
	bool dead;	   /* fatal: never begins again */
	uint64_t unframed; /* commits delivered but not cut, or since the framer failed */
	struct replica_status stats;

	struct lineage_plan
		plan; /* start_job's; read by REQUEST_BEGIN, while start_job waits */
	bool stored; /* the generation's snapshot is in the store, for stored_epoch; only head is left */
	unsigned stored_epoch;
	bool adopted;		      /* adopt_local has served; start_job's */
	bool placed;		      /* holds one of env->start_places; start_job's */
	bool kick_start, kick_upload; /* with mu: the next try is due at once */
	int64_t upload_not_before_ms; /* upload_job's */
	int64_t seen_ms; /* clock_mono_ms: the record was found in the store; upload_job's */
	int64_t backoff_ms;
	int64_t not_before_ms; /* clock_mono_ms: the next try after a failure */
	struct log_trouble start_trouble, upload_trouble;
	int64_t last_snapshot_ms; /* clock_mono_ms */
	uint64_t last_snapshot_bytes;

	struct framer *framer; /* local side only, as all below */
	int64_t pending_since_ms, last_cut_ms;
};

#define GATE_OPEN ((struct wal_pos){ UINT32_MAX, UINT64_MAX })
#define GATE_CLOSED ((struct wal_pos){ 0, 0 })

/* ERR_CANCELED: the capture of `epoch` is over, its generation was given up, or a stop. */
MUST_CHECK int replica_check(struct replica *r, unsigned epoch, struct err *e);
/* With mu held: write the state; trouble is logged, and its end. */
void replica_put_state(struct replica *r, const struct state *s, bool sync);
void replica_start_run(void *arg);
void replica_upload_run(void *arg);

/* Ask the local side and wait.  ERR_CANCELED as replica_check. */
MUST_CHECK int replica_ask(struct replica *r, unsigned epoch, enum replica_request q,
			   struct replica_answer *a, struct err *e);
/* Until everything up to the end of a segment is acknowledged. */
MUST_CHECK int replica_await_acked(struct replica *r, unsigned epoch, struct wal_pos pos,
				   struct err *e);
void replica_set_gate(struct replica *r, struct wal_pos gate);

/* By wal_bytes framed since the last snapshot, of which there are some, and its age; interval_ms: `snapshot-interval`.
 * Not by size while the last one is younger than half a minute: an app that writes without pause would cause one
 * after the other, and a restore replays what such an app writes in that time within seconds. */
bool snapshotter_is_due(uint64_t wal_bytes, uint64_t db_bytes, int64_t age_ms,
			int64_t interval_ms);
/* The snapshot of the generation in r->plan: a fuzzy one read from a->file (closed), or the local copy at
 * r->copy_path (removed).  a is what the request answered. */
MUST_CHECK int snapshotter_fuzzy(struct replica *r, unsigned epoch,
				 struct replica_answer *a, struct err *e);
MUST_CHECK int snapshotter_from_copy(struct replica *r, unsigned epoch,
				     const struct replica_answer *a, struct err *e);
/* Local side: make that copy, under the reader at mark 0. */
MUST_CHECK int snapshotter_make_copy(struct replica *r, struct sq_file *file,
				     uint32_t pages, struct err *e);

#endif
