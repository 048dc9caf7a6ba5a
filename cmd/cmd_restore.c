/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/exit.h"
#include "agent/restore/restore.h"
#include "agent/swap/swap.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/cmds.h"
#include "cmd/common.h"
#include "cmd/interrupt.h"
#include "cmd/select.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

struct args {
	struct common_args common;
	const char *output, *replica, *generation, *index, *timestamp, *position;
	const char *check, *perm, *owner;
	bool if_db_not_exists, if_replica_exists, dry_run, force;
	uint64_t parallelism;
};

#define AT(field) offsetof(struct args, field)

static const struct opt opts[] = {
	{ "output", 'o', OPT_STRING, AT(output), "PATH",
	  "where to (default: the database's path; - is standard output)" },
	{ "replica", 0, OPT_STRING, AT(replica), "NAME", "only from this replica" },
	{ "generation", 0, OPT_STRING, AT(generation), "ID", "only from this generation" },
	{ "timestamp", 0, OPT_STRING, AT(timestamp), "TIME",
	  "the state at that time (RFC 3339, \"2 hours ago\", @unix)" },
	{ "index", 0, OPT_STRING, AT(index), "HEX",
	  "the state at the end of this WAL index" },
	{ "position", 0, OPT_STRING, AT(position), "INDEX:OFFSET",
	  "the transaction that ends there (both hexadecimal, as in object names)" },
	{ "if-db-not-exists", 0, OPT_FLAG, AT(if_db_not_exists), NULL,
	  "do nothing, successfully, when the output exists" },
	{ "if-replica-exists", 0, OPT_FLAG, AT(if_replica_exists), NULL,
	  "do nothing, successfully, when there is no backup" },
	{ "integrity-check", 0, OPT_CHOICE, AT(check), "none|quick|full",
	  "SQLite's check of the result (default quick)" },
	{ "parallelism", 0, OPT_U64, AT(parallelism), "N",
	  "requests in flight (default 64)" },
	{ "dry-run", 0, OPT_FLAG, AT(dry_run), NULL, "plan only, write nothing" },
	{ "force", 0, OPT_FLAG, AT(force), NULL,
	  "replace an existing database; the old one is kept beside it" },
	{ "perm", 0, OPT_STRING, AT(perm), "MODE", "mode of a new file (default 0600)" },
	{ "owner", 0, OPT_STRING, AT(owner), "USER[:GROUP]",
	  "owner of a new file (default, as root: that of its folder)" },
	{ .name = NULL },
};

/* ---- options to a request ---- */

static int parse_index(const char *s, uint32_t *out, struct err *e)
{
	uint64_t v = 0;

	if (text_hex_any(s, &v) < 0 || v > LAYOUT_INDEX_MAX) {
		err_set(e, ERR_USAGE, "-index %s: invalid hexadecimal format", s);
		return err_hint(e, "as in object names, for instance -index 1f");
	}
	*out = (uint32_t)v;
	return 0;
}

static int parse_position(const char *s, struct wal_pos *out, struct err *e)
{
	char index[32];
	const char *colon = strchr(s, ':');
	uint64_t v = 0;

	if (colon && (size_t)(colon - s) < sizeof(index)) {
		memcpy(index, s, (size_t)(colon - s));
		index[colon - s] = '\0';
		if (text_hex_any(index, &v) == 0 && v <= LAYOUT_INDEX_MAX &&
		    text_hex_any(colon + 1, &out->offset) == 0) {
			out->index = (uint32_t)v;
			return 0;
		}
	}
	err_set(e, ERR_USAGE, "-position %s is not INDEX:OFFSET", s);
	return err_hint(e, "both hexadecimal, for instance -position 1f:31fc0");
}

static int parse_target(const struct args *a, struct plan_target *t, struct err *e)
{
	int kinds = !!a->timestamp + !!a->index + !!a->position;

	if (kinds > 1)
		return err_set(e, ERR_USAGE,
			       "give one of -timestamp, -index and -position, not several");
	if (a->generation) {
		if (!layout_generation_ok(a->generation)) {
			err_set(e, ERR_USAGE,
				"-generation %s is not 16 lower-case hexadecimal digits",
				a->generation);
			return err_hint(e, "`walback generations` lists them");
		}
		memcpy(t->generation, a->generation, sizeof(t->generation));
	}
	if (a->timestamp) {
		t->kind = PLAN_TIME;
		if (text_time_ms(a->timestamp, clock_wall_ms(), &t->time_ms) < 0) {
			err_set(e, ERR_USAGE, "-timestamp %s is no time that walback knows",
				a->timestamp);
			return err_hint(e, "for instance 2026-11-20T22:00:00Z, \"2 hours "
					   "ago\" or @1700000000");
		}
	} else if (a->index) {
		t->kind = PLAN_INDEX;
		return parse_index(a->index, &t->index, e);
	} else if (a->position) {
		t->kind = PLAN_POSITION;
		return parse_position(a->position, &t->pos, e);
	}
	return 0;
}

