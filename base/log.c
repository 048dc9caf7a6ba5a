/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
	LINE_MAX_BYTES = 65536,
	VALUE_MAX_BYTES = 2048,
	FULL_PIPE_WAIT_MS = 1000,
	REPEAT_MS = 60000,
};

static const char *const level_names[] = { "ERROR", "WARN", "INFO", "DEBUG" };

static _Atomic int threshold = LOG_INFO;
static _Atomic bool as_json;
static _Atomic int log_fd = 2;

/* Keeps lines whole that are longer than a pipe takes in one piece. */
static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;

void log_setup(enum log_level level, bool json)
{
	threshold = (int)level;
	as_json = json;
}

void log_to(int fd)
{
	log_fd = fd;
}

bool log_enabled(enum log_level level)
{
	return (int)level <= threshold;
}

int log_level_parse(const char *s)
{
	for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
		if (!strcasecmp(s, level_names[i]))
			return i;
	return strcasecmp(s, "warning") ? -1 : LOG_WARN;
}

/* What a value keeps of n bytes: at most the ceiling, and no broken character. */
static size_t value_length(const char *s, size_t n)
{
	size_t at = VALUE_MAX_BYTES;

	if (n <= VALUE_MAX_BYTES)
		return n;
	while (at > VALUE_MAX_BYTES - 3 && ((uint8_t)s[at] & 0xc0) == 0x80)
		at--;
	return at;
}

/* Invisible, or able to steer a terminal or to reorder the line. */
static bool must_escape(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x2028 && cp <= 0x202e) ||
	       (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff;
}

static bool needs_quotes(const char *s, size_t n)
{
	if (!n)
		return true;
	for (size_t i = 0; i < n;) {
		uint32_t cp = 0;
		size_t len = text_utf8(s + i, n - i, &cp);

		if (!len || must_escape(cp) || cp == ' ' || cp == '"' || cp == '=' ||
		    cp == '\\')
			return true;
		i += len;
	}
	return false;
}

static void add_escaped(struct buf *b, uint32_t cp, const char *s, size_t len)
{
	switch (cp) {
	case '\n':
		buf_adds(b, "\\n");
		break;
	case '\r':
		buf_adds(b, "\\r");
		break;
	case '\t':
		buf_adds(b, "\\t");
		break;
	case '"':
	case '\\':
		buf_addc(b, '\\');
		buf_addc(b, (char)cp);
		break;
	default:
		if (!must_escape(cp))
			buf_add(b, s, len);
		else if (cp < 0x80)
			buf_addf(b, "\\x%02x", cp);
		else
			buf_addf(b, "\\u%04x", cp);
	}
}

/* As Go's log/slog writes text: bare where possible, else quoted and escaped. */
static void add_value(struct buf *b, const char *s)
{
	size_t all = strlen(s), n = value_length(s, all);

	if (n == all && !needs_quotes(s, n)) {
		buf_add(b, s, n);
		return;
	}
	buf_addc(b, '"');
	for (size_t i = 0; i < n;) {
		uint32_t cp = 0;
		size_t len = text_utf8(s + i, n - i, &cp);

		if (len)
			add_escaped(b, cp, s + i, len);
		else
			buf_addf(b, "\\x%02x", (uint8_t)s[i]);
		i += len ? len : 1;
	}
	buf_adds(b, n < all ? "...\"" : "\"");
}

static void add_field(struct buf *b, const struct log_field *f)
{
	if (f->type == LOG_STR && !f->s)
		return;
	buf_addf(b, " %s=", f->key);
	switch (f->type) {
	case LOG_STR:
		add_value(b, f->s);
		break;
	case LOG_INT:
		buf_addf(b, "%lld", (long long)f->i);
		break;
	case LOG_UINT:
		buf_addf(b, "%llu", (unsigned long long)f->u);
		break;
	case LOG_HEX8:
		buf_addf(b, "%08llx", (unsigned long long)f->u);
		break;
	case LOG_BOOL:
		buf_adds(b, f->b ? "true" : "false");
		break;
	}
}

static void put_json_string(struct json_out *j, const char *key, const char *s)
{
	char cut[VALUE_MAX_BYTES + 4];
	size_t n = strlen(s), keep = value_length(s, n);

	if (keep < n) {
		memcpy(cut, s, keep);
		memcpy(cut + keep, "...", 4);
		s = cut;
	}
	json_put_str(j, key, s);
}

