/* SPDX-License-Identifier: Apache-2.0 */
/* The network side of a replica that begins generations and takes snapshots. */
#include "agent/replicate/replica_priv.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BACKOFF_FIRST_MS 250
#define BACKOFF_CEILING_MS 30000
#define WAIT_SLICE_MS 200
#define NO_PROGRESS_MS 120000
#define CONTACT_FIRST_MS 5000
#define CONTACT_MAX_MS 30000
#define ANSWER_MS \
	60000 /* a barrier may be held back for long: others want the worker too */

/* With mu held. */
static int over(const struct replica *r, unsigned epoch, struct err *e)
{
	if (stop_is_set(r->env->stop))
		return err_set(e, ERR_CANCELED, "stopping");
	if (r->epoch != epoch)
		return err_set(e, ERR_CANCELED, "the database was opened anew");
	if (r->failed)
		return err_set(e, ERR_CANCELED, "the generation was given up");
	if (r->releasing)
		return err_set(e, ERR_CANCELED, "the last sync is over");
	return 0;
}

int replica_check(struct replica *r, unsigned epoch, struct err *e)
{
	pthread_mutex_lock(&r->mu);
	int rc = over(r, epoch, e);

	pthread_mutex_unlock(&r->mu);
	return rc;
}

/* With mu held; wakes at a broadcast or after a slice, so that a stop is seen. */
static void wait_slice(struct replica *r)
{
	struct timespec t;
	int64_t until = clock_mono_ms() + WAIT_SLICE_MS;

	t.tv_sec = until / 1000;
	t.tv_nsec = until % 1000 * 1000000;
	pthread_cond_timedwait(&r->cv, &r->mu, &t);
}

int replica_ask(struct replica *r, unsigned epoch, enum replica_request q,
		struct replica_answer *a, struct err *e)
{
	int64_t deadline = clock_mono_ms() + ANSWER_MS;
	int rc = 0;

	pthread_mutex_lock(&r->mu);
	if (q == REQUEST_BEGIN)
		r->failed = false;
	r->answered = false;
	r->asked++;
	r->request = q;
	pthread_mutex_unlock(&r->mu);
	r->wake_local(r->wake_arg);
	pthread_mutex_lock(&r->mu);
	while (!r->answered && (rc = over(r, epoch, e)) == 0) {
		if (clock_mono_ms() >= deadline) {
			rc = err_set(e, ERR_AGAIN,
				     "%s: no checkpoint was complete for %d s: a "
				     "transaction stays open",
				     r->db->path, ANSWER_MS / 1000);
			break;
		}
		wait_slice(r);
	}
	if (rc < 0)
		r->request = REQUEST_NONE;
	else
		*a = r->answer;
	pthread_mutex_unlock(&r->mu);
	if (rc == 0 && a->err.code != ERR_NONE) {
		*e = a->err;
		return -1;
	}
	return rc;
}

int replica_await_acked(struct replica *r, unsigned epoch, struct wal_pos pos,
			struct err *e)
{
	int64_t progress_ms = clock_mono_ms();
	struct wal_pos last = { 0, 0 };
	int rc = 0;

	pthread_mutex_lock(&r->mu);
	while (wal_pos_cmp(r->acked, pos) < 0 && (rc = over(r, epoch, e)) == 0) {
		if (wal_pos_cmp(r->acked, last) != 0) {
			last = r->acked;
			progress_ms = clock_mono_ms();
		}
		if (clock_mono_ms() - progress_ms > NO_PROGRESS_MS) {
			rc = err_set(e, ERR_AGAIN, "%s: nothing was acknowledged for %d s",
				     r->store->url, NO_PROGRESS_MS / 1000);
			break;
		}
		wait_slice(r);
	}
	pthread_mutex_unlock(&r->mu);
	return rc;
}

void replica_set_gate(struct replica *r, struct wal_pos gate)
{
	pthread_mutex_lock(&r->mu);
	r->gate = gate;
	pthread_mutex_unlock(&r->mu);
	job_wake(r->upload_job);
}

/* The first word with a store that may be away: a short time for it at first, so that it keeps no worker from those
 * that answer, and more with each failure. */
