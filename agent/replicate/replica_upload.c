/* SPDX-License-Identifier: Apache-2.0 */
/* The network side of a replica that uploads segments, one at a time and in order. */
#include "agent/replicate/replica_priv.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define RETRY_MS 1000
#define RETRY_CEILING_MS 15000
/* In a bucket; in a folder each time, since a look costs nothing there. */
#define PRESENCE_MS 60000
#define RETRY_DENIED_MS 15000

static int sync_wal(const char *path, struct err *e)
{
	/* The -wal carries no locks, so it may be opened and closed freely. */
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, "open %s", path);
	return file_datasync(fd, path, e);
}

/* What is in the store must be durable here first: a power cut must not take a commit that a
 * restore would bring back.  One sync serves all that waits to be sent. */
static int make_durable(struct replica *r, struct outbox *o, const struct outbox_item *it,
			struct err *e)
{
	struct wal_pos end = outbox_end(o);

	pthread_mutex_lock(&r->mu);
	AUTO_FREE char *path = mem_str(r->wal_path);
	bool is = o == r->out && wal_pos_cmp(it->end, r->durable) <= 0;

	pthread_mutex_unlock(&r->mu);
	if (is)
		return 0;
	if (sync_wal(path, e) < 0)
		return -1;
	pthread_mutex_lock(&r->mu);
	if (o == r->out && wal_pos_cmp(r->durable, end) < 0)
		r->durable = end;
	pthread_mutex_unlock(&r->mu);
	return 0;
}

/* The key is taken: by our own request whose answer was lost, or by somebody else. */
static int read_back(struct replica *r, const struct outbox_item *it, struct err *e)
{
	CLEANUP(buf_free) struct buf b = BUF(it->size + 1);

	if (r->store->ops->get(r->store, it->key, 0, it->size + 1, &b, NULL, e) < 0)
		return -1;
	if (b.len == it->size && !memcmp(b.p, it->bytes.p, b.len))
		return 0;
	err_set(e, ERR_EXISTS, "%s: another writer has written %s", r->store->url, it->key);
	err_hint(e, "stop the other walback that replicates to this path, or give it a "
		    "path of its own");
	return err_slug(e, "writer_superseded");
}

/* A segment is worth nothing where its snapshot has gone: somebody has emptied the folder or the
 * bucket, which takes the new segment without a word. */
static int check_presence(struct replica *r, const struct outbox_item *it, struct err *e)
{
	struct fact f = layout_parse(it->key);
	struct store_object meta = { 0 };
	struct err why = ERR_INIT;
	char key[LAYOUT_KEY_MAX];
	int64_t now = clock_mono_ms();

	if (r->rc->type != REPLICA_FILE && r->seen_ms && now - r->seen_ms < PRESENCE_MS)
		return 0;
	f.kind = LAYOUT_LINEAGE;
	layout_format(&f, key);
	if (r->store->ops->head(r->store, key, &meta, &why) == 0) {
		r->seen_ms = now;
		return 0;
	}
	*e = why;
	if (why.code != ERR_NOT_FOUND)
		return -1;
	err_set(e, ERR_NOT_FOUND, "%s: %s has gone", r->store->url, key);
	err_hint(e, "nothing but walback's retention should delete there; if it was not "
		    "you, look at the bucket's lifecycle rules");
	return err_slug(e, "replica_emptied");
}

static int put_item(struct replica *r, const struct outbox_item *it, struct err *e)
{
	struct store_put o = { .if_absent = true };

	if (check_presence(r, it, e) < 0)
		return -1;
	if (r->store->ops->put(r->store, it->key, it->bytes.p, it->bytes.len, &o, e) == 0)
		return 0;
	if (e->code != ERR_EXISTS)
		return -1;
	struct err again = ERR_INIT;

	if (read_back(r, it, &again) == 0)
		return 0;
	*e = again;
	return -1;
}

static void acknowledge(struct replica *r, struct outbox *o, const struct outbox_item *it)
{
	struct state s = { .acked = it->end,
			   .db_sum = it->db_sum,
			   .session = r->session,
			   .time_ms = it->time_ms };

	pthread_mutex_lock(&r->mu);
	if (o == r->out) {
		r->acked = it->end;
		/* Before head names the generation, the state goes on to name the old one. */
		if (r->phase == REPLICA_RUNNING) {
			memcpy(s.generation, r->stats.generation, sizeof(s.generation));
			replica_put_state(r, &s, false);
		}
	}
	r->stats.segments++;
	r->stats.bytes += it->size;
	r->stats.last_ack_ms = clock_wall_ms();
	pthread_cond_broadcast(&r->cv);
	pthread_mutex_unlock(&r->mu);
	log_debug("segment uploaded", LOGS("db", r->db->path), LOGS("replica", r->rc->name),
		  LOGS("key", it->key), LOGU("bytes", it->size),
		  LOGU("commits", it->commits));
	outbox_pop(o);
}

