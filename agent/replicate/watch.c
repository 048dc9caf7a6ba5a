/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replicate/watch.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define DIR_EVENTS (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF)
#define NONE (-1)

struct watch_entry {
	struct watch_entry *next;
	int dir_wd, file_wd; /* NONE: not watched */
	char *dir, *name;
	void (*fn)(void *arg);
	void *arg;
};

struct watch {
	int fd;
	pthread_mutex_t mu; /* of what follows; fn is called under it */
	struct watch_entry *entries;
	bool said_limit, said_lost;
};

struct watch *watch_new(void)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0) {
		log_warn("files cannot be watched, they are polled", LOGI("errno", errno),
			 LOGS("hint", "raise fs.inotify.max_user_instances"));
		return NULL;
	}
	struct watch *w = mem_alloc(sizeof(*w));

	w->fd = fd;
	pthread_mutex_init(&w->mu, NULL);
	return w;
}

void watch_destroy(struct watch *w)
{
	if (!w)
		return;
	while (w->entries)
		watch_remove(w, w->entries);
	close(w->fd);
	pthread_mutex_destroy(&w->mu);
	free(w);
}

int watch_fd(const struct watch *w)
{
	return w ? w->fd : -1;
}

static bool dir_is_shared(const struct watch *w, const struct watch_entry *x)
{
	for (const struct watch_entry *i = w->entries; i; i = i->next)
		if (i != x && i->dir_wd == x->dir_wd)
			return true;
	return false;
}

/* With mu held, as those below. */
static void forget_dir(struct watch *w, struct watch_entry *x)
{
	if (x->dir_wd != NONE && !dir_is_shared(w, x))
		inotify_rm_watch(w->fd, x->dir_wd);
	x->dir_wd = NONE;
}

static void forget_file(struct watch *w, struct watch_entry *x)
{
	if (x->file_wd != NONE)
		inotify_rm_watch(w->fd, x->file_wd);
	x->file_wd = NONE;
}

static int add(struct watch *w, const char *path, uint32_t events)
{
	int wd = inotify_add_watch(w->fd, path, events);

	if (wd < 0 && errno == ENOSPC && !w->said_limit) {
		w->said_limit = true;
		log_warn("too many files are watched on this system, some are polled",
			 LOGS("path", path),
			 LOGS("hint", "raise fs.inotify.max_user_watches"));
	}
	return wd;
}

/* What lies at the entry's path may be another folder than the one that is watched: adding the same one again
 * gives the same number, also to several entries.  True if it was watched already. */
static bool arm_dir(struct watch *w, struct watch_entry *x)
{
	int wd = add(w, x->dir, DIR_EVENTS | IN_MASK_ADD | IN_ONLYDIR);

	if (wd == x->dir_wd)
		return wd >= 0;
	forget_dir(w, x);
	x->dir_wd = wd;
	return false;
}

/* A file that is not there is watched by its folder. */
static bool arm_file(struct watch *w, struct watch_entry *x, const char *file)
{
	int wd = add(w, file, IN_MODIFY | IN_ONESHOT);
	bool armed = wd >= 0 || errno == ENOENT;

	if (wd != x->file_wd)
		forget_file(w, x);
	x->file_wd = wd;
	return armed;
}

struct watch_entry *watch_add(struct watch *w, const char *dir, const char *name,
			      void (*fn)(void *arg), void *arg)
{
	if (!w)
		return NULL;
	struct watch_entry *x = mem_alloc(sizeof(*x));

	x->dir_wd = x->file_wd = NONE;
	x->dir = mem_str(dir);
	x->name = mem_str(name);
	x->fn = fn;
	x->arg = arg;
	pthread_mutex_lock(&w->mu);
	x->next = w->entries;
	w->entries = x;
	arm_dir(w, x);
	pthread_mutex_unlock(&w->mu);
	return x;
}

void watch_remove(struct watch *w, struct watch_entry *x)
{
	if (!x)
		return;
	pthread_mutex_lock(&w->mu);
	forget_dir(w, x);
	forget_file(w, x);
	struct watch_entry **p = &w->entries;

	while (*p != x)
		p = &(*p)->next;
	*p = x->next;
	pthread_mutex_unlock(&w->mu);
	free(x->dir);
	free(x->name);
	free(x);
}

bool watch_arm(struct watch *w, struct watch_entry *x, const char *file)
{
	if (!x)
		return false;
	pthread_mutex_lock(&w->mu);
	bool known = arm_dir(w, x);
	bool armed = arm_file(w, x, file) && known;

	pthread_mutex_unlock(&w->mu);
	return armed;
}

/* Does the event concern the entry?  Watches that have ended with it are forgotten. */
static bool concerns(struct watch *w, struct watch_entry *x, const struct inotify_event *ev)
{
	if (ev->mask & IN_Q_OVERFLOW)
		return true;
	if (ev->wd == x->file_wd) {
		x->file_wd = NONE; /* it was for one event */
		return true;
	}
	if (ev->wd != x->dir_wd)
		return false;
	if (ev->mask & IN_IGNORED)
		x->dir_wd = NONE;
	else if (ev->mask & IN_MOVE_SELF)
		forget_dir(w, x);
	return x->dir_wd == NONE || (ev->len && text_starts(ev->name, x->name));
}

static void dispatch(struct watch *w, const struct inotify_event *ev)
{
	if ((ev->mask & IN_Q_OVERFLOW) && !w->said_lost) {
		w->said_lost = true;
		log_warn("more files change than can be watched, all are looked at",
			 LOGS("hint", "raise fs.inotify.max_queued_events"));
	}
	for (struct watch_entry *x = w->entries; x; x = x->next)
		if (concerns(w, x, ev))
			x->fn(x->arg);
}

void watch_dispatch(struct watch *w)
{
	_Alignas(struct inotify_event) char b[4096];
	ssize_t n;

	while ((n = read(w->fd, b, sizeof(b))) > 0) {
		pthread_mutex_lock(&w->mu);
		for (char *p = b; p < b + n;) {
			const struct inotify_event *ev = (const void *)p;

			dispatch(w, ev);
			p += sizeof(*ev) + ev->len;
		}
		pthread_mutex_unlock(&w->mu);
	}
}
