/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check's text is all that SQLite gives, so its lines are told apart by
 * their words (3.40 and later):
 *
 *   structural: everything below "*** in database NAME ***" (tree, page and
 *     freelist findings), "row N missing from index", "wrong # of entries in
 *     index", "non-unique entry in index", "rowid not at end-of-record",
 *     "row N values differ from index";
 *   the app's own rules: "NULL value in", "CHECK constraint failed in",
 *     "non-INT value in", "NUMERIC value in", and what virtual tables say
 *     about themselves (an external-content FTS table drifts in healthy apps).
 *
 * SQLITE_ERROR ("no such collation sequence", "no such module") means that
 * only the app can check this; a schema whose SQL this library cannot parse
 * comes as SQLITE_CORRUPT "malformed database schema (x) - near ...", and is
 * more likely newer SQL than damage.
 */
#include "wal/sqlite_check.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

#define CHECK_ONE_HOUR_MS 3600000
#define CHECK_BUSY_MS 5000
#define CHECK_STEPS 20000 /* virtual machine steps between two looks at the clock */

static void close_db(sqlite3 **db)
{
	sqlite3_close_v2(*db); /* statements are finalized before; nothing to report */
}

static void end_stmt(sqlite3_stmt **st)
{
	sqlite3_finalize(*st);
}

static int past_deadline(void *arg)
{
	return clock_mono_ms() >= *(const int64_t *)arg;
}

static bool has(const char *line, const char *word)
{
	return strstr(line, word) != NULL;
}

bool sq_check_line_is_structural(const char *line)
{
	static const char *const begins[] = {
		"*** in database",
		"Tree ",
		"On tree page",
		"On page ",
		"Page ",
		"Freelist",
		"Main freelist",
		"Pointer map",
		"List of tree",
		"btreeInitPage",
		"Rowid ",
		"Outstanding page",
		/* The check itself gave up at a page that it could not read. */
		"database disk image is malformed",
	};
	static const char *const contains[] = { " missing from index ",
						"wrong # of entries in index ",
						"non-unique entry in index ",
						"rowid not at end-of-record",
						" values differ from index " };

	for (size_t i = 0; i < sizeof(begins) / sizeof(*begins); i++)
		if (text_starts(line, begins[i]))
			return true;
	for (size_t i = 0; i < sizeof(contains) / sizeof(*contains); i++)
		if (has(line, contains[i]))
			return true;
	return false;
}

/* One line, no control characters: it came from the file. */
static void set_message(struct sq_check_result *out, const char *text)
{
	size_t n = 0;

	for (; text && *text && n < sizeof(out->message) - 1; text++)
		out->message[n++] = text_is_control(*text) ? ' ' : *text;
	out->message[n] = 0;
}

static enum sq_verdict verdict_of(int code, const char *text)
{
	switch (code & 0xff) {
	case SQLITE_CORRUPT:
		if (text && text_starts(text, "malformed database schema") &&
		    has(text, " - near "))
			return SQ_WARN;
		return SQ_CORRUPT;
	case SQLITE_NOTADB:
		return SQ_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return SQ_BUSY;
	case SQLITE_ERROR:
	case SQLITE_INTERRUPT:
		return SQ_WARN;
	default:
		return SQ_UNUSABLE;
	}
}

static void from_code(sqlite3 *db, int code, struct sq_check_result *out)
{
	const char *text = db ? sqlite3_errmsg(db) : sqlite3_errstr(code);

	out->code = code;
	out->sys = db ? sqlite3_system_errno(db) : 0;
	out->verdict = verdict_of(code, text);
	set_message(out, text);
	if ((code & 0xff) == SQLITE_INTERRUPT) {
		out->timed_out = true;
		set_message(out, "the check was not finished in time");
	}
}

/* A row of the check may hold many lines.  What was found says more than the heading above it. */
static void judge_row(const char *row, struct sq_check_result *out)
{
	while (*row) {
		const char *end = strchrnul(row, '\n');
		char line[sizeof(out->message)] = "";
		size_t n = (size_t)(end - row);

		memcpy(line, row, n < sizeof(line) ? n : sizeof(line) - 1);
		row = *end ? end + 1 : end;
		if (sq_check_line_is_structural(line)) {
			set_message(out, line);
			out->verdict = SQ_CORRUPT;
			if (!text_starts(line, "*** in database"))
				return;
		} else if (out->verdict == SQ_OK) {
			set_message(out, line);
			out->verdict = SQ_WARN;
		}
	}
}

