/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/complete.h"

#include "agent/config/settings.h"
#include "cmd/cmds.h"

#include <string.h>

static void add_commands(struct buf *out)
{
	for (size_t i = 0; cmds[i]; i++)
		if (!cmds[i]->hidden)
			buf_addf(out, "%s ", cmds[i]->name);
	buf_addf(out, "help");
}

/* -name for each option of a command. */
static void add_options(const struct command *c, struct buf *out)
{
	const struct opt *o;

	for (size_t i = 0; (o = opts_at(c, i)); i++) {
		buf_addf(out, "%s-%s", i ? " " : "", o->name);
		if (o->letter)
			buf_addf(out, " -%c", o->letter);
	}
}

/* An option's value: the words of a choice, nothing for numbers, else files. */
static void add_values(const struct opt *o, struct buf *out)
{
	if (o->type == OPT_CHOICE) {
		buf_addf(out, "words=\"");
		for (const char *p = o->arg; *p; p++)
			buf_add(out, *p == '|' ? " " : p, 1);
		buf_addf(out, "\"; kind=words");
	} else if (o->type == OPT_STRING) {
		buf_addf(out, "kind=files");
	} else {
		buf_addf(out, "kind=none");
	}
}

static void add_command(const struct command *c, struct buf *out)
{
	const struct opt *o;

	buf_addf(out, "\t%s)\n\t\topts=\"", c->name);
	add_options(c, out);
	buf_addf(out, "\"\n\t\tcase $prev in\n");
	for (size_t i = 0; (o = opts_at(c, i)); i++) {
		if (o->type == OPT_FLAG)
			continue;
		buf_addf(out, "\t\t-%s | --%s", o->name, o->name);
		if (o->letter)
			buf_addf(out, " | -%c", o->letter);
		buf_addf(out, ") ");
		add_values(o, out);
		buf_addf(out, " ;;\n");
	}
	buf_addf(out, "\t\tesac\n\t\t;;\n");
}

void complete_bash(struct buf *out)
{
	buf_addf(out,
		 "# bash completion for walback, made by `walback completion bash`\n"
		 "# shellcheck shell=bash\n"
		 "_walback() {\n"
		 "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
		 "\tlocal opts='' words='' kind=''\n\n"
		 "\tif ((COMP_CWORD == 1)); then\n"
		 "\t\tmapfile -t COMPREPLY < <(compgen -W \"");
	add_commands(out);
	buf_addf(out, "\" -- \"$cur\")\n\t\treturn\n\tfi\n\tcase ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; cmds[i]; i++)
		if (!cmds[i]->hidden)
			add_command(cmds[i], out);
	buf_addf(out, "\thelp) words=\"");
	add_commands(out);
	buf_addf(
		out,
		"\"; kind=words ;;\n\tesac\n"
		"\tcase $kind in\n"
		"\twords) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\") ;;\n"
		"\tfiles) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
		"\tnone) COMPREPLY=() ;;\n"
		"\t*)\n"
		"\t\tif [[ $cur == -* ]]; then\n"
		"\t\t\tmapfile -t COMPREPLY < <(compgen -W \"$opts\" -- \"${cur/#--/-}\")\n"
		"\t\telse\n"
		"\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
		"\t\tfi\n"
		"\t\t;;\n"
		"\tesac\n"
		"}\n"
		"complete -o filenames -F _walback walback\n");
}

static void list_names(const char *names, struct buf *out)
{
	for (const char *w = names; w && *w;) {
		size_t n = strcspn(w, " ");

		buf_addf(out, "env %.*s\n", (int)n, w);
		w += n;
		w += *w == ' ';
	}
}

void complete_list(struct buf *out)
{
	const struct opt *o;

	for (size_t i = 0; cmds[i]; i++) {
		if (cmds[i]->hidden)
			continue;
		buf_addf(out, "command %s\n", cmds[i]->name);
		for (size_t k = 0; (o = opts_at(cmds[i], k)); k++)
			buf_addf(out, "option %s %s\n", cmds[i]->name, o->name);
	}
	for (const struct setting *s = settings; s->key; s++) {
		const char *scope = setting_scope_name(s->scope);

		buf_addf(out, "key %s %s\n", *scope ? scope : "-", s->key);
		list_names(s->env, out);
	}
	buf_addf(out,
		 "env WALBACK_CONFIG\nenv LITESTREAM_CONFIG\nenv NO_COLOR\nenv HOME\n");
}
