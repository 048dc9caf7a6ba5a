/* SPDX-License-Identifier: Apache-2.0 */
/* proc_split: a shell's quoting without a shell. */
#include "base/mem.h"
#include "base/proc.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct splitter {
	const char *s; /* what is left */
	struct buf word;
	char **argv;
	size_t count, room;
};

static int add_word(struct splitter *p, struct err *e)
{
	if (memchr(buf_str(&p->word), 0, p->word.len))
		return err_set(e, ERR_USAGE, "a NUL byte in $'...'");
	if (p->count + 1 >= p->room) {
		p->room = p->room ? p->room * 2 : 8;
		p->argv = mem_grow(p->argv, p->room, sizeof(*p->argv));
	}
	p->argv[p->count++] = buf_steal(&p->word);
	p->argv[p->count] = NULL;
	return 0;
}

static int single_quoted(struct splitter *p, struct err *e)
{
	const char *end = strchr(p->s, '\'');

	if (!end)
		return err_set(e, ERR_USAGE, "a ' is not closed");
	buf_add(&p->word, p->s, (size_t)(end - p->s));
	p->s = end + 1;
	return 0;
}

/* POSIX 2.2.3: a backslash keeps its meaning only before these. */
static int double_quoted(struct splitter *p, struct err *e)
{
	for (;; p->s++) {
		if (!*p->s)
			return err_set(e, ERR_USAGE, "a \" is not closed");
		if (*p->s == '"')
			break;
		if (*p->s == '\\' && p->s[1] && strchr("$`\"\\\n", p->s[1])) {
			p->s++;
			if (*p->s == '\n')
				continue;
		}
		buf_addc(&p->word, *p->s);
	}
	p->s++;
	return 0;
}

static int digit_of(char c, int base)
{
	int v = c >= '0' && c <= '9'   ? c - '0'
		: c >= 'a' && c <= 'f' ? c - 'a' + 10
		: c >= 'A' && c <= 'F' ? c - 'A' + 10
				       : 99;

	return v < base ? v : -1;
}

/* At most `most` digits at p->s, as one byte; at least one. */
static int numbered_byte(struct splitter *p, int base, int most, struct err *e)
{
	int v = 0, n = 0;

	for (; n < most && digit_of(*p->s, base) >= 0; n++)
		v = v * base + digit_of(*p->s++, base);
	if (!n)
		return err_set(e, ERR_USAGE, "\\x without digits in $'...'");
	buf_addc(&p->word, (char)(v & 0xff));
	return 0;
}

static int dollar_escape(struct splitter *p, struct err *e)
{
	static const char names[] = "abeEfnrtv\\'\"?";
	static const char bytes[] = "\a\b\033\033\f\n\r\t\v\\'\"?";
	const char *at = *p->s ? strchr(names, *p->s) : NULL;

	if (at) {
		buf_addc(&p->word, bytes[at - names]);
		p->s++;
		return 0;
	}
	if (digit_of(*p->s, 8) >= 0)
		return numbered_byte(p, 8, 3, e);
	if (*p->s != 'x')
		return err_set(e, ERR_USAGE, "unknown escape in $'...'");
	p->s++;
	return numbered_byte(p, 16, 2, e);
}

/* $'...', which printf %q writes for what other quotes cannot hold. */
static int dollar_quoted(struct splitter *p, struct err *e)
{
	while (*p->s && *p->s != '\'') {
		if (*p->s++ != '\\')
			buf_addc(&p->word, p->s[-1]);
		else if (dollar_escape(p, e))
			return -1;
	}
	if (!*p->s)
		return err_set(e, ERR_USAGE, "a $' is not closed");
	p->s++;
	return 0;
}

/* What may stand inside a word at p->s: one character or one quoted part. */
static int one_part(struct splitter *p, struct err *e)
{
	char c = *p->s++;

	switch (c) {
	case '\'':
		return single_quoted(p, e);
	case '"':
		return double_quoted(p, e);
	case '\\':
		if (!*p->s)
			return err_set(e, ERR_USAGE, "a backslash at the end");
		if (*p->s != '\n')
			buf_addc(&p->word, *p->s);
		p->s++;
		return 0;
	case '$':
		if (*p->s == '\'') {
			p->s++;
			return dollar_quoted(p, e);
		}
		break;
	case ';':
	case '&':
	case '|':
	case '<':
	case '>':
	case '(':
	case ')':
	case '`':
		err_set(e, ERR_USAGE, "%c needs a shell, and none is started", c);
		return err_hint(e, "quote it, or use sh -c '...'");
	default:
		break;
	}
	buf_addc(&p->word, c);
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int split(struct splitter *p, struct err *e)
{
	for (;;) {
		/* A word that is only a joined line is no word. */
		while (is_blank(*p->s) || (p->s[0] == '\\' && p->s[1] == '\n'))
			p->s += *p->s == '\\' ? 2 : 1;
		if (!*p->s)
			break;
		while (*p->s && !is_blank(*p->s))
			if (one_part(p, e))
				return -1;
		if (add_word(p, e))
			return -1;
	}
	if (!p->count || !p->argv[0][0])
		return err_set(e, ERR_USAGE, "the command is empty");
	return 0;
}

char **proc_split(const char *cmd, struct err *e)
{
	struct splitter p = { .s = cmd, .word = BUF(SIZE_MAX - 1) };

	if (!split(&p, e))
		return p.argv;
	buf_free(&p.word);
	proc_free_argv(p.argv);
	return NULL;
}

void proc_free_argv(char **argv)
{
	for (char **a = argv; a && *a; a++)
		free(*a);
	free(argv);
}
