/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/config_expand.h"

#include "agent/config/settings.h"
#include "base/cleanup.h"
#include "base/mem.h"

#include <string.h>

struct state {
	const struct expand_options *o;
	struct buf *out;
	int line;
	bool comment; /* in a comment, as far as YAML can be told without parsing it */
};

static bool is_name(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '_';
}

static bool is_special(char c)
{
	return c && (strchr("*#$@!?-", c) || (c >= '0' && c <= '9'));
}

static void note(const struct state *s, enum expand_what what, const char *name, size_t n)
{
	struct expand_note x = { .what = what, .line = s->line };

	if (!s->o->note || s->comment)
		return;
	memcpy(x.name, name, n < sizeof(x.name) ? n : sizeof(x.name) - 1);
	s->o->note(s->o->arg, &x);
}

static bool put_value(const struct state *s, const char *name, size_t n)
{
	AUTO_FREE char *copy = mem_strn(name, n);
	const char *value = env_get(s->o->env, copy);

	if (value)
		buf_add(s->out, value, strlen(value));
	return value;
}

/* "NAME:-default" between the braces: the length of NAME, or 0. */
static size_t name_with_default(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && is_name(p[i]))
		i++;
	return i && n - i >= 2 && p[i] == ':' && p[i + 1] == '-' ? i : 0;
}

static void put_braced(const struct state *s, const char *p, size_t n)
{
	size_t name = name_with_default(p, n);
	AUTO_FREE char *copy = mem_strn(p, name);

	if (!name) {
		if (!put_value(s, p, n))
			note(s, EXPAND_UNSET, p, n);
	} else if (!s->o->defaults) {
		note(s, EXPAND_DEFAULT_LOST, p, name);
		(void)put_value(s, p, n);
	} else if (env_get(s->o->env, copy)) {
		(void)put_value(s, p, name);
	} else {
		buf_add(s->out, p + name + 2, n - name - 2);
	}
}

/* What follows a '$'; returns how many bytes of it are used up, or SIZE_MAX when the '$' stays. */
static size_t variable(const struct state *s, const char *p, size_t n)
{
	const char *brace;
	size_t i = 0;

	if (n && *p == '{') {
		brace = memchr(p, '}', n);
		if (!brace)
			return 1;
		put_braced(s, p + 1, (size_t)(brace - p) - 1);
		return (size_t)(brace - p) + 1;
	}
	if (n && is_special(*p)) {
		note(s, EXPAND_VANISHED, "", 0);
		(void)put_value(s, p, 1);
		return 1;
	}
	while (i < n && is_name(p[i]))
		i++;
	if (!i)
		return SIZE_MAX;
	if (!put_value(s, p, i))
		note(s, EXPAND_UNSET, "", 0);
	return i;
}

void config_expand(const char *text, size_t n, const struct expand_options *o,
		   struct buf *out)
{
	struct state s = { .o = o, .out = out, .line = 1 };

	for (size_t i = 0; i < n;) {
		char c = text[i];
		size_t used;

		if (c == '#' && (!i || strchr(" \t\n", text[i - 1])))
			s.comment = true;
		used = c == '$' ? variable(&s, text + i + 1, n - i - 1) : SIZE_MAX;
		if (used == SIZE_MAX) {
			buf_add(out, text + i, 1);
			if (c == '\n') {
				s.line++;
				s.comment = false;
			}
			i++;
			continue;
		}
		for (size_t k = 0; k < used; k++)
			s.line += text[i + 1 + k] == '\n';
		i += 1 + used;
	}
}
