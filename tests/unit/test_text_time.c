/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "tests/unit/unit.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NOW INT64_C(1795230131920) /* 2026-11-21T03:02:11.920Z */
#define HOUR INT64_C(3600000)

static void durations_are_go_s_and_days(void **state)
{
	static const struct {
		const char *s;
		int rc;
		int64_t ms;
	} rows[] = {
		{ "0", 0, 0 },
		{ "-0", 0, 0 },
		{ "300ms", 0, 300 },
		{ "1m30s", 0, 90000 },
		{ "1.5h", 0, 5400000 },
		{ "-1s", 0, -1000 },
		{ "+1s", 0, 1000 },
		{ "7d", 0, 7 * 24 * HOUR },
		{ "1d12h", 0, 36 * HOUR },
		{ ".5s", 0, 500 },
		{ "1.s", 0, 1000 },
		{ "999us", 0, 0 },
		{ "-999us", 0, 0 },
		{ "500us500us", 0, 1 },
		{ "1500\xc2\xb5s", 0, 1 },
		{ "1500\xce\xbcs", 0, 1 },
		{ "1999999ns", 0, 1 },
		{ "0.0000000000000000000001s", 0, 0 },
		{ "1.9999999999999999999999999s", 0, 1999 },
		{ "9223372036854775807ms", 0, INT64_MAX },
		{ "-9223372036854775807ms", 0, -INT64_MAX },
		{ "9223372036854775808ms", -1, 0 },
		{ "9223372036854775807ms1ms", -1, 0 },
		{ "18446744073709551616ns", -1, 0 },
		{ "106751991168d", -1, 0 },
		{ "", -1, 0 },
		{ "-", -1, 0 },
		{ "5", -1, 0 },
		{ "00", -1, 0 },
		{ "s", -1, 0 },
		{ ".s", -1, 0 },
		{ "1", -1, 0 },
		{ "1s ", -1, 0 },
		{ " 1s", -1, 0 },
		{ "1 s", -1, 0 },
		{ "1S", -1, 0 },
		{ "1w", -1, 0 },
		{ "1s2", -1, 0 },
		{ "1s-2s", -1, 0 },
		{ "--1s", -1, 0 },
		{ "1e3s", -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t ms = 77;

		if (text_duration_ms(rows[i].s, &ms) != rows[i].rc)
			fail_msg("duration '%s'", rows[i].s);
		assert_int_equal(ms, rows[i].rc ? 77 : rows[i].ms);
	}
}

static void points_in_time_are_rfc3339_unix_or_relative(void **state)
{
	static const struct {
		const char *s;
		int64_t ms;
	} rows[] = {
		{ "2026-11-21T03:02:11.920Z", NOW },
		{ "2026-11-21T03:02:11.92Z", NOW },
		{ "2026-11-21T03:02:11.9209999999Z", NOW },
		{ "2026-11-21T03:02:11,920Z", NOW },
		{ "2026-11-21t03:02:11.920z", NOW },
		{ "2026-11-21 03:02:11.920Z", NOW },
		{ "2026-11-21T04:02:11.920+01:00", NOW },
		{ "2026-11-20T22:32:11.920-04:30", NOW },
		{ "2026-11-21T03:02:11.920+00:00", NOW },
		{ "2026-11-21T03:02:11.920-00:00", NOW },
		{ "2026-11-21T03:02:11Z", NOW - 920 },
		{ "2026-11-21T03:02Z", NOW - 11920 },
		{ "2026-11-21 03:02+00:00", NOW - 11920 },
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1969-12-31T23:59:59.999Z", -1 },
		{ "2000-02-29T00:00:00Z", INT64_C(951782400000) },
		{ "2024-02-29T12:00:00Z", INT64_C(1709208000000) },
		{ "0000-01-01T00:00:00Z", INT64_C(-62167219200000) },
		{ "9999-12-31T23:59:59.999Z", INT64_C(253402300799999) },
		{ "@0", 0 },
		{ "@1795230131.92", NOW },
		{ "@1795230131", NOW - 920 },
		{ "@253402300799", INT64_C(253402300799000) },
		{ "now", NOW },
		{ "yesterday", NOW - 24 * HOUR },
		{ "5m ago", NOW - 5 * 60000 },
		{ "1h30m ago", NOW - 3 * HOUR / 2 },
		{ "7d ago", NOW - 7 * 24 * HOUR },
		{ "2 hours ago", NOW - 2 * HOUR },
		{ "1 hour ago", NOW - HOUR },
		{ "90 minutes ago", NOW - 3 * HOUR / 2 },
		{ "1.5 hours ago", NOW - 3 * HOUR / 2 },
		{ "1 hour 30 minutes ago", NOW - 3 * HOUR / 2 },
		{ "30 secs ago", NOW - 30000 },
		{ "1 min ago", NOW - 60000 },
		{ "3 days ago", NOW - 72 * HOUR },
		{ "2 weeks ago", NOW - 14 * 24 * HOUR },
		{ "5 m ago", NOW - 5 * 60000 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t ms = 77;

		if (text_time_ms(rows[i].s, NOW, &ms))
			fail_msg("time '%s' was refused", rows[i].s);
		assert_int_equal(ms, rows[i].ms);
	}
}

static void what_is_not_a_point_in_time_is_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"2026-11-21",
		"2026-11-21T03:02:11", /* no zone */
		"2026-11-21T03:02:11.920",
		"2026-11-21T03Z",
		"2026-11-21T03:02:Z",
		"2026-11-21T03:02:11.Z",
		"2026-11-21T3:02:11Z",
		"26-11-21T03:02:11Z",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-01-00T00:00:00Z",
		"2026-04-31T00:00:00Z",
		"2026-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z",
		"2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z",
		"2026-01-01T00:00:60Z",
		"2026-01-01T00:00:00Z ",
		" 2026-01-01T00:00:00Z",
		"2026-01-01T00:00:00ZZ",
		"2026-01-01T00:00:00+0100",
		"2026-01-01T00:00:00+01",
		"2026-01-01T00:00:00+24:00",
		"2026-01-01T00:00:00+01:60",
		"2026-01-01T00:00:00 UTC",
		"2026/01/01T00:00:00Z",
		"2026-01/01T00:00:00Z",
		"2026-01-01x00:00:00Z",
		"2026-01-01T00.00:00Z",
		"2026-01-01T00:00:00.1e3Z",
		"0000-01-01T00:00:00+00:01", /* year -1 */
		"9999-12-31T23:59:59-00:01", /* year 10000 */
		"@",
		"@-5",
		"@1.",
		"@1x",
		"@253402300800",
		"@1795230131920", /* milliseconds */
		"@99999999999999999999999",
		"ago",
		" ago",
		"5mago",
		"-5m ago",
		"5 ago",
		"5m",
		"2 hours",
		"2 hourz ago",
		"2  hours ago",
		"two hours ago",
		"2 hours  ago",
		"1 hour and 30 minutes ago",
		"9223372036854775807ms ago",
		"99999999 weeks ago",
		"106751991168 days ago",
		"111111111111111111111111111111111111111111111111111111111111111s ago",
		"00000000000000000000000000000000000000000000000000000000000000001s ago",
		"tomorrow",
		"NOW",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t ms = 77;

		if (!text_time_ms(rows[i], NOW, &ms))
			fail_msg("time '%s' was taken", rows[i]);
		assert_int_equal(ms, 77);
	}
}

