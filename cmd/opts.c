/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/opts.h"

#include "base/nearest.h"
#include "base/text.h"

#include <string.h>

#define AT(field) offsetof(struct common_args, field)

static const struct opt config_opts[] = {
	{ "config", 0, OPT_STRING, AT(config), "PATH",
	  "configuration file (else $WALBACK_CONFIG, $LITESTREAM_CONFIG, "
	  "/etc/walback.yml, /etc/litestream.yml)" },
	{ "no-expand-env", 0, OPT_FLAG, AT(no_expand_env), NULL,
	  "leave $NAME in the configuration file as it stands" },
	{ 0 },
};

static const struct opt json_opts[] = {
	{ "json", 0, OPT_FLAG, AT(json), NULL, "print JSON, times in UTC, units in names" },
	{ 0 },
};

static const struct opt every_opts[] = {
	{ "quiet", 'q', OPT_FLAG, AT(quiet), NULL,
	  "no progress, only warnings and errors" },
	{ "v", 0, OPT_FLAG, AT(verbose), NULL, "also log details" },
	{ "log-level", 0, OPT_CHOICE, AT(log_level), "debug|info|warn|error",
	  "what to log" },
	{ 0 },
};

static const struct opt help_opt = { "help", 'h', OPT_FLAG, 0, NULL, "print this text" };

const struct opt *opts_at(const struct command *c, size_t i)
{
	const struct opt *tables[] = { c->opts, c->config ? config_opts : NULL,
				       c->json ? json_opts : NULL, every_opts };

	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		size_t n = 0;

		while (tables[t] && tables[t][n].name)
			n++;
		if (i < n)
			return &tables[t][i];
		i -= n;
	}
	return i == 0 ? &help_opt : NULL;
}

static const struct opt *find(const struct command *c, const char *name, size_t n)
{
	const struct opt *o;

	for (size_t i = 0; (o = opts_at(c, i)); i++)
		if ((strlen(o->name) == n && !memcmp(o->name, name, n)) ||
		    (n == 1 && o->letter == *name))
			return o;
	return NULL;
}

static int unknown(const struct command *c, const char *dashes, int ndashes,
		   const char *name, struct err *e)
{
	const char *names[64];
	const struct opt *o;
	size_t n = 0;
	const char *near;

	for (; n < sizeof(names) / sizeof(names[0]) && (o = opts_at(c, n)); n++)
		names[n] = o->name;
	near = nearest_word(name, names, n);
	err_set(e, ERR_USAGE, "%s: unknown option %.*s%s%s%.*s%s%s", c->name, ndashes,
		dashes, name, near ? " (did you mean " : "", near ? ndashes : 0, dashes,
		near ? near : "", near ? "?)" : "");
	return err_hint(e, "walback %s -help", c->name);
}

static bool is_choice(const char *words, const char *value)
{
	size_t n = strlen(value);

	for (const char *w = words; n && w; w = strchr(w, '|')) {
		w += *w == '|';
		if (!strncmp(w, value, n) && (w[n] == '|' || !w[n]))
			return true;
	}
	return false;
}

static int bad(const struct opt *o, const char *what, const char *value, struct err *e)
{
	return err_set(e, ERR_USAGE, "-%s: %s: '%s'", o->name, what, value);
}

/* An error without a remedy of its own gets the one of `one`. */
static int store(const struct opt *o, const char *value, void *args, struct err *e)
{
	void *field = (char *)args + o->offset;

	switch (o->type) {
	case OPT_FLAG:
		if (text_bool(value, field) < 0)
			return bad(o, "neither true nor false", value, e);
		return 0;
	case OPT_STRING:
		*(const char **)field = *value ? value : NULL;
		return 0;
	case OPT_CHOICE:
		if (!is_choice(o->arg, value)) {
			bad(o, "unknown value", value, e);
			return err_hint(e, "one of %s", o->arg);
		}
		*(const char **)field = value;
		return 0;
	case OPT_U64:
		return text_u64(value, field) < 0 ? bad(o, "not a number", value, e) : 0;
	case OPT_DURATION:
		if (text_duration_ms(value, field) < 0) {
			bad(o, "not a duration", value, e);
			return err_hint(e, "for instance 500ms, 10s, 1h30m, 7d");
		}
		return 0;
	case OPT_SIZE:
		if (text_size(value, field) < 0) {
			bad(o, "not a size", value, e);
			return err_hint(e, "for instance 4096, 16MiB, 2GB");
		}
		return 0;
	}
	return err_set(e, ERR_BUG, "option type %d", (int)o->type);
}

/* One option at argv[*i].  Returns 1 for -help, 0, -1. */
static int one(const struct command *c, int argc, char **argv, int *i, void *args,
	       struct err *e)
{
	const char *word = argv[*i];
	int ndashes = word[1] == '-' ? 2 : 1;
	const char *name = word + ndashes;
	const char *value = strchr(name, '=');
	size_t n = value ? (size_t)(value++ - name) : strlen(name);
	const struct opt *o = find(c, name, n);

	if (!o) {
		char copy[64] = "";

		memcpy(copy, name, n < sizeof(copy) ? n : sizeof(copy) - 1);
		return unknown(c, word, ndashes, copy, e);
	}
	if (o == &help_opt)
		return 1;
	if (!value && o->type == OPT_FLAG)
		value = "true";
	if (!value) {
		if (*i + 1 >= argc) {
			err_set(e, ERR_USAGE, "-%s: needs a value (%s)", o->name, o->arg);
			return err_hint(e, "walback %s -help", c->name);
		}
		value = argv[++*i];
	}
	return store(o, value, args, e) < 0 ? err_hint(e, "walback %s -help", c->name) : 0;
}

static int count_operands(const struct command *c, const struct common_args *a,
			  struct err *e)
{
	if (c->max_operands >= 0 && a->noperands > c->max_operands) {
		err_set(e, ERR_USAGE, "%s: too many arguments: '%s'", c->name,
			a->operands[c->max_operands]);
		return err_hint(e, "walback %s -help", c->name);
	}
	if (a->noperands < c->min_operands) {
		err_set(e, ERR_USAGE, "%s: missing argument: %s", c->name, c->operands);
		return err_hint(e, "walback %s -help", c->name);
	}
	return 0;
}

int opts_parse(const struct command *c, int argc, char **argv, void *args, struct err *e)
{
	struct common_args *a = args;
	int kept = 1;
	bool ended = false;

	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		int r;

		if (ended || word[0] != '-' || !word[1]) {
			argv[kept++] = argv[i];
			ended |= c->app;
			continue;
		}
		if (!strcmp(word, "--")) {
			ended = true;
			continue;
		}
		r = one(c, argc, argv, &i, args, e);
		if (r)
			return r;
	}
	if (kept < argc)
		argv[kept] = NULL; /* they are handed to exec as they are */
	a->operands = argv + 1;
	a->noperands = argc > 0 ? kept - 1 : 0;
	return count_operands(c, a, e);
}

void opts_help(const struct command *c, struct buf *out)
{
	const struct opt *o;

	buf_addf(out, "usage: walback %s [option...]%s%s\n%s\n\noptions:\n", c->name,
		 *c->operands ? " " : "", c->operands, c->help);
	for (size_t i = 0; (o = opts_at(c, i)); i++) {
		buf_addf(out, "  -%s", o->name);
		if (o->letter)
			buf_addf(out, ", -%c", o->letter);
		buf_addf(out, "%s%s\n        %s\n", o->arg ? " " : "", o->arg ? o->arg : "",
			 o->help);
	}
}
