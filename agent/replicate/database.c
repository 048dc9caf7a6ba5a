/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replicate/database.h"

#include "agent/exit.h"
#include "agent/replicate/capture.h"
#include "agent/replicate/watch.h"
#include "agent/swap/swap.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define ABSENT_POLL_MS 250
#define OPEN_RETRY_MS 1000
#define SETTLE_SILENT_MS 2000 /* what ends by itself is not worth a word */
#define HOT_POLL_MS 3	      /* while frames flow: a memory read */
#define QUIET_MS 1000	      /* without frames: a barrier, then rest */
#define MOVED_CHECK_MS 1000
/* Frames were written, but no commit published yet: SQLite syncs the WAL in between. */
#define TOUCHED_POLL_MS 50
#define TOUCHED_FOR_MS 60000
#define BARRIER_BACKOFF_FIRST_MS 10
#define BARRIER_BACKOFF_CEILING_MS 1000
#define HELD_BACK_SAID_MS 10000 /* a barrier that does not complete for so long is told */
/* A capture that is lost again within a minute: each begins a generation with its snapshot. */
#define LOST_AGAIN_MS 60000
#define LOST_BACKOFF_FIRST_MS 500
#define LOST_BACKOFF_CEILING_MS 30000

enum phase { ABSENT, OPENING, SETTLING, RUNNING };

struct database {
	const struct db_config *cfg;
	struct watch *watch;
	struct watch_entry *entry;
	pthread_mutex_t mu; /* of job: others wake it while it is being destroyed */
	struct job *job, *self;
	struct replica **replicas;
	size_t nreplicas;
	int lock_fd;
	atomic_bool ready, draining, touched; /* touched: a watched file has changed */
	atomic_uint asked,
		answered; /* wake-ups while draining, and the last one whose work is done */

	enum phase phase; /* the job's, as all below */
	struct capture *cap;
	int64_t last_news_ms, last_moved_check_ms, barrier_not_before_ms,
		barrier_backoff_ms;
	int64_t held_back_since_ms; /* no barrier completes; 0: they do */
	int64_t open_not_before_ms, lost_ms, lost_backoff_ms;
	int64_t opened_ms, last_commit_ms, now_ms,
		touched_ms; /* touched_ms: 0 once a commit was found */
	struct log_trouble open_trouble, barrier_trouble;
};

static void wake_job(void *arg)
{
	struct database *d = arg;

	pthread_mutex_lock(&d->mu);
	if (d->job)
		job_wake(d->job);
	pthread_mutex_unlock(&d->mu);
}

static void on_change(void *arg)
{
	struct database *d = arg;

	atomic_store(&d->touched, true);
	wake_job(d);
}

static void destroy_job(struct database *d)
{
	pthread_mutex_lock(&d->mu);
	struct job *j = d->job;

	d->job = NULL;
	pthread_mutex_unlock(&d->mu);
	if (j)
		job_destroy(j);
}

/* ---- delivery ---- */

static int deliver_page(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
			struct err *e)
{
	struct database *d = arg;

	(void)e;
	for (size_t i = 0; i < d->nreplicas; i++)
		replica_page(d->replicas[i], pgno, commit, page);
	return 0;
}

static void deliver_commit(void *arg, int64_t time_ms, uint64_t db_sum, uint32_t pages)
{
	struct database *d = arg;

	d->last_commit_ms = time_ms;
	for (size_t i = 0; i < d->nreplicas; i++)
		replica_commit(d->replicas[i], time_ms, db_sum, pages, d->now_ms);
}

/* ---- the lock ---- */

/* Nothing if it is held; with the folder it may have gone. */
static int take_lock(struct database *d, struct err *e)
{
	AUTO_FREE char *path = file_join(d->cfg->meta_path, "lock");

	if (d->lock_fd >= 0 && file_is_at(d->lock_fd, path))
		return 0;
	if (file_mkdirs(d->cfg->meta_path, 0700, e) < 0)
		return -1;
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(e, "open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		if (d->lock_fd >= 0)
			close(d->lock_fd);
		d->lock_fd = steal_fd(&fd);
		return 0;
	}
	if (errno != EWOULDBLOCK)
		return err_errno(e, "lock %s", path);
	err_set(e, ERR_EXISTS, "%s: another walback replicates this database",
		d->cfg->path);
	err_hint(e, "stop it first; its lock is %s", path);
	err_slug(e, "database_locked");
	return err_exit(e, EXIT_LOCKED);
}

/* ---- from absent to running ---- */

static int64_t absent(struct database *d)
{
	/* A zero-byte file is left to the app: opening it would fix its page size. */
	if (file_size(d->cfg->path) > 0) {
		d->phase = OPENING;
		return d->now_ms;
	}
	atomic_store(&d->ready, true);
	return d->now_ms + ABSENT_POLL_MS;
}

