/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/swap/dbcheck.h"

#include "agent/exit.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/text.h"
#include "wal/dbhdr.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#define GRACE_MS 15000 /* SQLite's own busy wait, recovery, slow disks */
#define ANSWER_MAX 8192

static const char *const names[] = { "absent",	 "corrupt", "unreadable",
				     "unusable", "busy",    "intact" };
#define NAMES (sizeof(names) / sizeof(*names))

const char *db_state_name(enum db_state s)
{
	return names[s];
}

__attribute__((format(printf, 3, 4))) static void say(struct dbcheck *out,
						      enum db_state state, const char *fmt,
						      ...)
{
	va_list ap;

	out->state = state;
	va_start(ap, fmt);
	vsnprintf(out->message, sizeof(out->message), fmt, ap);
	va_end(ap);
}

static bool side_file(const char *db_path, const char *suffix)
{
	AUTO_FREE char *path = mem_fmt("%s%s", db_path, suffix);

	return file_size(path) > 0;
}

static bool leftovers(const char *db_path)
{
	return side_file(db_path, "-wal") || side_file(db_path, "-journal");
}

/* The first bytes; how many there are, or -1 with the finding said. */
static ssize_t read_header(const char *path, uint8_t first[DBHDR_SIZE], struct dbcheck *out)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct err e = ERR_INIT;
	ssize_t n;

	if (fd < 0) {
		err_errno(&e, "open");
		say(out, DB_UNUSABLE, "%s", e.msg);
		return -1;
	}
	n = file_pread_some(fd, first, DBHDR_SIZE, 0, path, &e);
	if (n < 0)
		say(out, DB_UNUSABLE, "%.200s", e.msg);
	return n;
}

