/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run/notify.h"
#include "base/clock.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int next(struct notify_parser *s, const char *text, size_t *at)
{
	return notify_parse(s, text, strlen(text), at);
}

static void words_come_out_of_lines_however_they_are_cut(void **state)
{
	struct notify_parser s = { .n = 0 };
	size_t at = 0;

	(void)state;
	assert_int_equal(next(&s, "re", &at), -1);
	at = 0;
	assert_int_equal(next(&s, "ady\nbeat\nsyn", &at), NOTIFY_READY);
	assert_int_equal(next(&s, "ady\nbeat\nsyn", &at), NOTIFY_BEAT);
	assert_int_equal(next(&s, "ady\nbeat\nsyn", &at), -1);
	at = 0;
	assert_int_equal(next(&s, "ced\n", &at), NOTIFY_SYNCED);
	assert_int_equal(next(&s, "ced\n", &at), -1);
}

static void unknown_and_endless_lines_are_no_words(void **state)
{
	struct notify_parser s = { .n = 0 };
	const char *text =
		"readyready\n\nbeat \nbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
		"bbbbbbbbbbbbbbbbbbbbbbbbbeat\nbeat\n";
	size_t at = 0;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(next(&s, text, &at), NOTIFY_OTHER);
	assert_int_equal(next(&s, text, &at), NOTIFY_BEAT);
}

static void the_agent_says_beat_ready_synced(void **state)
{
	struct err e = ERR_INIT;
	struct notify n;
	char got[64] = "";
	int fds[2];
	int64_t now = clock_mono_ms();

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(notify_open(&n, fds[1], &e), 0);
	assert_true(fcntl(fds[1], F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	notify_ready(&n);
	notify_beat(&n, now); /* too soon after the first */
	notify_synced(&n);
	notify_beat(&n, now + 2 * NOTIFY_BEAT_EVERY_MS);
	assert_int_equal(read(fds[0], got, sizeof(got) - 1), 23);
	assert_string_equal(got, "beat\nready\nsynced\nbeat\n");
	notify_close(&n);
	close(fds[0]);
}

static void a_full_pipe_does_not_block_and_a_lost_reader_does_not_kill(void **state)
{
	struct err e = ERR_INIT;
	struct notify n;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(notify_open(&n, fds[1], &e), 0);
	for (int i = 0; i < 20000; i++)
		notify_ready(&n);
	close(fds[0]);
	notify_ready(&n); /* SIGPIPE would end the test */
	assert_int_equal(n.fd, -1);
	notify_synced(&n);
}

static void without_a_supervisor_nothing_is_said(void **state)
{
	struct err e = ERR_INIT;
	struct notify n;

	(void)state;
	assert_int_equal(notify_open(&n, -1, &e), 0);
	notify_ready(&n);
	notify_beat(&n, 1LL << 40);
	notify_close(&n);
	assert_int_equal(notify_open(&n, 987, &e), -1);
	assert_int_equal(e.code, ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_come_out_of_lines_however_they_are_cut),
		cmocka_unit_test(unknown_and_endless_lines_are_no_words),
		cmocka_unit_test(the_agent_says_beat_ready_synced),
		cmocka_unit_test(
			a_full_pipe_does_not_block_and_a_lost_reader_does_not_kill),
		cmocka_unit_test(without_a_supervisor_nothing_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
