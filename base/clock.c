/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_clock(clockid_t id, int64_t per_second)
{
	struct timespec t = { 0 };

	/* Cannot fail: the ids are constants every supported kernel knows. */
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * per_second + t.tv_nsec / (1000000000 / per_second);
}

int64_t clock_wall_ms(void)
{
	return read_clock(CLOCK_REALTIME, 1000);
}

int64_t clock_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME, 1000000000);
}

int64_t clock_mono_ms(void)
{
	return read_clock(CLOCK_MONOTONIC, 1000);
}

int64_t clock_mono_us(void)
{
	return read_clock(CLOCK_MONOTONIC, 1000000);
}

int64_t clock_boot_ms(void)
{
	return read_clock(CLOCK_BOOTTIME, 1000);
}

void clock_sleep_us(int64_t us)
{
	struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	if (us <= 0)
		return;
	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

void clock_sleep_ms(int64_t ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	if (ms <= 0)
		return;
	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

void clock_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;

	if (pthread_condattr_init(&attr) ||
	    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) ||
	    pthread_cond_init(c, &attr)) {
		fputs("walback: no condition variable on the monotonic clock\n", stderr);
		abort();
	}
	pthread_condattr_destroy(&attr);
}

int64_t clock_backoff_ms(int64_t ms, int64_t first, int64_t ceiling)
{
	if (!ms)
		return first;
	return ms < ceiling / 2 ? ms * 2 : ceiling;
}

void random_bytes(void *p, size_t n)
{
	unsigned char *at = p;

	while (n) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			perror("walback: getrandom");
			abort();
		}
		at += got;
		n -= (size_t)got;
	}
}

uint64_t random_u64(void)
{
	uint64_t v = 0;

	random_bytes(&v, sizeof(v));
	return v;
}

void random_hex16(char out[17])
{
	snprintf(out, 17, "%016llx", (unsigned long long)random_u64());
}
