/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/unit/log_pipe.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int open_pipe(void **state)
{
	log_setup(LOG_DEBUG, false);
	return log_pipe_open(state);
}

/* What one read(2) gives, without the time, whose form is checked. */
static const char *line(void)
{
	static char text[65536];
	static const char start[] = "time=";
	int64_t ms = 0;
	char when[25];
	ssize_t n = read(log_ends[0], text, sizeof(text) - 1);

	if (n < 0)
		return "";
	text[n] = 0;
	assert_true(text_starts(text, start));
	memcpy(when, text + 5, 24);
	when[24] = 0;
	assert_int_equal(text_time_ms(when, 0, &ms), 0);
	assert_true(ms > INT64_C(1600000000000));
	assert_int_equal(text[29], ' ');
	return text + 30;
}

static void a_line_is_logfmt_as_slog_writes_it(void **state)
{
	(void)state;
	log_info("snapshot uploaded", LOGS("db", "/data/app.db"), LOGU("bytes", UINT64_MAX),
		 LOGI("lag", -5), LOGX("index", 0x12), LOGB("first", true),
		 LOGB("last", false), LOGS("none", NULL));
	assert_string_equal(line(),
			    "level=INFO msg=\"snapshot uploaded\" db=/data/app.db "
			    "bytes=18446744073709551615 lag=-5 index=00000012 first=true "
			    "last=false\n");
	log_error("stopped");
	assert_string_equal(line(), "level=ERROR msg=stopped\n");
	log_warn("a");
	assert_string_equal(line(), "level=WARN msg=a\n");
	log_debug("b");
	assert_string_equal(line(), "level=DEBUG msg=b\n");
}

static void values_cannot_forge_a_line_or_steer_a_terminal(void **state)
{
	static const struct {
		const char *value, *text;
	} rows[] = {
		{ "", "\"\"" },
		{ "plain", "plain" },
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "two words", "\"two words\"" },
		{ "a=b", "\"a=b\"" },
		{ "say \"hi\"", "\"say \\\"hi\\\"\"" },
		{ "C:\\x", "\"C:\\\\x\"" },
		{ "a\nlevel=ERROR", "\"a\\nlevel=ERROR\"" },
		{ "\r\t\x01\x1b[2J\x7f", "\"\\r\\t\\x01\\x1b[2J\\x7f\"" },
		{ "\xc2\x9b"
		  "2J",
		  "\"\\u009b2J\"" }, /* C1 */
		{ "x\xe2\x80\xae"
		  "y",
		  "\"x\\u202ey\"" },				   /* right to left */
		{ "\xe2\x80\xa8", "\"\\u2028\"" },		   /* line separator */
		{ "bad \xff\xc0\x80", "\"bad \\xff\\xc0\\x80\"" }, /* not UTF-8 */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		AUTO_FREE char *want = mem_fmt("level=INFO msg=m k=%s\n", rows[i].text);

		log_info("m", LOGS("k", rows[i].value));
		assert_string_equal(line(), want);
	}
}

