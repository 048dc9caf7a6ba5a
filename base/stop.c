/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stop.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { NOT_SET = -1, WAIT_MOST_MS = 3600000 };

struct stop {
	_Atomic int signal; /* NOT_SET, or what stop_set was given first */
	int fd;		    /* never read, so readable for ever once set */
};

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "stop_set is called from signal handlers");

struct stop *stop_new(void)
{
	struct stop *s = mem_alloc(sizeof(*s));

	s->signal = NOT_SET;
	s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->fd < 0) {
		perror("walback: eventfd");
		abort();
	}
	return s;
}

void stop_destroy(struct stop *s)
{
	if (!s)
		return;
	close(s->fd);
	free(s);
}

void stop_set(struct stop *s, int signal_or_0)
{
	const uint64_t one = 1;
	int unset = NOT_SET;
	int saved = errno;

	if (!s || !atomic_compare_exchange_strong(&s->signal, &unset, signal_or_0))
		return;
	/* An eventfd that was never written to takes this. */
	ssize_t n = write(s->fd, &one, sizeof(one));

	(void)n;
	errno = saved;
}

bool stop_is_set(const struct stop *s)
{
	return s && s->signal != NOT_SET;
}

int stop_signal(const struct stop *s)
{
	return stop_is_set(s) ? s->signal : 0;
}

int stop_fd(const struct stop *s)
{
	return s ? s->fd : -1;
}

bool stop_wait_ms(const struct stop *s, int64_t ms)
{
	int64_t deadline = 0;

	if (!s) {
		clock_sleep_ms(ms);
		return false;
	}
	if (__builtin_add_overflow(clock_mono_ms(), ms, &deadline))
		deadline = INT64_MAX;
	while (!stop_is_set(s)) {
		int64_t left = deadline - clock_mono_ms();
		struct pollfd ready = { .fd = s->fd, .events = POLLIN };

		if (left <= 0)
			return false;
		poll(&ready, 1, (int)(left < WAIT_MOST_MS ? left : WAIT_MOST_MS));
	}
	return true;
}

int stop_check(const struct stop *s, struct err *e)
{
	if (!stop_is_set(s))
		return 0;
	err_set(e, ERR_CANCELED, "interrupted");
	return stop_signal(s) ? err_exit(e, 128 + stop_signal(s)) : -1;
}
