/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replicate/replica.h"

#include "agent/replicate/replica_priv.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define OUTBOX_MEMORY (8U << 20)
#define GATHER_MS 3 /* a burst of commits travels together */

struct replica *replica_new(const struct replica_env *env, const struct db_config *db,
			    const struct replica_config *rc, void (*wake_local)(void *arg),
			    void *arg, struct err *e)
{
	struct replica *r = mem_alloc(sizeof(*r));
	struct store_options so = { .stop = env->stop };
	AUTO_FREE char *state_path = NULL;

	pthread_mutex_init(&r->mu, NULL);
	clock_cond_init(&r->cv);
	r->env = env;
	r->db = db;
	r->rc = rc;
	r->wake_local = wake_local;
	r->wake_arg = arg;
	r->session = random_u64();
	r->dir = file_join(db->meta_path, rc->name);
	r->copy_path = file_join(r->dir, "snapshot.tmp");
	state_path = file_join(r->dir, "state");
	if (file_mkdirs(r->dir, 0700, e) < 0 || !(r->state = state_open(state_path, e)) ||
	    !(r->store = store_open(rc, &so, e))) {
		replica_destroy(r);
		return NULL;
	}
	r->start_job = job_new(env->start_pool, replica_start_run, r);
	r->upload_job = job_new(env->upload_pool, replica_upload_run, r);
	return r;
}

void replica_destroy(struct replica *r)
{
	if (!r)
		return;
	replica_lost(r);
	/* Either may wake the other. */
	job_leave(r->start_job);
	job_leave(r->upload_job);
	job_destroy(r->start_job);
	job_destroy(r->upload_job);
	outbox_destroy(r->doomed);
	outbox_destroy(r->out);
	store_close(r->store);
	state_close(r->state);
	pthread_cond_destroy(&r->cv);
	pthread_mutex_destroy(&r->mu);
	free(r->dir);
	free(r->copy_path);
	free(r->wal_path);
	free(r);
}

const char *replica_name(const struct replica *r)
{
	return r->rc->name;
}

/* ---- local side ---- */

void replica_put_state(struct replica *r, const struct state *s, bool sync)
{
	struct err e = ERR_INIT;

	if (state_put(r->state, s, sync, &e) < 0)
		log_trouble(&r->state_trouble, LOG_WARN, "state not written", r->db->path,
			    &e);
	else
		log_trouble_over(&r->state_trouble, "state written again", r->db->path);
}

/* With the database's folder its state may have gone, or been exchanged: what lies there now counts, as it would
 * after a restart. */
static void look_for_state(struct replica *r)
{
	AUTO_FREE char *path = file_join(r->dir, "state");
	struct err e = ERR_INIT;

	if (state_in_place(r->state))
		return;
	struct state_file *f =
		file_mkdirs(r->dir, 0700, &e) < 0 ? NULL : state_open(path, &e);

	pthread_mutex_lock(&r->mu);
	if (f) {
		state_close(r->state);
		r->state = f;
	} else {
		log_trouble(&r->state_trouble, LOG_WARN, "state not written", r->db->path,
			    &e);
	}
	pthread_mutex_unlock(&r->mu);
}

void replica_open(struct replica *r, const struct capture *c, int64_t last_commit_ms)
{
	struct lineage_facts f = {
		.page_size = capture_page_size(c),
		.db_sum = capture_db_sum(c),
		.db_name = file_basename(r->db->path),
		.version = r->env->version,
		.compression = r->rc->compression,
		.session = r->session,
	};

	look_for_state(r);
	pthread_mutex_lock(&r->mu);
	f.have_state = state_get(r->state, &f.state);
	r->facts = f;
	r->have_facts = true;
	r->last_commit_ms = last_commit_ms;
	r->phase = REPLICA_STARTING;
	free(r->wal_path);
	r->wal_path = mem_str(capture_wal_path(c));
	pthread_mutex_unlock(&r->mu);
	job_wake(r->start_job);
}

void replica_cancel(struct replica *r)
{
	pthread_mutex_lock(&r->mu);
	r->epoch++;
	r->have_facts = false;
	r->phase = REPLICA_IDLE;
	r->request = REQUEST_NONE;
	r->gate = GATE_CLOSED;
	r->unframed = 0;
	pthread_cond_broadcast(&r->cv);
	pthread_mutex_unlock(&r->mu);
}

void replica_lost(struct replica *r)
{
	framer_destroy(r->framer);
	r->framer = NULL;
	replica_cancel(r);
}

