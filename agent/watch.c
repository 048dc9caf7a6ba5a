/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/watch.h"

#include "base/mem.h"
#include "base/text.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define DIR_EVENTS (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)

struct watch_entry {
	struct watch_entry *next;
	int dir_wd, file_wd;
	char *name;
	void (*fn)(void *arg);
	void *arg;
};

struct watch {
	int fd;
	pthread_mutex_t mu; /* of the list; fn is called under it and must not call back */
	struct watch_entry *entries;
};

struct watch *watch_new(void)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0)
		return NULL;
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

struct watch_entry *watch_add(struct watch *w, const char *dir, const char *name,
			      void (*fn)(void *arg), void *arg)
{
	/* The folder may be shared by several entries: adding it again gives the same number. */
	int wd = w ? inotify_add_watch(w->fd, dir, DIR_EVENTS | IN_MASK_ADD) : -1;

	if (wd < 0)
		return NULL;
	struct watch_entry *x = mem_alloc(sizeof(*x));

	x->dir_wd = wd;
	x->file_wd = -1;
	x->name = mem_str(name);
	x->fn = fn;
	x->arg = arg;
	pthread_mutex_lock(&w->mu);
	x->next = w->entries;
	w->entries = x;
	pthread_mutex_unlock(&w->mu);
	return x;
}

void watch_remove(struct watch *w, struct watch_entry *x)
{
	bool shared = false;

	if (!x)
		return;
	pthread_mutex_lock(&w->mu);
	for (struct watch_entry **p = &w->entries; *p;) {
		if (*p == x) {
			*p = x->next;
			continue;
		}
		shared = shared || (*p)->dir_wd == x->dir_wd;
		p = &(*p)->next;
	}
	if (!shared)
		inotify_rm_watch(w->fd, x->dir_wd);
	if (x->file_wd >= 0)
		inotify_rm_watch(w->fd, x->file_wd);
	pthread_mutex_unlock(&w->mu);
	free(x->name);
	free(x);
}

bool watch_arm(struct watch *w, struct watch_entry *x, const char *file)
{
	if (!w || !x)
		return false;
	pthread_mutex_lock(&w->mu);
	x->file_wd = inotify_add_watch(w->fd, file, IN_MODIFY | IN_ONESHOT);
	bool armed = x->file_wd >= 0;

	pthread_mutex_unlock(&w->mu);
	return armed;
}

static void dispatch(struct watch *w, const struct inotify_event *ev)
{
	for (struct watch_entry *x = w->entries; x; x = x->next) {
		bool named = ev->len && text_starts(ev->name, x->name);

		bool written = ev->wd == x->file_wd;

		if (written)
			x->file_wd = -1; /* it was for one event */
		if (written || (ev->mask & IN_Q_OVERFLOW) || (ev->wd == x->dir_wd && named))
			x->fn(x->arg);
	}
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