static int reach(struct replica *r, struct err *e)
{
	struct store_options o = { .stop = r->env->stop, .timeout_ms = CONTACT_FIRST_MS };
	CLEANUP(buf_free) struct buf b = BUF(RECORDS_SIZE_MAX);
	struct err le = ERR_INIT;

	for (int64_t ms = BACKOFF_FIRST_MS;
	     ms < r->backoff_ms && o.timeout_ms < CONTACT_MAX_MS; ms *= 2)
		o.timeout_ms *= 2;
	CLEANUP(store_closep) struct store *s = store_open(r->rc, &o, e);

	if (!s)
		return -1;
	if (s->ops->get(s, LAYOUT_HEAD_KEY, 0, UINT64_MAX, &b, NULL, &le) == 0 ||
	    le.code != ERR_AGAIN)
		return 0; /* there is one; what it means is for later */
	*e = le;
	return -1;
}

static int decide(struct replica *r, struct err *e)
{
	struct lineage_facts f;

	pthread_mutex_lock(&r->mu);
	f = r->facts;
	f.have_state = state_get(r->state, &f.state);
	pthread_mutex_unlock(&r->mu);
	f.adopt_local = r->env->adopt_local && !r->adopted;
	if (lineage_decide(r->store, &f, clock_wall_ms(), &r->plan, e) < 0)
		return -1;
	if (r->plan.kept_lz4)
		log_info("this path holds lz4 objects: writing lz4, so that Litestream can "
			 "restore",
			 LOGS("db", r->db->path), LOGS("replica", r->rc->name),
			 LOGS("hint", "`compression: zst` ends that"));
	if (!r->plan.differs[0])
		return 0;
	if (f.adopt_local) {
		log_warn("another history is stored; this database becomes the current one",
			 LOGS("db", r->db->path), LOGS("replica", r->rc->name),
			 LOGS("reason", r->plan.differs));
		return 0;
	}
	err_set(e, ERR_EXISTS, "%s: %s", r->db->path, r->plan.differs);
	err_slug(e, "histories_differ");
	err_hint(e, "look at both with `walback generations`; restore the stored one with "
		    "`walback restore -o OTHER`");
	e->exit = 16;
	if (r->env->stop_if_different) {
		pthread_mutex_lock(&r->mu);
		r->dead = true;
		pthread_mutex_unlock(&r->mu);
		r->env->fatal(r->env->arg, e);
		return -1;
	}
	log_error("another history is stored; this database goes to a generation aside",
		  LOGS("db", r->db->path), LOGS("replica", r->rc->name), LOGE(e));
	return 0;
}

/* Before anything goes to the store: what cannot be recorded here would be begun again and again there. */
static int reserve(struct replica *r, struct err *e)
{
	pthread_mutex_lock(&r->mu);
	int rc = state_reserve(r->state, e);

	pthread_mutex_unlock(&r->mu);
	return rc;
}

/* Before head moves: whichever it names after a crash, this database is of its history. */
static int announce(struct replica *r, struct err *e)
{
	struct state s = { 0 };

	pthread_mutex_lock(&r->mu);
	if (!state_get(r->state, &s))
		memcpy(s.generation, r->plan.record.generation, sizeof(s.generation));
	memcpy(s.next, r->plan.record.generation, sizeof(s.next));
	int rc = state_put(r->state, &s, true, e);

	pthread_mutex_unlock(&r->mu);
	return rc;
}

static void remember(struct replica *r)
{
	struct state s = { .session = r->session };

	pthread_mutex_lock(&r->mu);
	memcpy(s.generation, r->plan.record.generation, sizeof(s.generation));
	s.acked = r->acked;
	s.db_sum = r->answer.db_sum;
	s.time_ms = r->answer.time_ms;
	replica_put_state(r, &s, true);
	pthread_mutex_unlock(&r->mu);
}

/* The lineage record and the first snapshot. */
static int store_generation(struct replica *r, unsigned epoch, struct err *e)
{
	struct replica_answer a = { 0 };
	bool zst;

	if (reserve(r, e) < 0 || reach(r, e) < 0 || decide(r, e) < 0)
		return -1;
	/* It answers: a worker like any other from here on. */
	places_leave(r->env->start_places, &r->placed);
	/* Closed until the record is there, which comes before every other object. */
	replica_set_gate(r, GATE_CLOSED);
	if (replica_ask(r, epoch, REQUEST_BEGIN, &a, e) < 0)
		return -1;
	if (lineage_write_record(r->store, &r->plan, e) < 0) {
		sq_file_close(a.file);
		return -1;
	}
	zst = r->plan.record.compression == CODEC_ZST;
	return zst ? snapshotter_fuzzy(r, epoch, &a, e)
		   : snapshotter_from_copy(r, epoch, &a, e);
}