static bool zeros(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* Without SQLite's first 16 bytes, and with nothing left to recover them from. */
static void judge_foreign(const uint8_t *first, size_t n, struct dbcheck *out)
{
	if (n < DBHDR_SIZE)
		say(out, DB_CORRUPT, "%zu bytes are too short for a database", n);
	else if (zeros(first, 16))
		say(out, DB_CORRUPT, "zeros where the header should be");
	else
		say(out, DB_UNREADABLE,
		    "not a SQLite database, or an encrypted one (its first bytes are "
		    "%02x %02x %02x %02x)",
		    first[0], first[1], first[2], first[3]);
}

static void from_sqlite(const struct sq_check_result *r, struct dbcheck *out)
{
	static const enum db_state states[] = {
		[SQ_OK] = DB_INTACT, [SQ_WARN] = DB_INTACT,	  [SQ_CORRUPT] = DB_CORRUPT,
		[SQ_BUSY] = DB_BUSY, [SQ_UNUSABLE] = DB_UNUSABLE,
	};

	out->timed_out = r->timed_out;
	say(out, states[r->verdict], "%s%s%s", r->message, r->sys ? ": " : "",
	    r->sys ? strerrordesc_np(r->sys) : "");
}

static bool ask_sqlite(const char *path, enum sq_check_mode mode, int64_t timeout_ms,
		       struct sq_check_result *r, struct dbcheck *out)
{
	struct err e = ERR_INIT;

	if (sq_check(path, mode, timeout_ms, r, &e) == 0)
		return true;
	say(out, DB_UNUSABLE, "%.200s", e.msg);
	return false;
}

/* 1 there is something to look at, 0 the state is known. */
static int look_at_name(const char *path, struct dbcheck *out)
{
	struct stat st;

	*out = (struct dbcheck){ .state = DB_ABSENT };
	if (stat(path, &st) < 0) {
		if (errno == ENOENT)
			out->leftovers = leftovers(path);
		else
			say(out, DB_UNUSABLE, "%s", strerrordesc_np(errno));
		return 0;
	}
	if (!S_ISREG(st.st_mode)) {
		say(out, DB_UNUSABLE, "not a regular file");
		return 0;
	}
	out->bytes = (uint64_t)st.st_size;
	if (st.st_size == 0)
		out->leftovers = leftovers(path);
	return st.st_size > 0;
}

void dbcheck_look(const char *db_path, enum sq_check_mode mode, int64_t timeout_ms,
		  struct dbcheck *out)
{
	bool recoverable = leftovers(db_path);
	struct sq_check_result r;
	uint8_t first[DBHDR_SIZE];
	ssize_t n;

	if (!look_at_name(db_path, out) || (n = read_header(db_path, first, out)) < 0)
		return;
	if (!dbhdr_magic(first, (size_t)n) && recoverable) {
		if (!ask_sqlite(db_path, SQ_CHECK_NONE, timeout_ms, &r, out))
			return;
		if (r.verdict == SQ_BUSY || r.verdict == SQ_UNUSABLE) {
			from_sqlite(&r, out);
			return;
		}
		if (!look_at_name(db_path, out) ||
		    (n = read_header(db_path, first, out)) < 0)
			return;
		if (r.verdict == SQ_CORRUPT && !dbhdr_magic(first, (size_t)n)) {
			judge_foreign(first, (size_t)n, out);
			return;
		}
	} else if (!dbhdr_magic(first, (size_t)n) || n < DBHDR_SIZE) {
		judge_foreign(first, (size_t)n, out);
		return;
	}
	if (ask_sqlite(db_path, mode, timeout_ms, &r, out))
		from_sqlite(&r, out);
}

int dbcheck_main(const char *db_path, const char *mode, const char *timeout_ms)
{
	CLEANUP(buf_free) struct buf b = BUF(ANSWER_MAX);
	struct json_out j = { .b = &b };
	struct err e = ERR_INIT;
	struct dbcheck c;
	uint64_t ms = 0;
	int m = sq_check_mode_parse(mode);

	if (m < 0 || text_u64(timeout_ms, &ms) < 0 || ms > INT64_MAX)
		return EXIT_USAGE;
	dbcheck_look(db_path, (enum sq_check_mode)m, (int64_t)ms, &c);
	json_open(&j, NULL, '{');
	json_put_str(&j, "state", names[c.state]);
	json_put_bool(&j, "leftovers", c.leftovers);
	json_put_bool(&j, "timed_out", c.timed_out);
	json_put_u64(&j, "bytes", c.bytes);
	json_put_str(&j, "message", c.message);
	json_close(&j, '}');
	buf_addf(&b, "\n");
	return file_write_full(1, b.p, b.len, "standard output", &e) < 0 ? EXIT_FAILED
									 : EXIT_OK;
}

static int parse(const struct buf *line, struct dbcheck *out, struct err *e)
{
	CLEANUP(json_freep)
	struct json *j = json_parse(line->p ? line->p : (const uint8_t *)"", line->len,
				    "answer of internal-dbcheck", e);
	const char *state = j ? json_str(j, "state") : NULL;
	const char *message = j ? json_str(j, "message") : NULL;

	*out = (struct dbcheck){ 0 };
	if (!j)
		return -1;
	for (size_t i = 0; state && i < NAMES; i++)
		if (!strcmp(state, names[i])) {
			say(out, (enum db_state)i, "%s", message ? message : "");
			out->leftovers = json_bool(j, "leftovers", false);
			out->timed_out = json_bool(j, "timed_out", false);
			return json_u64(j, "bytes", &out->bytes) < 0
				       ? err_set(e, ERR_BUG, "internal-dbcheck: no bytes")
				       : 0;
		}
	return err_set(e, ERR_BUG, "internal-dbcheck: unknown state");
}

int dbcheck_ask(const char *db_path, enum sq_check_mode mode, int64_t timeout_ms,
		struct dbcheck *out, struct err *e)
{
	AUTO_FREE char *self = proc_self();
	AUTO_FREE char *ms = mem_fmt("%" PRId64, timeout_ms);
	const char *const argv[] = { self,    "internal-dbcheck",
				     db_path, sq_check_mode_name(mode),
				     ms,      NULL };
	CLEANUP(buf_free) struct buf answer = BUF(ANSWER_MAX);
	int64_t limit = 0;
	int status = 0;

	*out = (struct dbcheck){ 0 };
	if (__builtin_add_overflow(timeout_ms, GRACE_MS, &limit))
		limit = INT64_MAX / 2;
	if (proc_run(argv, limit, &answer, &status, e) < 0) {
		if (e->code != ERR_AGAIN)
			return err_wrap(e, "check %s", db_path);
		*e = (struct err)ERR_INIT;
		say(out, DB_UNUSABLE, "the disk did not answer in time");
		return 0;
	}
	if (status > 128) {
		say(out, DB_UNUSABLE, "the check ended by signal %d", status - 128);
		return 0;
	}
	if (status)
		return err_set(e, ERR_BUG, "internal-dbcheck %s: status %d", db_path,
			       status);
	return parse(&answer, out, e);
}