static int parse_mode(const char *s, mode_t *out, struct err *e)
{
	mode_t m = 0;
	size_t n = strspn(s, "01234567");

	if (n == 0 || n > 4 || s[n] != '\0')
		return err_set(e, ERR_USAGE, "-perm %s is no octal mode such as 0640", s);
	for (; *s; s++)
		m = m * 8 + (mode_t)(*s - '0');
	*out = m;
	return 0;
}

static int user_id(const char *s, uid_t *uid, gid_t *gid, struct err *e)
{
	const struct passwd *u;
	uint32_t v = 0;

	if (text_u32(s, &v) == 0 && v != UINT32_MAX) { /* which would mean: leave it */
		*uid = v;
		*gid = v;
		return 0;
	}
	u = getpwnam(s); // NOLINT(concurrency-mt-unsafe): the only thread
	if (!u)
		return err_set(e, ERR_USAGE, "-owner: there is no user %s", s);
	*uid = u->pw_uid;
	*gid = u->pw_gid;
	return 0;
}

static int parse_owner(const char *s, struct restore_request *r, struct err *e)
{
	const char *colon = strchr(s, ':');
	char user[64];
	const struct group *g;
	uint32_t v = 0;
	size_t n = colon ? (size_t)(colon - s) : strlen(s);

	if (n == 0 || n >= sizeof(user))
		return err_set(e, ERR_USAGE, "-owner %s is not USER[:GROUP]", s);
	memcpy(user, s, n);
	user[n] = '\0';
	if (user_id(user, &r->uid, &r->gid, e) < 0)
		return -1;
	r->have_owner = true;
	if (!colon)
		return 0;
	if (text_u32(colon + 1, &v) == 0 && v != UINT32_MAX) {
		r->gid = v;
		return 0;
	}
	g = getgrnam(colon + 1); // NOLINT(concurrency-mt-unsafe): the only thread
	if (!g)
		return err_set(e, ERR_USAGE, "-owner: there is no group %s", colon + 1);
	r->gid = g->gr_gid;
	return 0;
}

static int make_request(const struct args *a, const struct selection *s,
			struct restore_request *r, struct err *e)
{
	int check = a->check ? sq_check_mode_parse(a->check) : SQ_CHECK_QUICK;

	r->db = s->db;
	r->replica = a->replica;
	r->output = a->output;
	r->check = check < 0 ? SQ_CHECK_QUICK : (enum sq_check_mode)check;
	r->dry_run = a->dry_run;
	r->parallelism = a->parallelism > 1024 ? 1024 : (unsigned)a->parallelism;
	r->stop = interrupt_token();
	r->show_progress = !a->common.quiet;
	if (a->output && strcmp(a->output, "-") == 0)
		r->output_fd = STDOUT_FILENO;
	if (!a->output && (s->by_url || !s->db->path) && !a->dry_run) {
		err_set(e, ERR_USAGE, "output path required");
		return err_hint(e, "-o PATH, or -o - for standard output");
	}
	if (r->output_fd && (a->force || a->common.json)) {
		err_set(e, ERR_USAGE, "-o - and -%s exclude each other",
			a->force ? "force" : "json");
		return err_hint(e, "-o PATH, or without -%s", a->force ? "force" : "json");
	}
	if (a->perm) {
		r->have_mode = true;
		if (parse_mode(a->perm, &r->mode, e) < 0)
			return -1;
	}
	if (a->owner && parse_owner(a->owner, r, e) < 0)
		return -1;
	return parse_target(a, &r->target, e);
}

/* ---- what people read ---- */

/* Paths and SQLite's words come from elsewhere: nothing in them may move the cursor. */
static void say(const struct args *a, struct buf *b)
{
	struct err ignored = ERR_INIT;

	for (size_t i = 0; i < b->len; i++)
		if (b->p[i] != '\n' && text_is_control((char)b->p[i]))
			b->p[i] = '?';
	/* Nowhere is left to report that stderr is gone. */
	if (!a->common.quiet)
		(void)!file_write_full(STDERR_FILENO, b->p, b->len, "stderr", &ignored);
}