static int64_t opening(struct database *d)
{
	struct capture_options o = { .checkpoint_pages = d->cfg->min_checkpoint_pages };
	struct capture_sink sink = { d, deliver_page, deliver_commit };
	struct err e = ERR_INIT;

	if (file_size(d->cfg->path) <= 0) {
		d->phase = ABSENT;
		return d->now_ms;
	}
	if (d->now_ms < d->open_not_before_ms)
		return d->open_not_before_ms;
	if (take_lock(d, &e) == 0)
		d->cap = capture_open(d->cfg->path, &o, &sink, &e);
	if (!d->cap) {
		/* Busy is what an app looks like that is just creating it. */
		bool busy = e.code == ERR_AGAIN;

		log_trouble(&d->open_trouble, busy ? LOG_WARN : LOG_ERROR,
			    "cannot open the database", d->cfg->path, &e);
		return d->now_ms + (busy ? ABSENT_POLL_MS : OPEN_RETRY_MS);
	}
	log_trouble_over(&d->open_trouble, "database opened", d->cfg->path);
	d->opened_ms = d->now_ms;
	d->phase = SETTLING;
	return d->now_ms;
}

static void lost(struct database *d, const struct err *e)
{
	bool again = d->lost_ms && d->now_ms - d->lost_ms < LOST_AGAIN_MS;

	d->lost_backoff_ms =
		again ? clock_backoff_ms(d->lost_backoff_ms, LOST_BACKOFF_FIRST_MS,
					 LOST_BACKOFF_CEILING_MS)
		      : 0;
	d->lost_ms = d->now_ms;
	d->open_not_before_ms = d->now_ms + d->lost_backoff_ms;
	log_warn("capture begins anew", LOGS("db", d->cfg->path), LOGE(e),
		 LOGI("in_ms", d->lost_backoff_ms));
	for (size_t i = 0; i < d->nreplicas; i++)
		replica_lost(d->replicas[i]);
	capture_close(d->cap);
	d->cap = NULL;
	d->phase = OPENING;
}

static int64_t settling(struct database *d)
{
	struct err e = ERR_INIT;

	if (capture_settle(d->cap, &e) < 0) {
		if (e.code != ERR_AGAIN) {
			lost(d, &e);
			return d->now_ms + OPEN_RETRY_MS;
		}
		if (d->now_ms - d->opened_ms >= SETTLE_SILENT_MS)
			log_trouble(&d->barrier_trouble, LOG_WARN,
				    "nothing is replicated yet", d->cfg->path, &e);
		atomic_store(&d->ready, true); /* its reader is held */
		d->barrier_backoff_ms =
			clock_backoff_ms(d->barrier_backoff_ms, BARRIER_BACKOFF_FIRST_MS,
					 BARRIER_BACKOFF_CEILING_MS);
		return clock_mono_ms() + d->barrier_backoff_ms;
	}
	d->barrier_backoff_ms = 0;
	log_trouble_over(&d->barrier_trouble, "replication begins", d->cfg->path);
	atomic_store(&d->ready, true);
	if (!capture_settled(d->cap))
		return d->now_ms; /* others have their turn between two slices */
	d->last_commit_ms = clock_wall_ms();
	for (size_t i = 0; i < d->nreplicas; i++)
		replica_open(d->replicas[i], d->cap, d->last_commit_ms);
	d->last_news_ms = d->now_ms;
	d->phase = RUNNING;
	return d->now_ms;
}

/* ---- running ---- */

static bool wants_barrier(struct database *d)
{
	for (size_t i = 0; i < d->nreplicas; i++)
		if (replica_wants_barrier(d->replicas[i]))
			return true;
	return false;
}

/* The app's WAL grows until its reader ends: who reads the log at night must know which. */
static void tell_held_back(struct database *d, const struct capture_stats *st,
			   bool complete)
{
	struct err e = ERR_INIT;
	char who[32] = "unknown";

	if (complete) {
		d->held_back_since_ms = 0;
		log_trouble_over(&d->barrier_trouble, "checkpointed", d->cfg->path);
		return;
	}
	if (!d->held_back_since_ms)
		d->held_back_since_ms = d->now_ms;
	if (d->now_ms - d->held_back_since_ms < HELD_BACK_SAID_MS)
		return;
	if (st->holder)
		snprintf(who, sizeof(who), "%d", (int)st->holder);
	err_set(&e, ERR_AGAIN,
		"%s: the WAL holds %u frames that cannot be put into the database: a "
		"transaction stays open (process %s)",
		d->cfg->path, st->wal_frames, who);
	err_hint(&e, "end that transaction or its process; until then the -wal grows, and "
		     "nothing is lost");
	log_trouble(&d->barrier_trouble, LOG_WARN, "checkpoints are held back",
		    d->cfg->path, &e);
}

