/* SPDX-License-Identifier: Apache-2.0 */
/* The bar's words, and the lines that stand for it elsewhere; the terminal itself is tests/it/test_progress.py. */
#include "agent/progress.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "tests/unit/log_pipe.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What was logged since, without its time. */
static const char *logged(void)
{
	static char text[4096];
	ssize_t n = read(log_ends[0], text, sizeof(text) - 1);
	char *level;

	text[n > 0 ? n : 0] = '\0';
	level = strstr(text, "level=");
	return level ? level : text;
}

static void the_bar_has_percent_speed_and_time_left(void **state)
{
	static const struct {
		uint64_t total, done;
		int64_t ms;
		const char *want;
	} rows[] = {
		{ 1000000000, 0, 0,
		  "  [>                           ]   0%  0 B/s  ? left" },
		{ 1000000000, 250000000, 2500,
		  "  [=======>                    ]  25%  100.0 MB/s  7.5s left" },
		{ 1000000000, 999999999, 10000,
		  "  [===========================>]  99%  100.0 MB/s  0ms left" },
		{ 1000000000, 1000000000, 10000,
		  "  [============================] 100%  100.0 MB/s  0ms left" },
		/* More than was promised: nobody knows how much is left. */
		{ 1000, 2000, 1000,
		  "  [============================] 100%  2.0 kB/s  ? left" },
		{ 0, 0, 1000, "  [============================] 100%  0 B/s  ? left" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct progress p = { .total = rows[i].total, .done = rows[i].done };
		struct buf b CLEANUP(buf_free) = BUF(256);

		progress_format(&p, rows[i].ms, &b);
		buf_add(&b, "", 1);
		assert_string_equal((const char *)b.p, rows[i].want);
		assert_true(b.len <= 80);
	}
}

static void elsewhere_a_line_comes_every_ten_seconds(void **state)
{
	struct progress p;

	(void)state;
	progress_begin(&p, "snapshot", "/data/app.db", 4000000, false);
	progress_add(&p, 500000);
	assert_string_equal(logged(), "");
	/* As if it had begun ten seconds ago. */
	p.began_ms -= 10000;
	p.said_ms -= 10000;
	progress_add(&p, 500000);
	const char *line = logged();

	assert_non_null(strstr(line,
			       "level=INFO msg=progress what=snapshot db=/data/app.db "
			       "percent=25 bytes=1000000 total_bytes=4000000 "
			       "bytes_per_s="));
	assert_non_null(strstr(line, "left="));
	progress_add(&p, 500000);
	assert_string_equal(logged(), "");
	p.said_ms -= 10000;
	progress_add(&p, 500000);
	assert_non_null(strstr(logged(), "percent=50"));
	progress_end(&p);
	p.said_ms -= 10000;
	progress_add(&p, 500000);
	assert_string_equal(logged(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bar_has_percent_speed_and_time_left),
		cmocka_unit_test(elsewhere_a_line_comes_every_ten_seconds),
	};

	return cmocka_run_group_tests(tests, log_pipe_open, log_pipe_close);
}