/* Each line of text with a word in front. */
static void say_lines(const struct args *a, const char *word, const char *text)
{
	struct buf b CLEANUP(buf_free) = BUF(128 << 10);

	while (text && *text) {
		size_t n = strcspn(text, "\n");

		buf_addf(&b, "%s: %.*s\n", word, (int)n, text);
		text += n + (text[n] == '\n');
	}
	if (b.len)
		say(a, &b);
}

static void say_plan(const struct args *a, const struct restore_report *rep)
{
	struct buf b CLEANUP(buf_free) = BUF(4096);
	char snapshot[24], wal[24], objects[48];

	text_human_count(rep->objects - 1, "object", objects);
	text_human_bytes(rep->snapshot_bytes, snapshot);
	text_human_bytes(rep->stored_bytes - rep->snapshot_bytes, wal);
	buf_addf(&b, "restoring from %s, generation %s\n", rep->replica_url,
		 rep->generation);
	buf_addf(&b, "  snapshot %08x  %s   wal %s  %s\n", rep->snapshot_index, snapshot,
		 objects, wal);
	say(a, &b);
}

static void on_plan(void *arg, const struct restore_report *rep)
{
	say_plan(arg, rep);
}

static const char *check_words(const struct args *a, const struct restore_report *rep)
{
	bool full = a->check && strcmp(a->check, "full") == 0;

	if (a->check && strcmp(a->check, "none") == 0)
		return "not checked by SQLite";
	if (rep->check.verdict == SQ_WARN)
		return full ? "full check with a warning" : "quick check with a warning";
	return full ? "full check ok" : "quick check ok";
}

static void print_done(const struct args *a, const struct restore_report *rep)
{
	struct buf b CLEANUP(buf_free) = BUF(8192);
	char bytes[24], took[24], sync[24], time[25], age[32], commits[48];

	text_human_bytes(rep->bytes, bytes);
	text_human_duration(rep->total_ms - rep->sync_ms, took);
	text_human_duration(rep->sync_ms, sync);
	text_format_time_ms(rep->time_ms, time);
	text_human_age(rep->time_ms, clock_wall_ms(), age);
	text_human_count(rep->transactions, "transaction", commits);
	buf_addf(&b, "%s: %s, %u pages, as of %s (%s)\n",
		 rep->output ? rep->output : "standard output", bytes, rep->pages, time,
		 age);
	buf_addf(&b, "  generation %s  position %08x:%08llx  %s after the snapshot\n",
		 rep->generation, rep->end.index, (unsigned long long)rep->end.offset,
		 commits);
	buf_addf(&b, "  %s, %s, %s + %s fsync\n",
		 rep->proven ? "proven page for page" : "every frame verified",
		 check_words(a, rep), took, sync);
	say(a, &b);
}

static void print_dry_run(const struct args *a, const struct restore_report *rep)
{
	struct buf b CLEANUP(buf_free) = BUF(8192);
	char bytes[24], time[25], objects[48];

	text_human_count(rep->objects, "object", objects);
	text_human_bytes(rep->stored_bytes, bytes);
	text_format_time_ms(rep->time_ms, time);
	say_plan(a, rep);
	buf_addf(&b,
		 "dry run: %s, %s to fetch; the chain ends at %s; nothing was "
		 "written\n",
		 objects, bytes, time);
	say(a, &b);
}

static int print_json(const struct args *a, const struct restore_report *rep)
{
	struct buf b CLEANUP(buf_free) = BUF(256 << 10);
	struct json_out j = { .b = &b };

	json_open(&j, NULL, '{');
	json_put_str(&j, "output", rep->output);
	json_put_bool(&j, "dry_run", a->dry_run);
	json_put_str(&j, "replica", rep->replica_name);
	json_put_str(&j, "url", rep->replica_url);
	json_put_str(&j, "generation", rep->generation);
	json_put_hex(&j, "snapshot_index", rep->snapshot_index, 8);
	json_put_hex(&j, "index", rep->end.index, 8);
	json_put_hex(&j, "offset", rep->end.offset, 8);
	json_put_time(&j, "time", rep->time_ms);
	json_put_bool(&j, "time_is_stored", rep->time_is_stored);
	json_put_bool(&j, "proven", rep->proven);
	json_put_str(&j, "integrity_check",
		     a->dry_run || (a->check && strcmp(a->check, "none") == 0)
			     ? NULL
			     : sq_verdict_name(rep->check.verdict));
	json_put_u64(&j, "page_size", rep->page_size);
	json_put_u64(&j, "pages", rep->pages);
	json_put_u64(&j, "size_bytes", rep->bytes);
	json_put_u64(&j, "transactions", rep->transactions);
	json_put_u64(&j, "objects", rep->objects);
	json_put_u64(&j, "stored_bytes", rep->stored_bytes);
	json_put_i64(&j, "fetch_ms", rep->fetch_ms);
	json_put_i64(&j, "check_ms", rep->check_ms);
	json_put_i64(&j, "fsync_ms", rep->sync_ms);
	json_put_i64(&j, "total_ms", rep->total_ms);
	json_put_str(&j, "warnings", rep->warnings);
	json_put_str(&j, "notes", rep->notes);
	json_close(&j, '}');
	buf_add(&b, "\n", 1);
	return cmd_print(&b);
}