/* Never again into that generation.  Of one that is over already it is no news. */
static void abandon(struct replica *r, const struct outbox *o, const char *why,
		    const struct err *e)
{
	pthread_mutex_lock(&r->mu);
	bool current = o == r->out && r->have_facts;

	if (current) {
		r->failed = true;
		r->phase = REPLICA_STARTING;
		r->gate = GATE_CLOSED;
		pthread_cond_broadcast(&r->cv);
	}
	pthread_mutex_unlock(&r->mu);
	if (!current)
		return;
	log_error(why, LOGS("db", r->db->path), LOGS("replica", r->rc->name), LOGE(e));
	job_wake(r->start_job);
}

/* A store that does not answer must not keep the pool's workers from those that do: the pause is at least
 * as long as the try was. */
static void try_later(struct replica *r, int64_t began_ms, const struct err *e)
{
	int64_t now = clock_mono_ms();
	int64_t pause = e->code == ERR_DENIED ? RETRY_DENIED_MS : now - began_ms;

	pause = pause < RETRY_MS	   ? RETRY_MS
		: pause > RETRY_CEILING_MS ? RETRY_CEILING_MS
					   : pause;
	r->upload_not_before_ms = now + pause;
	job_wake_at(r->upload_job, r->upload_not_before_ms);
}

/* Every new segment wakes this job: none of them may shorten the pause. */
static bool too_early(struct replica *r)
{
	pthread_mutex_lock(&r->mu);
	bool kicked = r->kick_upload;

	r->kick_upload = false;
	pthread_mutex_unlock(&r->mu);
	if (kicked || clock_mono_ms() >= r->upload_not_before_ms)
		return false;
	job_wake_at(r->upload_job, r->upload_not_before_ms);
	return true;
}

static bool upload_one(struct replica *r, struct outbox *o, struct wal_pos gate)
{
	struct err e = ERR_INIT;
	int64_t began_ms = clock_mono_ms();
	struct outbox_item *it = outbox_peek(o, &e);

	if (!it && e.code == ERR_NONE)
		return false;
	if (it && wal_pos_cmp(it->end, gate) > 0)
		return false;
	if (it && make_durable(r, o, it, &e) == 0 && put_item(r, it, &e) == 0) {
		log_trouble_over(&r->upload_trouble, "replica reached again", r->db->path);
		acknowledge(r, o, it);
		return true;
	}
	if (err_has_slug(&e, "writer_superseded")) {
		abandon(r, o, "superseded by another writer", &e);
		return false;
	}
	if (err_has_slug(&e, "replica_emptied")) {
		abandon(r, o, "what was replicated has gone, a new generation follows", &e);
		return false;
	}
	if (!it) {
		abandon(r, o, "a spooled segment is lost, a new generation follows", &e);
		return false;
	}
	if (e.code != ERR_CANCELED)
		log_trouble(&r->upload_trouble, LOG_ERROR, "segment not uploaded",
			    r->db->path, &e);
	try_later(r, began_ms, &e);
	return false;
}

/* One of the few places while the store does not answer. */
static bool take_place(struct replica *r, bool *placed)
{
	*placed = r->upload_trouble.on;
	if (!*placed || places_take(r->env->upload_places))
		return true;
	*placed = false;
	job_wake_at(r->upload_job, clock_mono_ms() + RETRY_MS);
	return false;
}

void replica_upload_run(void *arg)
{
	struct replica *r = arg;
	bool placed = false, more = !too_early(r) && take_place(r, &placed);

	while (more && !stop_is_set(r->env->stop)) {
		pthread_mutex_lock(&r->mu);
		struct outbox *o = r->out;
		struct wal_pos gate = r->gate;

		r->uploading = o && !r->failed;
		more = r->uploading;
		pthread_mutex_unlock(&r->mu);
		if (more)
			more = upload_one(r, o, gate);
		if (!r->upload_trouble.on)
			places_leave(r->env->upload_places, &placed);
		pthread_mutex_lock(&r->mu);
		struct outbox *doomed = r->doomed;

		r->doomed = NULL;
		r->uploading = false;
		pthread_mutex_unlock(&r->mu);
		outbox_destroy(doomed);
	}
	places_leave(r->env->upload_places, &placed);
}
