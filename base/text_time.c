/* SPDX-License-Identifier: Apache-2.0 */
/* Durations and points in time: the rest of base/text.h.  No time zone database, no libc calendar. */
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MS_PER_SECOND = 1000, SECONDS_PER_DAY = 86400 };

/* The first and last second of four-digit years. */
#define FIRST_SECOND INT64_C(-62167219200)
#define LAST_SECOND INT64_C(253402300799)

struct unit {
	const char *name;
	int64_t ns;
};

static const struct unit go_units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "\xc2\xb5s", 1000 }, /* micro sign */
	{ "\xce\xbcs", 1000 }, /* Greek mu */
	{ "ms", 1000000 },
	{ "s", INT64_C(1000000000) },
	{ "m", INT64_C(60000000000) },
	{ "h", INT64_C(3600000000000) },
	{ "d", INT64_C(86400000000000) },
	{ NULL, 0 },
};

static const struct unit word_units[] = {
	{ "s", INT64_C(1000000000) },
	{ "sec", INT64_C(1000000000) },
	{ "secs", INT64_C(1000000000) },
	{ "second", INT64_C(1000000000) },
	{ "seconds", INT64_C(1000000000) },
	{ "m", INT64_C(60000000000) },
	{ "min", INT64_C(60000000000) },
	{ "mins", INT64_C(60000000000) },
	{ "minute", INT64_C(60000000000) },
	{ "minutes", INT64_C(60000000000) },
	{ "h", INT64_C(3600000000000) },
	{ "hour", INT64_C(3600000000000) },
	{ "hours", INT64_C(3600000000000) },
	{ "d", INT64_C(86400000000000) },
	{ "day", INT64_C(86400000000000) },
	{ "days", INT64_C(86400000000000) },
	{ "week", INT64_C(604800000000000) },
	{ "weeks", INT64_C(604800000000000) },
	{ NULL, 0 },
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A number with an optional fraction, of which 18 digits count. */
struct number {
	uint64_t whole, fraction, scale;
};

/* The rest of the string, or NULL. */
static const char *parse_number(const char *s, struct number *n)
{
	bool any = false;

	*n = (struct number){ .scale = 1 };
	for (; is_digit(*s); s++, any = true)
		if (__builtin_mul_overflow(n->whole, 10, &n->whole) ||
		    __builtin_add_overflow(n->whole, (uint64_t)(*s - '0'), &n->whole))
			return NULL;
	if (*s == '.')
		for (s++; is_digit(*s); s++, any = true)
			if (n->scale < UINT64_C(1000000000000000000)) {
				n->fraction = n->fraction * 10 + (uint64_t)(*s - '0');
				n->scale *= 10;
			}
	return any ? s : NULL;
}

/* Adds number x unit; -1 when the sum leaves the range of milliseconds. */
static int add_part(__int128 *ns, const struct number *n, int64_t unit)
{
	*ns += (__int128)n->whole * unit + (__int128)n->fraction * unit / n->scale;
	return *ns > (__int128)INT64_MAX * 1000000 ? -1 : 0;
}

static int64_t find_unit(const struct unit *units, const char *s, size_t n)
{
	for (; units->name; units++)
		if (strlen(units->name) == n && !strncmp(units->name, s, n))
			return units->ns;
	return 0;
}

/* "1h30m" */
static int parse_go(const char *s, __int128 *ns)
{
	do {
		struct number n;
		const char *unit = parse_number(s, &n);

		if (!unit)
			return -1;
		size_t len = strcspn(unit, "0123456789.");
		int64_t size = find_unit(go_units, unit, len);

		if (!size || add_part(ns, &n, size))
			return -1;
		s = unit + len;
	} while (*s);
	return 0;
}

/* "2 hours", "1 hour 30 minutes" */
static int parse_words(const char *s, __int128 *ns)
{
	for (;;) {
		struct number n;
		const char *unit = parse_number(s, &n);

		if (!unit || *unit++ != ' ')
			return -1;
		size_t len = strcspn(unit, " ");
		int64_t size = find_unit(word_units, unit, len);

		if (!size || add_part(ns, &n, size))
			return -1;
		if (!unit[len])
			return 0;
		s = unit + len + 1;
	}
}

int text_duration_ms(const char *s, int64_t *out_ms)
{
	__int128 ns = 0;
	bool negative = *s == '-';

	if (*s == '-' || *s == '+')
		s++;
	if (strcmp(s, "0") != 0 && parse_go(s, &ns))
		return -1;
	ns /= 1000000;
	*out_ms = negative ? (int64_t)-ns : (int64_t)ns;
	return 0;
}

static bool is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days before a year, counted from year 0 of the proleptic Gregorian calendar. */
static int64_t days_before_year(int year)
{
	if (!year)
		return 0;
	int y = year - 1;

	return (int64_t)y * 365 + y / 4 - y / 100 + y / 400 + 366;
}

#define DAYS_BEFORE_1970 INT64_C(719528)

/* Exactly n digits, at most max. */
static int fixed_digits(const char **s, int n, int max, int *out)
{
	int v = 0;

	for (; n; n--, (*s)++) {
		if (!is_digit(**s))
			return -1;
		v = v * 10 + (**s - '0');
	}
	*out = v;
	return v > max ? -1 : 0;
}

static int one_of(const char **s, const char *set)
{
	if (!**s || !strchr(set, **s))
		return -1;
	(*s)++;
	return 0;
}

/* ".5" or ",5" to milliseconds; nothing there is 0. */
static int parse_fraction(const char **s, int *ms)
{
	int unit = 100;

	*ms = 0;
	if (**s != '.' && **s != ',')
		return 0;
	if (!is_digit(*++*s))
		return -1;
	for (; is_digit(**s); (*s)++, unit /= 10)
		*ms += (**s - '0') * unit;
	return 0;
}

/* "Z" or "+01:00"; the seconds to take off. */
static int parse_zone(const char *s, int *seconds)
{
	int hours = 0, minutes = 0;
	int sign = *s == '-' ? -1 : 1;

	*seconds = 0;
	if ((*s == 'Z' || *s == 'z') && !s[1])
		return 0;
	if (one_of(&s, "+-") || fixed_digits(&s, 2, 23, &hours) || one_of(&s, ":") ||
	    fixed_digits(&s, 2, 59, &minutes) || *s)
		return -1;
	*seconds = sign * (hours * 3600 + minutes * 60);
	return 0;
}

static int parse_date(const char **s, int64_t *days)
{
	int year = 0, month = 0, day = 0;

	if (fixed_digits(s, 4, 9999, &year) || one_of(s, "-") ||
	    fixed_digits(s, 2, 12, &month) || one_of(s, "-") ||
	    fixed_digits(s, 2, 31, &day))
		return -1;
	if (month < 1 || day < 1 || day > days_in_month(year, month))
		return -1;
	*days = days_before_year(year) - DAYS_BEFORE_1970 + day - 1;
	for (int m = 1; m < month; m++)
		*days += days_in_month(year, m);
	return 0;
}

static int parse_rfc3339(const char *s, int64_t *out_ms)
{
	int64_t days = 0;
	int hour = 0, minute = 0, second = 0, ms = 0, zone = 0;

	if (parse_date(&s, &days) || one_of(&s, "Tt ") || fixed_digits(&s, 2, 23, &hour) ||
	    one_of(&s, ":") || fixed_digits(&s, 2, 59, &minute))
		return -1;
	if (*s == ':') {
		s++;
		if (fixed_digits(&s, 2, 59, &second) || parse_fraction(&s, &ms))
			return -1;
	}
	if (parse_zone(s, &zone))
		return -1;
	int64_t at = days * SECONDS_PER_DAY + ((hour * 60 + minute) * 60 + second - zone);

	if (at < FIRST_SECOND || at > LAST_SECOND)
		return -1;
	*out_ms = at * MS_PER_SECOND + ms;
	return 0;
}

static int parse_unix(const char *s, int64_t *out_ms)
{
	int64_t at = 0;
	int ms = 0;

	if (!is_digit(*s))
		return -1;
	for (; is_digit(*s); s++) {
		at = at * 10 + (*s - '0');
		/* Also catches milliseconds given for seconds. */
		if (at > LAST_SECOND)
			return -1;
	}
	if (parse_fraction(&s, &ms) || *s)
		return -1;
	*out_ms = at * MS_PER_SECOND + ms;
	return 0;
}

/* "5m ago", "2 hours ago"; case and blanks as written here. */
static int parse_ago(const char *s, int64_t now_ms, int64_t *out_ms)
{
	char part[64];
	size_t n = strlen(s);
	__int128 ns = 0;

	if (!text_ends(s, " ago") || n - 4 >= sizeof(part))
		return -1;
	memcpy(part, s, n - 4);
	part[n - 4] = 0;
	if (parse_go(part, &ns)) {
		ns = 0;
		if (parse_words(part, &ns))
			return -1;
	}
	int64_t at = 0;

	if (__builtin_sub_overflow(now_ms, (int64_t)(ns / 1000000), &at) ||
	    at < FIRST_SECOND * MS_PER_SECOND)
		return -1;
	*out_ms = at;
	return 0;
}

int text_time_ms(const char *s, int64_t now_ms, int64_t *out_ms)
{
	if (*s == '@')
		return parse_unix(s + 1, out_ms);
	if (!strcmp(s, "now")) {
		*out_ms = now_ms;
		return 0;
	}
	if (!strcmp(s, "yesterday"))
		return parse_ago("24h ago", now_ms, out_ms);
	if (text_ends(s, "ago"))
		return parse_ago(s, now_ms, out_ms);
	return parse_rfc3339(s, out_ms);
}

struct moment {
	int year, month, day, hour, minute, second, ms;
};

/* Times outside the four-digit years become the first or the last moment of them. */
static struct moment split_time(int64_t at_ms)
{
	struct moment t = { .month = 1 };
	int64_t ms = at_ms % MS_PER_SECOND;
	int64_t at = at_ms / MS_PER_SECOND;

	if (ms < 0) {
		ms += MS_PER_SECOND;
		at--;
	}
	if (at < FIRST_SECOND) {
		at = FIRST_SECOND;
		ms = 0;
	} else if (at > LAST_SECOND) {
		at = LAST_SECOND;
		ms = 999;
	}
	int64_t days = (at - FIRST_SECOND) / SECONDS_PER_DAY;
	int rest = (int)((at - FIRST_SECOND) % SECONDS_PER_DAY);

	/* 146,097 days are 400 years; the estimate is at most one too high. */
	t.year = (int)(days * 400 / 146097);
	while (days_before_year(t.year) > days)
		t.year--;
	while (days_before_year(t.year + 1) <= days)
		t.year++;
	t.day = (int)(days - days_before_year(t.year)) + 1;
	while (t.day > days_in_month(t.year, t.month))
		t.day -= days_in_month(t.year, t.month++);
	t.hour = rest / 3600;
	t.minute = rest / 60 % 60;
	t.second = rest % 60;
	t.ms = (int)ms;
	return t;
}

void text_format_time_ms(int64_t ms, char out[25])
{
	struct moment t = split_time(ms);

	snprintf(out, 25, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.year, t.month, t.day,
		 t.hour, t.minute, t.second, t.ms);
}

void text_format_time_s(int64_t ms, char out[21])
{
	char full[25];

	text_format_time_ms(ms, full);
	memcpy(out, full, 19);
	memcpy(out + 19, "Z", 2);
}

void text_format_time_compact(int64_t ms, char out[17])
{
	struct moment t = split_time(ms);

	snprintf(out, 17, "%04d%02d%02dT%02d%02d%02dZ", t.year, t.month, t.day, t.hour,
		 t.minute, t.second);
}

/* "1h48m", and "3h" when the smaller part is nothing. */
static void two_units(char *out, size_t size, uint64_t n, const char *names)
{
	static const struct {
		char name;
		unsigned per;
	} smaller[] = { { 'd', 24 }, { 'h', 60 }, { 'm', 60 } };
	unsigned per = 0;

	for (size_t i = 0; i < sizeof(smaller) / sizeof(smaller[0]); i++)
		if (smaller[i].name == names[0])
			per = smaller[i].per;
	int len = snprintf(out, size, "%llu%c", (unsigned long long)(n / per), names[0]);

	if (n % per && len > 0 && (size_t)len < size)
		snprintf(out + len, size - (size_t)len, "%u%c", (unsigned)(n % per),
			 names[1]);
}

void text_human_duration(int64_t ms, char out[24])
{
	uint64_t n = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
	size_t size = 24;

	if (ms < 0) {
		*out++ = '-';
		size--;
	}
	if (n < 100)
		snprintf(out, size, "%ums", (unsigned)n);
	else if (n < 9950)
		snprintf(out, size, "%u.%us", (unsigned)((n + 50) / 1000),
			 (unsigned)((n + 50) / 100 % 10));
	else if (n < 59500)
		snprintf(out, size, "%us", (unsigned)((n + 500) / 1000));
	else if (n < 600000)
		two_units(out, size, (n + 500) / 1000, "ms");
	else if (n < 3600000)
		snprintf(out, size, "%um", (unsigned)(n / 60000));
	else if (n < UINT64_C(48) * 3600000)
		two_units(out, size, n / 60000, "hm");
	else
		two_units(out, size, n / 3600000, "dh");
}

void text_human_age(int64_t then_ms, int64_t now_ms, char out[32])
{
	static const struct {
		uint64_t from, size;
		char name;
	} units[] = {
		{ UINT64_C(48) * 3600000, 86400000, 'd' },
		{ 3600000, 3600000, 'h' },
		{ 60000, 60000, 'm' },
		{ 1000, 1000, 's' },
	};
	bool future = then_ms > now_ms;
	uint64_t n = future ? (uint64_t)then_ms - (uint64_t)now_ms
			    : (uint64_t)now_ms - (uint64_t)then_ms;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (n >= units[i].from) {
			snprintf(out, 32, "%s%llu%c%s", future ? "in " : "",
				 (unsigned long long)(n / units[i].size), units[i].name,
				 future ? "" : " ago");
			return;
		}
	memcpy(out, "now", 4);
}

/* value / 10^digits without trailing zeros, then the unit. */
static void add_decimal(char *out, size_t size, uint64_t value, int digits,
			const char *unit)
{
	uint64_t scale = 1;

	for (int i = 0; i < digits; i++)
		scale *= 10;
	uint64_t fraction = value % scale;

	while (fraction && fraction % 10 == 0) {
		fraction /= 10;
		digits--;
	}
	if (fraction)
		snprintf(out, size, "%llu.%0*llu%s", (unsigned long long)(value / scale),
			 digits, (unsigned long long)fraction, unit);
	else
		snprintf(out, size, "%llu%s", (unsigned long long)(value / scale), unit);
}

void text_go_duration(int64_t ns, char out[40])
{
	const uint64_t second = 1000000000, minute = 60 * second, hour = 60 * minute;
	uint64_t n = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	char *p = out;
	size_t size = 40;
	int len = 0;

	if (ns < 0) {
		*p++ = '-';
		size--;
	}
	if (!n) {
		add_decimal(p, size, 0, 0, "s");
		return;
	}
	if (n < second) {
		int digits = n < 1000 ? 0 : n < 1000000 ? 3 : 6;

		add_decimal(p, size, n, digits,
			    digits == 0	  ? "ns"
			    : digits == 3 ? "\xc2\xb5s"
					  : "ms");
		return;
	}
	if (n >= hour)
		len = snprintf(p, size, "%lluh%llum", (unsigned long long)(n / hour),
			       (unsigned long long)(n % hour / minute));
	else if (n >= minute)
		len = snprintf(p, size, "%llum", (unsigned long long)(n / minute));
	add_decimal(p + len, size - (size_t)len, n % minute, 9, "s");
}