/* Structural findings end the check at once; others are passed over to look for one. */
static void run_check(sqlite3 *db, const char *sql, struct sq_check_result *out)
{
	CLEANUP(end_stmt) sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(st);
		if (rc != SQLITE_ROW)
			break;
		const char *text = (const char *)sqlite3_column_text(st, 0);

		if (text && strcmp(text, "ok") != 0)
			judge_row(text, out);
		if (out->verdict == SQ_CORRUPT)
			return;
	}
	if (rc != SQLITE_DONE)
		from_code(db, sqlite3_extended_errcode(db), out);
}

static int exec(sqlite3 *db, const char *sql)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? rc : sqlite3_extended_errcode(db);
}

/* Persistent WAL, nothing checkpointed, no memory map: the file stays as it is. */
static int set_up(sqlite3 *db)
{
	int on = 1;
	int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);

	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(db, CHECK_BUSY_MS);
	if (rc == SQLITE_OK)
		rc = exec(db, "PRAGMA mmap_size=0");
	return rc;
}

static void check_open(sqlite3 *db, enum sq_check_mode mode, int64_t timeout_ms,
		       struct sq_check_result *out)
{
	static const char *const sql[] = {
		[SQ_CHECK_NONE] =
			"SELECT CASE WHEN count(*) >= 0 THEN 'ok' END FROM sqlite_master",
		[SQ_CHECK_QUICK] = "PRAGMA main.quick_check(10000)",
		[SQ_CHECK_FULL] = "PRAGMA main.integrity_check(10000)",
	};
	int64_t deadline =
		clock_mono_ms() + (timeout_ms > 0 ? timeout_ms : CHECK_ONE_HOUR_MS);

	sqlite3_progress_handler(db, CHECK_STEPS, past_deadline, &deadline);
	run_check(db, sql[SQ_CHECK_NONE], out);
	if (out->verdict == SQ_OK && mode != SQ_CHECK_NONE)
		run_check(db, sql[mode], out);
	sqlite3_progress_handler(db, 0, NULL, NULL);
}

static int must_exist(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_errno(e, "%s", path);
	return 0;
}

/* Ours, which made the -wal.  Is it still empty?  Then this connection closes as any other: if it is the last (SQLite asks
 * with the exclusive lock), the side files go; if another has come, they are that one's and stay. */
static void leave_nothing(sqlite3 *db, const char *wal)
{
	int off = 0;

	if (file_size(wal) != 0)
		return;
	sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &off);
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
}

int sq_check(const char *path, enum sq_check_mode mode, int64_t timeout_ms,
	     struct sq_check_result *out, struct err *e)
{
	CLEANUP(close_db) sqlite3 *db = NULL;
	int rc;

	*out = (struct sq_check_result){ .verdict = SQ_OK };
	if (must_exist(path, e) < 0 && e->code == ERR_NOT_FOUND)
		return -1;
	rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE,
			     NULL);
	if (!db)
		return err_set(e, ERR_BUG, "SQLite does not start: %s", sqlite3_errstr(rc));
	if (rc == SQLITE_OK)
		rc = set_up(db);
	if (rc != SQLITE_OK) {
		from_code(db, rc, out);
		return 0;
	}
	if (sqlite3_db_readonly(db, "main") == 1) {
		out->verdict = SQ_UNUSABLE;
		out->code = SQLITE_READONLY;
		set_message(out, "it cannot be written: permissions or a read-only volume");
		return 0;
	}
	const char *wal = sqlite3_filename_wal(sqlite3_db_filename(db, "main"));
	bool had_wal = file_exists(wal);

	check_open(db, mode, timeout_ms, out);
	if (!had_wal)
		leave_nothing(db, wal);
	return 0;
}

void sq_drop_empty_wal(const char *path)
{
	CLEANUP(close_db) sqlite3 *db = NULL;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
	    set_up(db) != SQLITE_OK)
		return;
	exec(db, "SELECT 1 FROM sqlite_master LIMIT 1"); /* opens the -wal */
	leave_nothing(db, sqlite3_filename_wal(sqlite3_db_filename(db, "main")));
}

/* The unix VFS resolves symlinks, which has no answer for /proc/self/fd/N of an unlinked file. */
static int keep_name(sqlite3_vfs *vfs, const char *name, int room, char *out)
{
	size_t n = strlen(name);

	(void)vfs;
	if (room <= 0 || n >= (size_t)room)
		return SQLITE_CANTOPEN;
	memcpy(out, name, n + 1);
	return SQLITE_OK;
}

/* SQLite opens with O_NOFOLLOW, having resolved the links; this one is meant to be followed. */
static int open_sealed(const char *path, int flags, int mode)
{
	if (text_starts(path, "/proc/self/fd/"))
		flags &= ~O_NOFOLLOW;
	return open(path, flags, mode);
}

