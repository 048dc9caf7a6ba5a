/* SPDX-License-Identifier: Apache-2.0 */
/* The writing half of base/json.h. */
#include "base/json.h"
#include "base/text.h"

#include <string.h>

static void add_string(struct buf *b, const char *s)
{
	static const char shorts[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
	size_t n = strlen(s);

	buf_addc(b, '"');
	for (size_t i = 0; i < n;) {
		uint32_t cp = 0;
		size_t len = text_utf8(s + i, n - i, &cp);
		const char *at = len == 1 ? strchr(shorts, s[i]) : NULL;

		if (!len)
			buf_adds(b, "\xef\xbf\xbd");
		else if (at)
			buf_addf(b, "\\%c", letters[at - shorts]);
		else if (cp < 0x20 || cp == 0x7f)
			buf_addf(b, "\\u%04x", cp);
		else
			buf_add(b, s + i, len);
		i += len ? len : 1;
	}
	buf_addc(b, '"');
}

static void new_line(struct json_out *j)
{
	if (j->pretty)
		buf_addf(j->b, "\n%*s", 2 * j->depth, "");
}

/* What stands before any value: comma, line, key. */
static void begin(struct json_out *j, const char *key)
{
	if (j->comma)
		buf_addc(j->b, ',');
	if (j->depth)
		new_line(j);
	j->comma = true;
	if (!key)
		return;
	add_string(j->b, key);
	buf_adds(j->b, j->pretty ? ": " : ":");
}

void json_open(struct json_out *j, const char *key, char bracket)
{
	begin(j, key);
	buf_addc(j->b, bracket);
	j->depth++;
	j->comma = false;
}

void json_close(struct json_out *j, char bracket)
{
	j->depth--;
	/* Nothing inside: "{}" */
	if (j->comma)
		new_line(j);
	buf_addc(j->b, bracket);
	/* A document of several lines separates its roots itself. */
	j->comma = j->depth > 0;
}

void json_put_str(struct json_out *j, const char *key, const char *s)
{
	begin(j, key);
	if (s)
		add_string(j->b, s);
	else
		buf_adds(j->b, "null");
}

void json_put_i64(struct json_out *j, const char *key, int64_t v)
{
	begin(j, key);
	buf_addf(j->b, "%lld", (long long)v);
}

void json_put_u64(struct json_out *j, const char *key, uint64_t v)
{
	begin(j, key);
	buf_addf(j->b, "%llu", (unsigned long long)v);
}

void json_put_bool(struct json_out *j, const char *key, bool v)
{
	begin(j, key);
	buf_adds(j->b, v ? "true" : "false");
}

void json_put_null(struct json_out *j, const char *key)
{
	json_put_str(j, key, NULL);
}

void json_put_time(struct json_out *j, const char *key, int64_t ms)
{
	char text[25];

	text_format_time_ms(ms, text);
	json_put_str(j, key, text);
}

void json_put_hex(struct json_out *j, const char *key, uint64_t v, int digits)
{
	begin(j, key);
	buf_addf(j->b, "\"%0*llx\"", digits, (unsigned long long)v);
}
