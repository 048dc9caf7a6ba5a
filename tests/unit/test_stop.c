/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/stop.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

static struct stop *token;

static void on_signal(int sig)
{
	stop_set(token, sig);
}

static void the_first_signal_is_kept(void **state)
{
	struct stop *s = stop_new();

	(void)state;
	assert_false(stop_is_set(s));
	assert_int_equal(stop_signal(s), 0);
	stop_set(s, SIGTERM);
	stop_set(s, SIGINT);
	assert_true(stop_is_set(s));
	assert_int_equal(stop_signal(s), SIGTERM);
	stop_destroy(s);
}

static void a_stop_becomes_an_error_with_the_shell_s_status(void **state)
{
	static const struct {
		int sig, exit;
	} rows[] = { { SIGINT, 130 }, { SIGTERM, 143 }, { 0, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stop *s = stop_new();
		struct err e = ERR_INIT;

		assert_int_equal(stop_check(s, &e), 0);
		assert_int_equal(e.code, ERR_NONE);
		stop_set(s, rows[i].sig);
		assert_int_equal(stop_check(s, &e), -1);
		assert_int_equal(e.code, ERR_CANCELED);
		assert_string_equal(e.msg, "interrupted");
		assert_int_equal(e.exit, rows[i].exit);
		stop_destroy(s);
	}
}

static void no_token_is_never_set(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	int64_t start = clock_mono_ms();

	stop_set(NULL, SIGTERM);
	assert_false(stop_is_set(NULL));
	assert_int_equal(stop_signal(NULL), 0);
	assert_int_equal(stop_fd(NULL), -1);
	assert_int_equal(stop_check(NULL, &e), 0);
	assert_false(stop_wait_ms(NULL, 10));
	assert_in_range(clock_mono_ms() - start, 10, 5000);
	stop_destroy(NULL);
}

static void the_descriptor_stays_readable_once_set(void **state)
{
	struct stop *s = stop_new();
	struct pollfd ready = { .fd = stop_fd(s), .events = POLLIN };

	(void)state;
	assert_int_equal(poll(&ready, 1, 0), 0);
	stop_set(s, 0);
	assert_int_equal(poll(&ready, 1, 0), 1);
	assert_int_equal(poll(&ready, 1, 0), 1);
	stop_destroy(s);
}

static void waiting_ends_at_the_time_or_at_the_stop(void **state)
{
	struct stop *s = stop_new();

	(void)state;
	int64_t start = clock_mono_ms();

	assert_false(stop_wait_ms(s, 15));
	assert_in_range(clock_mono_ms() - start, 15, 5000);
	assert_false(stop_wait_ms(s, 0));
	assert_false(stop_wait_ms(s, -1));
	stop_set(s, 0);
	assert_true(stop_wait_ms(s, 0));
	start = clock_mono_ms();
	assert_true(stop_wait_ms(s, INT64_MAX));
	assert_in_range(clock_mono_ms() - start, 0, 5000);
	stop_destroy(s);
}

static void *stop_soon(void *arg)
{
	clock_sleep_ms(30);
	stop_set(arg, 0);
	return NULL;
}

static void another_thread_ends_the_wait(void **state)
{
	struct stop *s = stop_new();
	pthread_t thread;

	(void)state;
	int64_t start = clock_mono_ms();

	assert_int_equal(pthread_create(&thread, NULL, stop_soon, s), 0);
	assert_true(stop_wait_ms(s, INT64_MAX));
	assert_in_range(clock_mono_ms() - start, 25, 10000);
	pthread_join(thread, NULL);
	stop_destroy(s);
}

static void a_signal_handler_may_set_it(void **state)
{
	struct sigaction act = { .sa_handler = on_signal }, old;

	(void)state;
	token = stop_new();
	sigaction(SIGUSR1, &act, &old);
	errno = E2BIG;
	raise(SIGUSR1);
	assert_int_equal(errno, E2BIG);
	assert_true(stop_wait_ms(token, 10000));
	assert_int_equal(stop_signal(token), SIGUSR1);
	sigaction(SIGUSR1, &old, NULL);
	stop_destroy(token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_signal_is_kept),
		cmocka_unit_test(a_stop_becomes_an_error_with_the_shell_s_status),
		cmocka_unit_test(no_token_is_never_set),
		cmocka_unit_test(the_descriptor_stays_readable_once_set),
		cmocka_unit_test(waiting_ends_at_the_time_or_at_the_stop),
		cmocka_unit_test(another_thread_ends_the_wait),
		cmocka_unit_test(a_signal_handler_may_set_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