/* The generation cannot go on; begin another one. */
static void give_up(struct replica *r, const struct err *e)
{
	if (e->code != ERR_CANCELED)
		log_warn("generation given up, a new one follows", LOGS("db", r->db->path),
			 LOGS("replica", r->rc->name), LOGE(e));
	framer_destroy(r->framer);
	r->framer = NULL;
	pthread_mutex_lock(&r->mu);
	r->failed = true;
	r->phase = REPLICA_STARTING;
	pthread_mutex_unlock(&r->mu);
	job_wake(r->start_job);
}

void replica_page(struct replica *r, uint32_t pgno, uint32_t commit, const uint8_t *page)
{
	struct err e = ERR_INIT;

	if (!r->framer)
		return;
	struct wal_pos sent = framer_sent(r->framer);

	if (framer_page(r->framer, pgno, commit, page, &e) < 0)
		give_up(r, &e);
	else if (wal_pos_cmp(sent, framer_sent(r->framer)) != 0)
		job_wake(r->upload_job); /* a part of a large transaction */
}

static void snapshot_if_due(struct replica *r, int64_t mono_ms)
{
	uint64_t wal = framer_bytes(r->framer) - r->last_snapshot_bytes;
	bool due;

	pthread_mutex_lock(&r->mu);
	uint64_t db = (uint64_t)r->answer.pages * r->facts.page_size;

	due = r->phase == REPLICA_RUNNING && !r->snapshot_due && wal > 0 &&
	      snapshotter_is_due(wal, db, mono_ms - r->last_snapshot_ms,
				 r->rc->snapshot_interval_ms);
	if (due)
		r->snapshot_due = true;
	pthread_mutex_unlock(&r->mu);
	if (due)
		job_wake(r->start_job);
}

/* Every delivered commit is in the outbox. */
static void all_cut(struct replica *r)
{
	pthread_mutex_lock(&r->mu);
	r->unframed = 0;
	pthread_mutex_unlock(&r->mu);
	job_wake(r->upload_job);
}

void replica_commit(struct replica *r, int64_t time_ms, uint64_t db_sum, uint32_t pages,
		    int64_t mono_ms)
{
	struct err e = ERR_INIT;

	pthread_mutex_lock(&r->mu);
	r->facts.db_sum = db_sum;
	r->last_commit_ms = time_ms;
	r->unframed++;
	pthread_mutex_unlock(&r->mu);
	if (!r->framer)
		return;
	if (!framer_pending(r->framer))
		r->pending_since_ms = mono_ms;
	if (framer_commit(r->framer, time_ms, db_sum, pages, &e) < 0)
		give_up(r, &e);
	else if (!framer_pending(r->framer)) {
		/* It went out by itself: the end of a stored index. */
		r->last_cut_ms = mono_ms;
		all_cut(r);
		snapshot_if_due(r, mono_ms);
	}
}

static int cut(struct replica *r, struct err *e)
{
	if (framer_cut(r->framer, e) < 0)
		return -1;
	all_cut(r);
	return 0;
}

int64_t replica_cut_due(struct replica *r, int64_t mono_ms, bool force)
{
	struct err e = ERR_INIT;

	if (!r->framer || !framer_pending(r->framer))
		return INT64_MAX;
	int64_t at = r->last_cut_ms + r->rc->sync_interval_ms;

	if (at < r->pending_since_ms + GATHER_MS)
		at = r->pending_since_ms + GATHER_MS;
	if (at > mono_ms && !force)
		return at;
	r->last_cut_ms = mono_ms;
	if (cut(r, &e) < 0)
		give_up(r, &e);
	else
		snapshot_if_due(r, mono_ms);
	return INT64_MAX;
}

bool replica_wants_barrier(struct replica *r)
{
	pthread_mutex_lock(&r->mu);
	bool yes = r->request == REQUEST_BEGIN || r->request == REQUEST_NEXT_INDEX;

	pthread_mutex_unlock(&r->mu);
	return yes;
}

static void new_outbox(struct replica *r)
{
	struct err e = ERR_INIT;
	AUTO_FREE char *spool = file_join(r->dir, "spool");
	struct outbox *o = outbox_new(spool, OUTBOX_MEMORY, r->db->spool_limit_bytes);

	pthread_mutex_lock(&r->mu);
	struct outbox *old = r->out;

	if (old)
		outbox_disown(old);
	/* Together: what is acknowledged from here on is of the new generation. */
	r->out = o;
	r->acked = r->durable = (struct wal_pos){ 0, 0 };
	r->unframed = 0;
	r->failed = false;
	if (r->uploading && !r->doomed) {
		r->doomed = old;
		old = NULL;
	}
	pthread_mutex_unlock(&r->mu);
	outbox_destroy(old);
	/* What lies there belongs to a generation that is over. */
	if (file_remove_tree(spool, &e) < 0)
		log_warn("old spool left in place", LOGS("db", r->db->path), LOGE(&e));
}