static void put_json_field(struct json_out *j, const struct log_field *f)
{
	switch (f->type) {
	case LOG_STR:
		if (f->s)
			put_json_string(j, f->key, f->s);
		break;
	case LOG_INT:
		json_put_i64(j, f->key, f->i);
		break;
	case LOG_UINT:
		json_put_u64(j, f->key, f->u);
		break;
	case LOG_HEX8:
		json_put_hex(j, f->key, f->u, 8);
		break;
	case LOG_BOOL:
		json_put_bool(j, f->key, f->b);
		break;
	}
}

/* A log that cannot be written has nobody to tell.  A full pipe that does not block is
 * given a second. */
static void write_line(const uint8_t *p, size_t n)
{
	int fd = log_fd;

	pthread_mutex_lock(&write_lock);
	while (n) {
		ssize_t put = write(fd, p, n);

		if (put > 0) {
			p += put;
			n -= (size_t)put;
			continue;
		}
		if (put < 0 && errno == EINTR)
			continue;
		struct pollfd ready = { .fd = fd, .events = POLLOUT };

		if (errno != EAGAIN || poll(&ready, 1, FULL_PIPE_WAIT_MS) <= 0)
			break;
	}
	pthread_mutex_unlock(&write_lock);
}

static void build_json(struct buf *line, const char *now, enum log_level level,
		       const char *msg, const struct log_field *fields)
{
	struct json_out j = { .b = line };

	json_open(&j, NULL, '{');
	json_put_str(&j, "time", now);
	json_put_str(&j, "level", level_names[level]);
	put_json_string(&j, "msg", msg);
	for (; fields && fields->key; fields++)
		put_json_field(&j, fields);
	json_close(&j, '}');
}

static void build_logfmt(struct buf *line, const char *now, enum log_level level,
			 const char *msg, const struct log_field *fields)
{
	buf_addf(line, "time=%s level=%s msg=", now, level_names[level]);
	add_value(line, msg);
	for (; fields && fields->key; fields++)
		add_field(line, fields);
}

void log_fields(enum log_level level, const char *msg, const struct log_field *fields)
{
	CLEANUP(buf_free) struct buf line = BUF(LINE_MAX_BYTES);
	void (*build)(struct buf *, const char *, enum log_level, const char *,
		      const struct log_field *) = as_json ? build_json : build_logfmt;
	int saved = errno;
	char now[25];

	if (!log_enabled(level))
		return;
	text_format_time_ms(clock_wall_ms(), now);
	build(&line, now, level, msg, fields);
	if (!buf_ok(&line)) {
		/* Only many values full of escapes come here: keep what must be kept. */
		buf_reset(&line);
		build(&line, now, level, msg, NULL);
	}
	buf_addc(&line, '\n');
	write_line(line.p, line.len);
	errno = saved;
}

/* Equal but for the numbers in them ("5 tries", "31 s"). */
static bool same_text(const char *a, const char *b)
{
	for (;; a++, b++) {
		a += strspn(a, "0123456789");
		b += strspn(b, "0123456789");
		if (*a != *b)
			return false;
		if (!*a)
			return true;
	}
}

void log_trouble(struct log_trouble *t, enum log_level level, const char *msg,
		 const char *db, const struct err *e)
{
	int64_t now = clock_mono_ms();
	char text[sizeof(t->last)];
	char since[24] = "";
	size_t n = strnlen(e->msg, sizeof(text) - 1);

	memcpy(text, e->msg, n);
	text[n] = 0;
	if (!t->on)
		*t = (struct log_trouble){ .on = true, .since_ms = now };
	else if (same_text(text, t->last) && now - t->said_ms < REPEAT_MS) {
		t->count++;
		return;
	}
	t->count++;
	t->said_ms = now;
	memcpy(t->last, text, sizeof(text));
	if (t->count == 1) {
		log_event(level, msg, LOGS("db", db), LOGE(e));
		return;
	}
	text_human_duration(now - t->since_ms, since);
	log_event(level, msg, LOGS("db", db), LOGE(e), LOGU("count", t->count),
		  LOGS("for", since));
}

void log_trouble_over(struct log_trouble *t, const char *msg, const char *db)
{
	char since[24];

	if (!t->on)
		return;
	text_human_duration(clock_mono_ms() - t->since_ms, since);
	log_info(msg, LOGS("db", db), LOGS("after", since), LOGU("count", t->count));
	*t = (struct log_trouble){ 0 };
}