static void times_are_written_in_three_forms(void **state)
{
	static const struct {
		int64_t ms;
		const char *full, *seconds, *compact;
	} rows[] = {
		{ NOW, "2026-11-21T03:02:11.920Z", "2026-11-21T03:02:11Z",
		  "20261121T030211Z" },
		{ 0, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z",
		  "19700101T000000Z" },
		{ -1, "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59Z",
		  "19691231T235959Z" },
		{ INT64_C(951868799999), "2000-02-29T23:59:59.999Z", "2000-02-29T23:59:59Z",
		  "20000229T235959Z" },
		{ INT64_C(-62167219200000), "0000-01-01T00:00:00.000Z",
		  "0000-01-01T00:00:00Z", "00000101T000000Z" },
		{ INT64_MIN, "0000-01-01T00:00:00.000Z", "0000-01-01T00:00:00Z",
		  "00000101T000000Z" },
		{ INT64_MAX, "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59Z",
		  "99991231T235959Z" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char full[25], seconds[21], compact[17];

		text_format_time_ms(rows[i].ms, full);
		text_format_time_s(rows[i].ms, seconds);
		text_format_time_compact(rows[i].ms, compact);
		assert_string_equal(full, rows[i].full);
		assert_string_equal(seconds, rows[i].seconds);
		assert_string_equal(compact, rows[i].compact);
	}
}

static void every_day_of_four_centuries_survives_the_round_trip(void **state)
{
	(void)state;
	/* 1600-01-01 to 2000-01-01 and a bit, at 23:59:59.007 */
	for (int64_t day = -135140; day < 11000; day++) {
		int64_t ms = day * 86400000 + 86399007, back = 0;
		char text[25];

		text_format_time_ms(ms, text);
		assert_int_equal(text_time_ms(text, 0, &back), 0);
		assert_int_equal(back, ms);
	}
}

static void durations_for_people_say_what_matters(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{ 0, "0ms" },
		{ 99, "99ms" },
		{ 100, "0.1s" },
		{ 950, "1.0s" },
		{ 4100, "4.1s" },
		{ 9949, "9.9s" },
		{ 9950, "10s" },
		{ 12000, "12s" },
		{ 59499, "59s" },
		{ 59500, "1m" },
		{ 90000, "1m30s" },
		{ 120000, "2m" },
		{ 12 * 60000 + 30000, "12m" },
		{ 3 * HOUR, "3h" },
		{ 108 * 60000, "1h48m" },
		{ 47 * HOUR + 59 * 60000, "47h59m" },
		{ 48 * HOUR, "2d" },
		{ 52 * HOUR, "2d4h" },
		{ -4100, "-4.1s" },
		{ INT64_MAX, "106751991167d7h" },
		{ INT64_MIN, "-106751991167d7h" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[24];

		text_human_duration(rows[i].ms, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void ages_have_one_unit_and_a_direction(void **state)
{
	static const struct {
		int64_t then;
		const char *text;
	} rows[] = {
		{ NOW, "now" },
		{ NOW - 999, "now" },
		{ NOW + 999, "now" },
		{ NOW - 1000, "1s ago" },
		{ NOW - 59999, "59s ago" },
		{ NOW - 3 * 60000, "3m ago" },
		{ NOW - 5 * HOUR - 1, "5h ago" },
		{ NOW - 47 * HOUR, "47h ago" },
		{ NOW - 48 * HOUR, "2d ago" },
		{ NOW + 5000, "in 5s" },
		{ NOW + 2 * HOUR, "in 2h" },
		{ INT64_MIN, "106752011945d ago" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[32];

		text_human_age(rows[i].then, NOW, text);
		assert_string_equal(text, rows[i].text);
	}
}

/* Values and texts as Go 1.21 prints them. */
static void lags_are_printed_as_go_does(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
		{ 0, "0s" },
		{ 1, "1ns" },
		{ 999, "999ns" },
		{ 1000, "1\xc2\xb5s" },
		{ 1100, "1.1\xc2\xb5s" },
		{ 2200000, "2.2ms" },
		{ -3000000, "-3ms" },
		{ 1000000000, "1s" },
		{ 1500000000, "1.5s" },
		{ 1000000001, "1.000000001s" },
		{ 60000000000, "1m0s" },
		{ 3300000000, "3.3s" },
		{ 245000000000, "4m5s" },
		{ 245001000000, "4m5.001s" },
		{ 18367001000000, "5h6m7.001s" },
		{ 3600000000000, "1h0m0s" },
		{ 480000000001, "8m0.000000001s" },
		{ INT64_MAX, "2562047h47m16.854775807s" },
		{ INT64_MIN, "-2562047h47m16.854775808s" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[40];

		text_go_duration(rows[i].ns, text);
		assert_string_equal(text, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_go_s_and_days),
		cmocka_unit_test(points_in_time_are_rfc3339_unix_or_relative),
		cmocka_unit_test(what_is_not_a_point_in_time_is_refused),
		cmocka_unit_test(times_are_written_in_three_forms),
		cmocka_unit_test(every_day_of_four_centuries_survives_the_round_trip),
		cmocka_unit_test(durations_for_people_say_what_matters),
		cmocka_unit_test(ages_have_one_unit_and_a_direction),
		cmocka_unit_test(lags_are_printed_as_go_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
