/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/ini.h"

#include <string.h>
#include <strings.h>

struct reader {
	const char *at, *end;
	const char *section;
	bool inside;  /* the wanted section */
	bool has_key; /* since the section began */
	size_t key_indent;
};

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct ini_value trim(const char *p, size_t n)
{
	while (n && blank(*p)) {
		p++;
		n--;
	}
	while (n && blank(p[n - 1]))
		n--;
	return (struct ini_value){ p, n };
}

/* Blanks in runs, and quotes, are as nothing. */
static bool same_name(struct ini_value have, const char *want)
{
	for (size_t i = 0; i < have.n; i++) {
		char c = have.p[i];

		if (c == '"' || c == '\'')
			continue;
		if (blank(c)) {
			if (i + 1 < have.n && blank(have.p[i + 1]))
				continue;
			c = ' ';
		}
		if (!*want || c != *want++)
			return false;
	}
	return !*want;
}

static bool next_line(struct reader *r, struct ini_value *line)
{
	if (r->at == r->end)
		return false;
	const char *nl = memchr(r->at, '\n', (size_t)(r->end - r->at));
	const char *stop = nl ? nl : r->end;

	*line = (struct ini_value){ r->at, (size_t)(stop - r->at) };
	r->at = nl ? nl + 1 : r->end;
	return true;
}

static void begin_section(struct reader *r, struct ini_value line)
{
	const char *close = memchr(line.p, ']', line.n);

	r->has_key = false;
	r->inside = close &&
		    same_name(trim(line.p + 1, (size_t)(close - line.p - 1)), r->section);
}

/* What follows a blank and # or ; is a comment. */
static struct ini_value value_of(const char *p, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if ((p[i] == '#' || p[i] == ';') && blank(p[i - 1]))
			n = i;
	return trim(p, n);
}

/* A key of a section: its name and value. */
static bool key_line(struct reader *r, struct ini_value raw, struct ini_value *name,
		     struct ini_value *value)
{
	struct ini_value line = trim(raw.p, raw.n);
	size_t indent = (size_t)(line.p - raw.p);
	const char *eq = line.n ? memchr(line.p, '=', line.n) : NULL;

	if (r->has_key && indent > r->key_indent)
		return false;
	if (!eq || eq == line.p)
		return false;
	r->has_key = true;
	r->key_indent = indent;
	*name = trim(line.p, (size_t)(eq - line.p));
	*value = value_of(eq + 1, (size_t)(line.p + line.n - eq - 1));
	return true;
}

/* The next key of the section, true; or its head line (name->n 0), true; false at the end. */
static bool next_entry(struct reader *r, struct ini_value *name, struct ini_value *value)
{
	struct ini_value raw;

	while (next_line(r, &raw)) {
		struct ini_value line = trim(raw.p, raw.n);

		if (!line.n || line.p[0] == '#' || line.p[0] == ';')
			continue;
		if (line.p[0] == '[') {
			begin_section(r, line);
			*name = (struct ini_value){ line.p, 0 };
			if (r->inside)
				return true;
		} else if (r->inside && key_line(r, raw, name, value)) {
			return true;
		}
	}
	return false;
}

static struct reader reader_of(const char *text, size_t n, const char *section)
{
	static const char bom[] = "\xef\xbb\xbf";
	size_t skip = n >= 3 && memcmp(text, bom, 3) == 0 ? 3 : 0;

	return (struct reader){ .at = text + skip, .end = text + n, .section = section };
}

bool ini_has(const char *text, size_t n, const char *section)
{
	struct reader r = reader_of(text, n, section);
	struct ini_value name, value;

	return n && next_entry(&r, &name, &value);
}

bool ini_get(const char *text, size_t n, const char *section, const char *key,
	     struct ini_value *out)
{
	struct reader r = reader_of(text, n, section);
	struct ini_value name, value;
	size_t len = strlen(key);
	bool found = false;

	while (n && next_entry(&r, &name, &value))
		if (name.n && name.n == len && strncasecmp(name.p, key, len) == 0) {
			*out = value;
			found = true;
		}
	return found;
}