static void json_lines_have_the_same_fields(void **state)
{
	char text[1000];

	(void)state;
	log_setup(LOG_INFO, true);
	log_warn("odd \"x\"\n", LOGS("db", "a\x1b"), LOGU("n", 5), LOGI("i", -5),
		 LOGX("x", 18), LOGB("b", true), LOGS("none", NULL));
	ssize_t n = read(log_ends[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = 0;
	assert_true(text_starts(text, "{\"time\":\"2"));
	assert_string_equal(
		text + 34,
		",\"level\":\"WARN\",\"msg\":\"odd \\\"x\\\"\\n\",\"db\":\"a\\u001b\","
		"\"n\":5,\"i\":-5,\"x\":\"00000012\",\"b\":true}\n");
}

static void long_values_are_cut_between_characters(void **state)
{
	char value[3001], want[2200];

	(void)state;
	memset(value, 'v', 3000);
	value[3000] = 0;
	memcpy(value + 2047, "\xc3\xa9", 2);
	memset(want, 'v', 2047);
	want[2047] = 0;
	AUTO_FREE char *text = mem_fmt("level=INFO msg=m k=\"%s...\" z=1\n", want);

	log_info("m", LOGS("k", value), LOGI("z", 1));
	assert_string_equal(line(), text);
	log_setup(LOG_INFO, true);
	AUTO_FREE char *json = mem_fmt("\"msg\":\"m\",\"k\":\"%s...\"}\n", want);
	char got[4000];

	log_info("m", LOGS("k", value));
	ssize_t n = read(log_ends[0], got, sizeof(got) - 1);
	assert_true(n > 0);
	got[n] = 0;
	assert_true(text_ends(got, json));
}

static void a_line_of_nothing_but_escapes_keeps_its_message(void **state)
{
	char value[2049];

	(void)state;
	memset(value, 1, 2048);
	value[2048] = 0;
	log_info("m", LOGS("a", value), LOGS("b", value), LOGS("c", value),
		 LOGS("d", value), LOGS("e", value), LOGS("f", value), LOGS("g", value),
		 LOGS("h", value), LOGS("i", value));
	assert_string_equal(line(), "level=INFO msg=m\n");
}

static void lines_below_the_threshold_are_not_written(void **state)
{
	(void)state;
	log_setup(LOG_WARN, false);
	assert_true(log_enabled(LOG_ERROR));
	assert_true(log_enabled(LOG_WARN));
	assert_false(log_enabled(LOG_INFO));
	log_info("quiet");
	log_debug("quiet");
	assert_string_equal(line(), "");
	log_warn("loud");
	assert_string_equal(line(), "level=WARN msg=loud\n");
}

static void levels_are_parsed_in_any_case(void **state)
{
	(void)state;
	assert_int_equal(log_level_parse("debug"), LOG_DEBUG);
	assert_int_equal(log_level_parse("INFO"), LOG_INFO);
	assert_int_equal(log_level_parse("Warn"), LOG_WARN);
	assert_int_equal(log_level_parse("warning"), LOG_WARN);
	assert_int_equal(log_level_parse("error"), LOG_ERROR);
	assert_int_equal(log_level_parse("trace"), -1);
	assert_int_equal(log_level_parse(""), -1);
}

static void errno_survives_a_line(void **state)
{
	(void)state;
	log_to(-1);
	errno = ENOSPC;
	log_info("to nobody");
	assert_int_equal(errno, ENOSPC);
}

static void an_error_becomes_three_fields(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_set(&e, ERR_DENIED, "put x: 403");
	log_error("push failed", LOGE(&e));
	assert_string_equal(line(),
			    "level=ERROR msg=\"push failed\" error=\"put x: 403\"\n");
	err_slug(&e, "store_denied");
	err_hint(&e, "check the key");
	log_error("push failed", LOGE(&e));
	assert_string_equal(line(), "level=ERROR msg=\"push failed\" error=\"put x: 403\" "
				    "code=store_denied hint=\"check the key\"\n");
}

static void trouble_is_said_once_then_counted_then_over(void **state)
{
	struct log_trouble t = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	err_set(&e, ERR_AGAIN, "503 (5 tries, 31 s)");
	log_trouble(&t, LOG_WARN, "push failed", "a.db", &e);
	assert_string_equal(line(), "level=WARN msg=\"push failed\" db=a.db "
				    "error=\"503 (5 tries, 31 s)\"\n");
	err_set(&e, ERR_AGAIN, "503 (12 tries, 4 s)");
	log_trouble(&t, LOG_WARN, "push failed", "a.db", &e);
	log_trouble(&t, LOG_WARN, "push failed", "a.db", &e);
	assert_string_equal(line(), "");
	err_set(&e, ERR_DENIED, "403");
	t.since_ms -= 90000;
	log_trouble(&t, LOG_ERROR, "push failed", "a.db", &e);
	assert_string_equal(line(), "level=ERROR msg=\"push failed\" db=a.db error=403 "
				    "count=4 for=1m30s\n");
	log_trouble(&t, LOG_ERROR, "push failed", "a.db", &e);
	assert_string_equal(line(), "");
	t.said_ms -= 60000;
	log_trouble(&t, LOG_ERROR, "push failed", "a.db", &e);
	assert_string_equal(line(), "level=ERROR msg=\"push failed\" db=a.db error=403 "
				    "count=6 for=1m30s\n");
	log_trouble_over(&t, "push works again", "a.db");
	assert_string_equal(line(), "level=INFO msg=\"push works again\" db=a.db "
				    "after=1m30s count=6\n");
	log_trouble_over(&t, "push works again", "a.db");
	assert_string_equal(line(), "");
	log_trouble(&t, LOG_WARN, "push failed", NULL, &e);
	assert_string_equal(line(), "level=WARN msg=\"push failed\" error=403\n");
}

static void texts_of_long_errors_are_compared_by_their_beginning(void **state)
{
	struct log_trouble t = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	err_set(&e, ERR_AGAIN, "%0300d", 1);
	log_trouble(&t, LOG_WARN, "m", NULL, &e);
	assert_string_not_equal(line(), "");
	log_trouble(&t, LOG_WARN, "m", NULL, &e);
	assert_string_equal(line(), "");
	err_set(&e, ERR_AGAIN, "x");
	log_trouble(&t, LOG_WARN, "m", NULL, &e);
	assert_string_not_equal(line(), "");
	err_set(&e, ERR_AGAIN, "x and more");
	log_trouble(&t, LOG_WARN, "m", NULL, &e);
	assert_string_not_equal(line(), "");
}

enum { THREADS = 4, LINES = 50, VALUE = 1999 };

static void *talk(void *arg)
{
	for (int i = 0; i < LINES; i++)
		log_info("m", LOGS("k", arg), LOGS("l", arg), LOGS("m", arg));
	return NULL;
}

/* Longer than the 4096 bytes that a pipe takes in one piece. */
static void lines_of_many_threads_stay_whole(void **state)
{
	static char texts[THREADS][VALUE + 1];
	pthread_t threads[THREADS];
	static char got[3 * VALUE + 100];

	(void)state;
	assert_int_equal(fcntl(log_ends[1], F_SETFL, 0), 0);
	assert_int_equal(fcntl(log_ends[0], F_SETFL, 0), 0);
	for (int i = 0; i < THREADS; i++) {
		memset(texts[i], 'a' + i, VALUE);
		assert_int_equal(pthread_create(&threads[i], NULL, talk, texts[i]), 0);
	}
	FILE *in = fdopen(dup(log_ends[0]), "r");

	for (int i = 0; i < THREADS * LINES; i++) {
		assert_non_null(fgets(got, sizeof(got), in));
		const char *k = strstr(got, " k=");

		assert_non_null(k);
		assert_in_range(k[3], 'a', 'a' + THREADS - 1);
		AUTO_FREE char *want =
			mem_fmt(" k=%1$s l=%1$s m=%1$s\n", texts[k[3] - 'a']);

		assert_string_equal(k, want);
	}
	fclose(in);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void a_full_pipe_does_not_hang_the_program(void **state)
{
	char fill[4096] = "";

	(void)state;
	while (write(log_ends[1], fill, sizeof(fill)) > 0)
		;
	log_info("lost");
	while (read(log_ends[0], fill, sizeof(fill)) > 0)
		;
	log_info("seen");
	assert_string_equal(line(), "level=INFO msg=seen\n");
}

#define PIPED(test) cmocka_unit_test_setup_teardown(test, open_pipe, log_pipe_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PIPED(a_line_is_logfmt_as_slog_writes_it),
		PIPED(values_cannot_forge_a_line_or_steer_a_terminal),
		PIPED(json_lines_have_the_same_fields),
		PIPED(long_values_are_cut_between_characters),
		PIPED(a_line_of_nothing_but_escapes_keeps_its_message),
		PIPED(lines_below_the_threshold_are_not_written),
		PIPED(levels_are_parsed_in_any_case),
		PIPED(errno_survives_a_line),
		PIPED(an_error_becomes_three_fields),
		PIPED(trouble_is_said_once_then_counted_then_over),
		PIPED(texts_of_long_errors_are_compared_by_their_beginning),
		PIPED(lines_of_many_threads_stay_whole),
		PIPED(a_full_pipe_does_not_hang_the_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