static int make_current(struct replica *r, struct err *e)
{
	if (r->plan.move_head && announce(r, e) < 0)
		return -1;
	if (lineage_write_head(r->store, &r->plan, clock_wall_ms(), e) < 0)
		return -1;
	remember(r);
	r->adopted = true;
	log_info("generation begun", LOGS("db", r->db->path), LOGS("replica", r->rc->name),
		 LOGS("generation", r->plan.record.generation),
		 LOGS("reason", lineage_reason_name(r->plan.record.reason)));
	return 0;
}

static int new_generation(struct replica *r, unsigned epoch, struct err *e)
{
	if (!r->stored && store_generation(r, epoch, e) < 0)
		return -1;
	r->stored = true;
	r->stored_epoch = epoch;
	int rc = make_current(r, e);

	/* Head has moved meanwhile: decide anew. */
	if (rc == 0 || e->code == ERR_EXISTS)
		r->stored = false;
	return rc;
}

static int another_snapshot(struct replica *r, unsigned epoch, struct err *e)
{
	struct replica_answer a = { 0 };

	if (replica_ask(r, epoch, REQUEST_NEXT_INDEX, &a, e) < 0)
		return -1;
	return r->plan.record.compression == CODEC_ZST
		       ? snapshotter_fuzzy(r, epoch, &a, e)
		       : snapshotter_from_copy(r, epoch, &a, e);
}

static void done(struct replica *r, unsigned epoch, bool began)
{
	pthread_mutex_lock(&r->mu);
	if (r->epoch == epoch && !r->failed) {
		if (began) {
			r->phase = REPLICA_RUNNING;
			memcpy(r->stats.generation, r->plan.record.generation,
			       sizeof(r->stats.generation));
		}
		r->snapshot_due = false;
		r->gate = GATE_OPEN;
	}
	pthread_mutex_unlock(&r->mu);
	r->backoff_ms = 0;
	r->not_before_ms = 0;
	log_trouble_over(&r->start_trouble, "replica reached again", r->db->path);
	job_wake(r->upload_job);
}

static void failed(struct replica *r, bool begin, const struct err *e)
{
	if (r->dead) /* env->fatal has it */
		return;
	if (e->code != ERR_CANCELED)
		log_trouble(&r->start_trouble, LOG_ERROR,
			    begin ? "cannot begin to replicate" : "no new snapshot yet",
			    r->db->path, e);
	r->backoff_ms =
		clock_backoff_ms(r->backoff_ms, BACKOFF_FIRST_MS, BACKOFF_CEILING_MS);
	r->not_before_ms = clock_mono_ms() + r->backoff_ms;
	job_wake_at(r->start_job, r->not_before_ms);
}

static void release(struct replica *r)
{
	struct err e = ERR_INIT;

	if (lineage_release(r->store, &r->plan, clock_wall_ms(), &e) < 0)
		log_warn("release not written", LOGS("db", r->db->path),
			 LOGS("replica", r->rc->name), LOGE(&e));
	pthread_mutex_lock(&r->mu);
	r->releasing = false;
	r->released = true;
	pthread_mutex_unlock(&r->mu);
}

static void run(struct replica *r, unsigned epoch, bool begin)
{
	struct err e = ERR_INIT;

	r->placed = r->backoff_ms > 0;
	if (r->placed && !places_take(r->env->start_places)) {
		r->not_before_ms = clock_mono_ms() + r->backoff_ms;
		job_wake_at(r->start_job, r->not_before_ms);
		return;
	}
	if ((begin ? new_generation(r, epoch, &e) : another_snapshot(r, epoch, &e)) < 0)
		failed(r, begin, &e);
	else
		done(r, epoch, begin);
	places_leave(r->env->start_places, &r->placed);
}

void replica_start_run(void *arg)
{
	struct replica *r = arg;

	pthread_mutex_lock(&r->mu);
	unsigned epoch = r->epoch;
	bool releasing = r->releasing;
	bool begin = r->have_facts && r->phase == REPLICA_STARTING && !r->dead;
	bool snapshot = r->phase == REPLICA_RUNNING && r->snapshot_due;
	bool kicked = r->kick_start;

	r->kick_start = false;
	if (r->failed || r->stored_epoch != epoch)
		r->stored = false;
	if (begin)
		r->failed = false;
	pthread_mutex_unlock(&r->mu);
	if (releasing)
		release(r);
	if (!kicked && clock_mono_ms() < r->not_before_ms) {
		job_wake_at(r->start_job, r->not_before_ms);
		return;
	}
	if ((begin || snapshot) && !releasing && !stop_is_set(r->env->stop))
		run(r, epoch, begin);
}
