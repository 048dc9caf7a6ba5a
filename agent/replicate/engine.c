/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replicate/engine.h"

#include "agent/replicate/database.h"
#include "agent/replicate/watch.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOCAL_WORKERS 2
#define UPLOAD_WORKERS 4
#define START_WORKERS 8
/* Of them, for replicas whose last try failed. */
#define UPLOAD_PLACES 2
#define START_PLACES 4
#define FINISH_POLL_MS 5
/* Of the time for the last sync, what is kept for head.json. */
#define RELEASE_SHARE 8

struct engine {
	struct engine_options opt;
	struct stop *stop;
	struct watch *watch;
	int poll_fd,
		event_fd; /* epoll over the watch and the event that a failure raises */
	struct pool *local, *upload, *start;
	struct places upload_places, start_places;
	struct replica_env env;
	struct database **dbs;
	size_t ndbs;
	struct job *pulse;
	atomic_bool pulsed;
	pthread_mutex_t mu; /* of failure */
	struct err failure;
};

static void on_fatal(void *arg, const struct err *e)
{
	struct engine *g = arg;

	pthread_mutex_lock(&g->mu);
	if (g->failure.code == ERR_NONE)
		g->failure = *e;
	pthread_mutex_unlock(&g->mu);
	eventfd_write(g->event_fd, 1);
}

static void on_pulse(void *arg)
{
	struct engine *g = arg;

	atomic_store(&g->pulsed, true);
}

static void poll_too(const struct engine *g, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	if (fd >= 0)
		epoll_ctl(g->poll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static struct engine *engine_alloc(const struct engine_options *o)
{
	struct engine init = { .opt = *o };
	struct engine *g = mem_dup(&init, sizeof(init));

	pthread_mutex_init(&g->mu, NULL);
	g->stop = stop_new();
	g->watch = watch_new();
	g->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	g->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	poll_too(g, g->event_fd);
	poll_too(g, watch_fd(g->watch));
	g->local = pool_new("local", LOCAL_WORKERS);
	g->upload = pool_new("upload", UPLOAD_WORKERS);
	g->start = pool_new("start", START_WORKERS);
	atomic_store(&g->upload_places.left, UPLOAD_PLACES);
	atomic_store(&g->start_places.left, START_PLACES);
	g->pulse = job_new(g->local, on_pulse, g);
	atomic_store(&g->pulsed, true);
	g->env = (struct replica_env){ .start_pool = g->start,
				       .upload_pool = g->upload,
				       .start_places = &g->start_places,
				       .upload_places = &g->upload_places,
				       .stop = g->stop,
				       .version = o->version,
				       .stop_if_different = o->stop_if_different,
				       .adopt_local = o->adopt_local,
				       .show_bar = o->show_bar,
				       .fatal = on_fatal,
				       .alive = on_pulse,
				       .arg = g };
	return g;
}

struct engine *engine_new(const struct engine_options *o, struct err *e)
{
	struct engine *g = engine_alloc(o);

	g->dbs = mem_array(o->config->ndbs, sizeof(struct database *));
	for (; g->ndbs < o->config->ndbs; g->ndbs++) {
		g->dbs[g->ndbs] = database_new(&o->config->dbs[g->ndbs], &g->env, g->local,
					       g->watch, e);
		if (!g->dbs[g->ndbs]) {
			engine_destroy(g);
			return NULL;
		}
	}
	return g;
}

void engine_destroy(struct engine *g)
{
	if (!g)
		return;
	stop_set(g->stop, 0);
	for (size_t i = 0; i < g->ndbs; i++)
		database_destroy(g->dbs[i]);
	job_destroy(g->pulse);
	pool_destroy(g->start);
	pool_destroy(g->upload);
	pool_destroy(g->local);
	watch_destroy(g->watch);
	if (g->poll_fd >= 0)
		close(g->poll_fd);
	if (g->event_fd >= 0)
		close(g->event_fd);
	stop_destroy(g->stop);
	pthread_mutex_destroy(&g->mu);
	free(g->dbs);
	free(g);
}

void engine_start(struct engine *g)
{
	for (size_t i = 0; i < g->ndbs; i++)
		database_wake(g->dbs[i]);
}

int engine_fd(const struct engine *g)
{
	return g->poll_fd;
}

void engine_dispatch(struct engine *g)
{
	eventfd_t ignored;

	eventfd_read(g->event_fd, &ignored);
	if (g->watch)
		watch_dispatch(g->watch);
}

bool engine_ready(const struct engine *g)
{
	for (size_t i = 0; i < g->ndbs; i++)
		if (!database_ready(g->dbs[i]))
			return false;
	return true;
}

bool engine_alive(struct engine *g)
{
	if (!atomic_exchange(&g->pulsed, false))
		return false;
	job_wake(g->pulse);
	return true;
}

bool engine_failed(struct engine *g, struct err *e)
{
	pthread_mutex_lock(&g->mu);
	bool yes = g->failure.code != ERR_NONE;

	if (yes)
		*e = g->failure;
	pthread_mutex_unlock(&g->mu);
	return yes;
}

static bool all(struct engine *g, bool (*what)(struct database *d))
{
	for (size_t i = 0; i < g->ndbs; i++)
		if (!what(g->dbs[i]))
			return false;
	return true;
}

bool engine_synced(struct engine *g)
{
	return all(g, database_drained);
}

/* Whether it is so for all; *go_on becomes false when tick says so. */
static bool wait_for_all(struct engine *g, bool (*what)(struct database *d),
			 int64_t deadline_ms, bool (*tick)(void *arg), void *arg,
			 bool *go_on)
{
	while (!all(g, what)) {
		if (clock_mono_ms() >= deadline_ms)
			return false;
		engine_dispatch(g);
		clock_sleep_ms(FINISH_POLL_MS);
		*go_on = tick(arg);
		if (!*go_on)
			return all(g, what);
	}
	return true;
}

bool engine_finish(struct engine *g, int64_t timeout_ms, bool (*tick)(void *arg), void *arg)
{
	int64_t deadline = clock_mono_ms() + timeout_ms;
	bool go_on = true;

	for (size_t i = 0; i < g->ndbs; i++)
		database_drain(g->dbs[i]);
	bool drained =
		wait_for_all(g, database_drained, deadline - timeout_ms / RELEASE_SHARE,
			     tick, arg, &go_on);

	for (size_t i = 0; i < g->ndbs; i++)
		database_log_end(g->dbs[i]);
	if (!go_on)
		return drained;
	for (size_t i = 0; i < g->ndbs; i++)
		database_release(g->dbs[i]);
	wait_for_all(g, database_released, deadline, tick, arg, &go_on);
	return drained;
}