static int barrier(struct database *d, struct err *e)
{
	bool quiet = d->now_ms - d->last_news_ms >= QUIET_MS;

	bool wanted = wants_barrier(d);

	if (!capture_barrier_due(d->cap) && !(quiet && !capture_at_rest(d->cap)) && !wanted)
		return 0;
	if (d->now_ms < d->barrier_not_before_ms)
		return 0;
	int rc = wanted ? capture_barrier(d->cap, e) : capture_ease(d->cap, e);

	if (rc < 0)
		return -1;
	const struct capture_stats *st = capture_stats(d->cap);

	log_debug("barrier", LOGS("db", d->cfg->path),
		  LOGB("complete", rc == CAPTURE_RESTS), LOGI("wait_us", st->wait_us_last),
		  LOGI("hold_us", st->hold_us_last), LOGU("wal_frames", st->wal_frames),
		  LOGI("holder", st->holder));
	tell_held_back(d, st, rc != CAPTURE_HELD_BACK);
	d->barrier_backoff_ms =
		rc ? 0
		   : clock_backoff_ms(d->barrier_backoff_ms, BARRIER_BACKOFF_FIRST_MS,
				      BARRIER_BACKOFF_CEILING_MS);
	d->barrier_not_before_ms = clock_mono_ms() + d->barrier_backoff_ms;
	return 0;
}

static const char *moved(struct database *d)
{
	if (d->now_ms - d->last_moved_check_ms < MOVED_CHECK_MS)
		return NULL;
	d->last_moved_check_ms = d->now_ms;
	return capture_moved(d->cap);
}

/* Nothing to do until somebody writes: arm the watch, then look once more. */
static int64_t rest(struct database *d)
{
	capture_idle(d->cap);
	mem_trim();
	bool armed = watch_arm(d->watch, d->entry, capture_wal_path(d->cap));

	if (capture_has_news(d->cap)) {
		d->last_news_ms = d->now_ms;
		return d->now_ms;
	}
	if (d->touched_ms && d->now_ms - d->touched_ms < TOUCHED_FOR_MS)
		return d->now_ms + TOUCHED_POLL_MS;
	if (armed)
		return INT64_MAX;
	return d->now_ms +
	       (d->cfg->monitor_interval_ms > 0 ? d->cfg->monitor_interval_ms : 1000);
}

static int64_t serve_replicas(struct database *d, bool force)
{
	bool at_rest = capture_at_rest(d->cap);
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < d->nreplicas; i++) {
		replica_serve(d->replicas[i], d->cap, at_rest);
		int64_t due = replica_cut_due(d->replicas[i], d->now_ms, force);

		if (due < next)
			next = due;
	}
	return next;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int copy(struct database *d, uint64_t *commits, struct err *e)
{
	uint64_t before = capture_stats(d->cap)->commits;

	if (capture_copy(d->cap, e) < 0 || capture_make_way(d->cap, e) < 0)
		return -1;
	*commits = capture_stats(d->cap)->commits - before;
	return 0;
}

static int64_t running(struct database *d)
{
	struct err e = ERR_INIT;
	uint64_t commits = 0;
	unsigned asked = atomic_load(&d->asked);

	if (atomic_exchange(&d->touched, false))
		d->touched_ms = d->last_news_ms = d->now_ms;
	const char *why = moved(d);

	if (why)
		err_set(&e, ERR_CORRUPT, "%s: %s", d->cfg->path, why);
	if (e.code || copy(d, &commits, &e) < 0) {
		if (e.code == ERR_AGAIN)
			return d->now_ms + HOT_POLL_MS;
		lost(d, &e);
		return d->now_ms;
	}
	if (commits) {
		d->last_news_ms = d->now_ms;
		d->touched_ms = 0;
	}
	if (barrier(d, &e) < 0) {
		lost(d, &e);
		return d->now_ms;
	}
	int64_t next = serve_replicas(d, atomic_load(&d->draining));

	atomic_store(&d->answered, asked);
	if (wants_barrier(d) || !capture_at_rest(d->cap))
		next = sooner(next, d->now_ms + HOT_POLL_MS);
	if (d->now_ms - d->last_news_ms < QUIET_MS)
		return sooner(next, d->now_ms + HOT_POLL_MS);
	return capture_at_rest(d->cap) ? sooner(next, rest(d)) : next;
}