/* ---- the command ---- */

static bool exists(const struct args *a, const struct selection *s)
{
	const char *path = a->output ? a->output : s->db->path;

	return path && strcmp(path, "-") != 0 && file_size(path) > 0;
}

/* The proven file takes the place of the one that is there, which is kept beside it. */
static int replace(const struct args *a, struct restore_report *rep, struct err *e)
{
	struct swap_request sr = {
		.db_path = rep->output,
		.temp_path = rep->temp,
		.db_sum = rep->db_sum,
		.have_db_sum = rep->have_db_sum,
		.label = "replaced",
		.now_ms = clock_wall_ms(),
		.old_is_healthy = false,
	};
	struct swap_report sw = { .quarantine = NULL };
	int r = swap_replace(&sr, &sw, e);

	if (r < 0 && sw.begun)
		err_hint(e, "run the same command again: it finishes the swap");
	else if (r < 0)
		unlink(rep->temp);
	if (r == 0 && sw.quarantine) {
		AUTO_FREE char *kept =
			mem_fmt("the file that was there is kept as %s", sw.quarantine);

		say_lines(a, "note", kept);
	}
	swap_report_free(&sw);
	return r;
}

static int report(const struct args *a, const struct restore_report *rep)
{
	say_lines(a, "warning", rep->warnings);
	say_lines(a, "note", rep->notes);
	if (a->common.json)
		return print_json(a, rep);
	if (a->dry_run)
		print_dry_run(a, rep);
	else
		print_done(a, rep);
	return EXIT_OK;
}

static int restore(struct args *a, const struct selection *s)
{
	struct restore_request req = { .target.kind = PLAN_LATEST };
	struct restore_report rep = { .temp_fd = -1 };
	struct err e = ERR_INIT;
	int status, r = make_request(a, s, &req, &e);

	if (r < 0) /* those that have no remedy of their own */
		err_hint(&e, "walback restore -help");
	if (r == 0 && a->if_db_not_exists && exists(a, s)) {
		log_info("database already exists, skipping",
			 LOGS("path", a->output ? a->output : s->db->path));
		return EXIT_OK;
	}
	if (r == 0) {
		req.temp_only = a->force && exists(a, s);
		if (!a->common.json && !a->dry_run) {
			req.on_plan = on_plan;
			req.on_plan_arg = a;
		}
		r = restore_run(&req, &rep, &e);
	}
	if (r == 0 && req.temp_only && !a->dry_run)
		r = replace(a, &rep, &e);
	if (r == 0) {
		status = report(a, &rep);
	} else if (a->if_replica_exists && err_has_slug(&e, "no_backup")) {
		log_info("no matching backups found", LOGS("reason", e.msg));
		status = EXIT_OK;
	} else {
		say_lines(a, "warning", rep.warnings);
		status = cmd_fail(&e);
	}
	restore_report_free(&rep);
	return status;
}

static int run(int argc, char **argv)
{
	struct args a = { .parallelism = 0 };
	struct selection s;
	struct err e = ERR_INIT;
	int status;

	if (!cmd_begin(&cmd_restore, argc, argv, &a, &status))
		return status;
	status = selection_load(&s, &a.common, &e) < 0 ? cmd_fail(&e) : restore(&a, &s);
	selection_free(&s);
	return status;
}

const struct command cmd_restore = {
	.name = "restore",
	.run = run,
	.opts = opts,
	.operands = "[DB|URL]",
	.help = "rebuild a database from its replica",
	.max_operands = 1,
	.config = true,
	.json = true,
};