static void begin_framing(struct replica *r, struct capture *c)
{
	struct framer_start s = {
		.session = r->session,
		.codec = r->plan.record.compression,
		.page_size = capture_page_size(c),
		.db_sum = capture_db_sum(c),
		.pages = capture_pages(c),
		.time_ms = r->last_commit_ms,
	};

	memcpy(s.generation, r->plan.record.generation, sizeof(s.generation));
	new_outbox(r);
	framer_destroy(r->framer);
	r->framer = framer_new(&s, r->out);
}

/* What the snapshot is read from.  A failure costs the snapshot, not the generation: segments go on. */
static int open_source(struct replica *r, struct capture *c, struct replica_answer *a,
		       struct err *e)
{
	struct sq_file *f = capture_file(c, e);

	if (!f)
		return -1;
	if (r->plan.record.compression == CODEC_ZST) {
		a->file = f;
		return 0;
	}
	int rc = snapshotter_make_copy(r, f, a->pages, e);

	sq_file_close(f);
	return rc;
}

static void answer_request(struct replica *r, struct capture *c, enum replica_request q,
			   struct replica_answer *a, struct err *e)
{
	if (q == REQUEST_BEGIN) {
		begin_framing(r, c);
	} else if (!r->framer) {
		err_set(e, ERR_CANCELED, "the generation was given up");
		return;
	} else if (q == REQUEST_NEXT_INDEX ? framer_next_index(r->framer, e) < 0
					   : cut(r, e) < 0) {
		give_up(r, e);
		return;
	}
	a->pos = framer_pos(r->framer);
	a->sent = framer_sent(r->framer);
	a->db_sum = capture_db_sum(c);
	a->pages = capture_pages(c);
	a->time_ms = framer_time_ms(r->framer);
	if (q == REQUEST_CUT)
		return;
	all_cut(r);
	r->last_snapshot_bytes = framer_bytes(r->framer);
	/* A generation without its first snapshot is none. */
	if (open_source(r, c, a, e) < 0 && q == REQUEST_BEGIN) {
		framer_destroy(r->framer);
		r->framer = NULL;
	}
}

void replica_serve(struct replica *r, struct capture *c, bool at_rest)
{
	struct replica_answer a = { .err = ERR_INIT };

	pthread_mutex_lock(&r->mu);
	enum replica_request q = r->request;
	unsigned asked = r->asked;

	if (at_rest && r->framer) /* the barrier has synced it */
		r->durable = framer_pos(r->framer);
	pthread_mutex_unlock(&r->mu);
	if (q == REQUEST_NONE || (q != REQUEST_CUT && !at_rest))
		return;
	answer_request(r, c, q, &a, &a.err); /* a failure is an answer */
	pthread_mutex_lock(&r->mu);
	bool wanted = r->request == q && r->asked == asked;

	if (wanted) {
		r->answer = a;
		r->answered = true;
		r->request = REQUEST_NONE;
		pthread_cond_broadcast(&r->cv);
	}
	pthread_mutex_unlock(&r->mu);
	if (!wanted)
		sq_file_close(a.file);
}

/* ---- any thread ---- */

void replica_status(struct replica *r, struct replica_status *out)
{
	pthread_mutex_lock(&r->mu);
	*out = r->stats;
	out->phase = r->phase;
	out->acked = r->acked;
	out->released = r->released;
	out->dead = r->dead;
	out->unsent_bytes = r->out ? outbox_bytes(r->out) : 0;
	out->drained = r->phase == REPLICA_RUNNING && !r->failed && !r->unframed &&
		       (!r->out || !outbox_count(r->out));
	pthread_mutex_unlock(&r->mu);
}

void replica_kick(struct replica *r)
{
	pthread_mutex_lock(&r->mu);
	r->kick_start = r->kick_upload = true;
	pthread_mutex_unlock(&r->mu);
	job_wake(r->start_job);
	job_wake(r->upload_job);
}

void replica_release(struct replica *r)
{
	pthread_mutex_lock(&r->mu);
	r->releasing = r->phase == REPLICA_RUNNING;
	r->released = !r->releasing;
	pthread_mutex_unlock(&r->mu);
	job_wake(r->start_job);
}