static const char *sealed_name; /* set once */

static void register_sealed(void)
{
	static sqlite3_vfs vfs;
	const sqlite3_vfs *base = sqlite3_vfs_find("unix-none");

	if (!base)
		return;
	vfs = *base;
	vfs.zName = "walback-sealed";
	vfs.pNext = NULL;
	vfs.xFullPathname = keep_name;
	if (vfs.xSetSystemCall(&vfs, "open", (sqlite3_syscall_ptr)open_sealed) ==
		    SQLITE_OK &&
	    sqlite3_vfs_register(&vfs, 0) == SQLITE_OK)
		sealed_name = vfs.zName;
}

static const char *sealed_vfs(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, register_sealed);
	return sealed_name;
}

int sq_check_sealed(const char *path, enum sq_check_mode mode, int64_t timeout_ms,
		    struct sq_check_result *out, struct err *e)
{
	CLEANUP(close_db) sqlite3 *db = NULL;
	CLEANUP(buf_free) struct buf uri = BUF(16384);
	const char *vfs = sealed_vfs();
	int rc;

	*out = (struct sq_check_result){ .verdict = SQ_OK };
	if (!vfs)
		return err_set(e, ERR_BUG, "SQLite has no unix-none file system");
	if (must_exist(path, e) < 0 && e->code == ERR_NOT_FOUND)
		return -1;
	buf_addf(&uri, "file:");
	text_uri_encode(&uri, path, strlen(path), true);
	buf_addf(&uri, "?immutable=1");
	if (!buf_ok(&uri))
		return err_set(e, ERR_USAGE, "path too long: %.200s...", path);
	rc = sqlite3_open_v2((const char *)uri.p, &db,
			     SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE,
			     vfs);
	if (!db)
		return err_set(e, ERR_BUG, "SQLite does not start: %s", sqlite3_errstr(rc));
	if (rc == SQLITE_OK)
		rc = exec(db, "PRAGMA mmap_size=0");
	if (rc != SQLITE_OK)
		from_code(db, rc, out);
	else
		check_open(db, mode, timeout_ms, out);
	return 0;
}

static int leave_failed(const char *path, sqlite3 *db, int rc, struct err *e)
{
	switch (verdict_of(rc, sqlite3_errmsg(db))) {
	case SQ_BUSY:
		err_set(e, ERR_EXISTS, "%s is in use: %s", path, sqlite3_errmsg(db));
		err_slug(e, "database_in_use");
		err_hint(e, "stop the processes that have it open");
		return err_exit(e, 15);
	case SQ_CORRUPT:
		return err_set(e, ERR_CORRUPT, "%s: %s", path, sqlite3_errmsg(db));
	case SQ_OK:
	case SQ_WARN:
	case SQ_UNUSABLE:
		break;
	}
	return err_set(e, ERR_IO, "%s: %s", path, sqlite3_errmsg(db));
}

int sq_leave_wal(const char *path, struct err *e)
{
	CLEANUP(close_db) sqlite3 *db = NULL;
	CLEANUP(end_stmt) sqlite3_stmt *st = NULL;
	int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE,
				 NULL);

	if (!db)
		return err_set(e, ERR_BUG, "SQLite does not start: %s", sqlite3_errstr(rc));
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(db, CHECK_BUSY_MS);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, "PRAGMA main.journal_mode=DELETE", -1, &st,
					NULL);
	if (rc != SQLITE_OK || (rc = sqlite3_step(st)) != SQLITE_ROW)
		return leave_failed(path, db, rc, e);
	const char *now = (const char *)sqlite3_column_text(st, 0);

	if (!now || strcmp(now, "delete") != 0)
		return err_set(e, ERR_IO, "%s stays in journal mode %s", path,
			       now ? now : "unknown");
	return 0;
}

static const char *const verdicts[] = { "ok", "warn", "corrupt", "busy", "unusable" };
static const char *const modes[] = { "none", "quick", "full" };

const char *sq_verdict_name(enum sq_verdict v)
{
	return verdicts[v];
}

int sq_verdict_parse(const char *name)
{
	for (int i = 0; i < (int)(sizeof(verdicts) / sizeof(*verdicts)); i++)
		if (!strcmp(name, verdicts[i]))
			return i;
	return -1;
}

const char *sq_check_mode_name(enum sq_check_mode m)
{
	return modes[m];
}

int sq_check_mode_parse(const char *name)
{
	for (int i = 0; i < (int)(sizeof(modes) / sizeof(*modes)); i++)
		if (!strcmp(name, modes[i]))
			return i;
	return -1;
}