static void run(void *arg)
{
	struct database *d = arg;
	int64_t next;

	d->now_ms = clock_mono_ms();
	switch (d->phase) {
	case ABSENT:
		next = absent(d);
		break;
	case OPENING:
		next = opening(d);
		break;
	case SETTLING:
		next = settling(d);
		break;
	case RUNNING:
	default:
		next = running(d);
		break;
	}
	if (d->phase != RUNNING)
		atomic_store(&d->answered, atomic_load(&d->asked));
	/* destroy_job waits for this function before it frees the job. */
	if (next != INT64_MAX)
		job_wake_at(d->self, next);
}

/* ---- life cycle ---- */

static int recover_swap(struct database *d, struct err *e)
{
	struct swap_report report = { 0 };
	int rc = swap_recover(d->cfg->path, &report, e);

	swap_report_free(&report);
	return rc;
}

/* Where the file itself and its -wal lie, also behind a symbolic link. */
static void watch_folder(struct database *d)
{
	struct err ignored = ERR_INIT;
	AUTO_FREE char *real = file_realpath(d->cfg->path, &ignored);
	const char *path = real ? real : d->cfg->path;
	AUTO_FREE char *dir = file_dirname(path);

	d->entry = watch_add(d->watch, dir, file_basename(path), on_change, d);
}

struct database *database_new(const struct db_config *cfg, const struct replica_env *env,
			      struct pool *local, struct watch *watch, struct err *e)
{
	struct database *d = mem_alloc(sizeof(*d));

	pthread_mutex_init(&d->mu, NULL);
	d->cfg = cfg;
	d->watch = watch;
	d->lock_fd = -1;
	d->replicas = mem_array(cfg->nreplicas, sizeof(struct replica *));
	if (take_lock(d, e) < 0 || recover_swap(d, e) < 0)
		goto fail;
	d->job = d->self = job_new(local, run, d);
	for (; d->nreplicas < cfg->nreplicas; d->nreplicas++) {
		struct replica *r =
			replica_new(env, cfg, &cfg->replicas[d->nreplicas], wake_job, d, e);

		if (!r)
			goto fail;
		d->replicas[d->nreplicas] = r;
	}
	watch_folder(d);
	return d;
fail:
	database_destroy(d);
	return NULL;
}

void database_destroy(struct database *d)
{
	if (!d)
		return;
	/* The replicas' jobs may wait for an answer of ours: they give up when told that it is over. */
	for (size_t i = 0; i < d->nreplicas; i++)
		replica_cancel(d->replicas[i]);
	destroy_job(d);
	/* Not before: the job arms its entry. */
	watch_remove(d->watch, d->entry);
	for (size_t i = 0; i < d->nreplicas; i++)
		replica_destroy(d->replicas[i]);
	capture_close(d->cap);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	pthread_mutex_destroy(&d->mu);
	free(d->replicas);
	free(d);
}

const char *database_path(const struct database *d)
{
	return d->cfg->path;
}

void database_wake(struct database *d)
{
	atomic_fetch_add(&d->asked, 1);
	wake_job(d);
}

bool database_ready(const struct database *d)
{
	return atomic_load(&d->ready);
}

void database_drain(struct database *d)
{
	atomic_store(&d->draining, true);
	for (size_t i = 0; i < d->nreplicas; i++)
		replica_kick(d->replicas[i]);
	database_wake(d);
}

bool database_drained(struct database *d)
{
	if (atomic_load(&d->answered) != atomic_load(&d->asked))
		return false;
	if (file_size(d->cfg->path) <= 0)
		return true; /* there is nothing */
	for (size_t i = 0; i < d->nreplicas; i++) {
		struct replica_status s;

		replica_status(d->replicas[i], &s);
		if (!s.drained && !s.dead)
			return false;
	}
	return true;
}

void database_release(struct database *d)
{
	for (size_t i = 0; i < d->nreplicas; i++)
		replica_release(d->replicas[i]);
}

bool database_released(struct database *d)
{
	for (size_t i = 0; i < d->nreplicas; i++) {
		struct replica_status s;

		replica_status(d->replicas[i], &s);
		if (!s.released)
			return false;
	}
	return true;
}

void database_log_end(struct database *d)
{
	for (size_t i = 0; i < d->nreplicas; i++) {
		struct replica_status s;

		replica_status(d->replicas[i], &s);
		if (s.drained)
			log_info("everything is in the replica", LOGS("db", d->cfg->path),
				 LOGS("replica", replica_name(d->replicas[i])),
				 LOGS("generation", s.generation),
				 LOGX("index", s.acked.index),
				 LOGX("offset", s.acked.offset));
		else if (file_size(d->cfg->path) > 0)
			log_error("not everything reached the replica",
				  LOGS("db", d->cfg->path),
				  LOGS("replica", replica_name(d->replicas[i])),
				  LOGU("unsent_bytes", s.unsent_bytes),
				  LOGS("hint", "the database itself is whole; the next "
					       "start replicates it"));
	}
}
