/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/common.h"

#include "agent/config/settings.h"
#include "agent/exit.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

#include <string.h>
#include <unistd.h>

static bool quiet; /* as cmd_begin saw it, for the weight of error lines */
static bool logs;  /* the command's .logs */

void cmd_set_up_log(const struct common_args *a, enum log_level configured, bool json)
{
	int level = (int)configured;

	if (a->quiet && level > LOG_WARN)
		level = LOG_WARN;
	if (a->verbose)
		level = LOG_DEBUG;
	if (a->log_level)
		level = log_level_parse(a->log_level);
	log_setup((enum log_level)level, json);
}

void cmd_follow_config(const struct common_args *a, const struct config *c)
{
	cmd_set_up_log(a, c->log_level, c->log_json);
	log_to(logs && !c->log_stderr ? STDOUT_FILENO : STDERR_FILENO);
}

bool cmd_begin(const struct command *c, int argc, char **argv, void *args, int *status)
{
	struct err e = ERR_INIT;
	const struct common_args *a = args;
	int r = opts_parse(c, argc, argv, args, &e);

	if (r < 0) {
		*status = cmd_fail(&e);
		return false;
	}
	if (r > 0) {
		CLEANUP(buf_free) struct buf out = BUF(64 << 10);

		opts_help(c, &out);
		*status = cmd_print(&out);
		return false;
	}
	quiet = a->quiet;
	logs = c->logs;
	cmd_set_up_log(a, LOG_INFO, false);
	return true;
}

bool cmd_fancy(int fd, const struct common_args *a)
{
	const char *no_color = env_get((const char *const *)environ, "NO_COLOR");
	const char *term = env_get((const char *const *)environ, "TERM");

	return !(a && a->quiet) && !no_color && !(term && !strcmp(term, "dumb")) &&
	       isatty(fd);
}

/* The slug goes behind the first line, which says what is wrong. */
static void add_visible(struct buf *out, const char *s, const char *slug)
{
	for (; *s; s++) {
		if (*s == '\n' && slug) {
			buf_addf(out, " (code=%s)", slug);
			slug = NULL;
		}

		if (*s == '\n')
			buf_add(out, "\n  ", 3);
		else
			buf_add(out, text_is_control(*s) ? "?" : s, 1);
	}
	if (slug)
		buf_addf(out, " (code=%s)", slug);
}

int cmd_fail(const struct err *e)
{
	CLEANUP(buf_free) struct buf out = BUF(16 << 10);
	struct err ignored = ERR_INIT;
	const struct common_args a = { .quiet = quiet };
	bool fancy = cmd_fancy(STDERR_FILENO, &a);
	const char *bold = fancy ? "\033[1m" : "";
	const char *plain = fancy ? "\033[0m" : "";

	buf_addf(&out, "%swalback: ", bold);
	add_visible(&out, e->msg, e->slug);
	buf_addf(&out, "%s\n", plain);
	if (e->hint[0]) {
		buf_addf(&out, "%s  next: ", bold);
		add_visible(&out, e->hint, NULL);
		buf_addf(&out, "%s\n", plain);
	}
	/* Nowhere is left to report that stderr is gone. */
	(void)!file_write_full(STDERR_FILENO, out.p, out.len, "stderr", &ignored);
	return exit_from_err(e);
}

int cmd_print(const struct buf *out)
{
	struct err e = ERR_INIT;

	if (!buf_ok(out)) {
		err_set(&e, ERR_IO, "the output is larger than %zu bytes", out->max);
		return cmd_fail(&e);
	}
	if (out->len && file_write_full(STDOUT_FILENO, out->p, out->len, "stdout", &e) < 0)
		return cmd_fail(&e);
	return EXIT_OK;
}
