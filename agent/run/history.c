/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run/history.h"

#include "agent/exit.h"
#include "agent/replicate/lineage.h"
#include "agent/replicate/state.h"
#include "agent/store/store.h"
#include "agent/swap/swap_record.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/text.h"
#include "wal/dbhdr.h"
#include "wal/sqlite.h"
#include "wal/sqlite_check.h"

#include <fcntl.h>
#include <string.h>

#define SUM_TIMEOUT_MS 3600000 /* of a terabyte on a slow disk; the child reads one file */
#define ANSWER_MAX 2048

struct sum {
	uint32_t page_size;
	uint64_t value;
};

/* ---- the child ---- */

static void end_sq(struct sq **s)
{
	sq_close(*s);
}

static void end_file(struct sq_file **f)
{
	if (*f)
		sq_file_close(*f);
}

static int hash_pages(struct sq_file *f, struct sum *out, struct err *e)
{
	AUTO_FREE uint8_t *page = mem_alloc(out->page_size);
	uint64_t size = 0;

	if (sq_file_size(f, &size, e) < 0)
		return -1;
	for (uint64_t n = 0; n < size / out->page_size; n++) {
		uint32_t pgno = (uint32_t)(n + 1);

		if (pgno == db_lock_page(out->page_size))
			continue;
		if (sq_file_read(f, page, out->page_size, n * out->page_size, e) < 0)
			return -1;
		out->value ^= hash_page(pgno, page, out->page_size);
	}
	return 0;
}

/* A file that is not in WAL mode must not be switched to it merely to be looked at. */
static int sum_of_plain(const char *path, struct sum *out, bool *plain, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t first[DBHDR_SIZE];
	struct dbhdr h;

	if (fd < 0)
		return err_errno(e, "open %s", path);
	if (file_pread_full(fd, first, sizeof(first), 0, path, e) < 0 ||
	    dbhdr_parse(&h, first, sizeof(first), e) < 0)
		return -1;
	out->page_size = h.page_size;
	*plain = h.write_version != 2;
	return *plain ? swap_sum_of_file(path, &out->value, e) : 0;
}

static int sum_of_wal_mode(const char *path, struct sum *out, struct err *e)
{
	CLEANUP(end_sq) struct sq *s = sq_open(path, NULL, e);
	CLEANUP(end_file) struct sq_file *f = NULL;
	uint32_t log = 0;
	uint32_t done = 0;

	if (!s || sq_read_begin(s, 0, e) < 0)
		return -1;
	if (sq_checkpoint(s, &log, &done, e) < 0)
		return -1;
	if (log != done)
		return err_set(e, ERR_AGAIN, "%s: its -wal is held back by another process",
			       path);
	out->page_size = sq_page_size(s);
	f = sq_file_open(s, e);
	return f ? hash_pages(f, out, e) : -1;
}

static int sum_of(const char *path, struct sum *out, struct err *e)
{
	AUTO_FREE char *wal = mem_fmt("%s-wal", path);
	bool had_wal = file_exists(wal);
	bool plain = false;
	int rc;

	if (sum_of_plain(path, out, &plain, e) < 0)
		return -1;
	if (plain)
		return 0;
	rc = sum_of_wal_mode(path, out, e);
	if (!had_wal)
		sq_drop_empty_wal(path);
	return rc;
}

int history_sum_main(const char *db_path)
{
	CLEANUP(buf_free) struct buf b = BUF(ANSWER_MAX);
	struct json_out j = { .b = &b };
	struct err e = ERR_INIT;
	struct sum sum = { 0 };

	json_open(&j, NULL, '{');
	if (sum_of(db_path, &sum, &e) < 0) {
		json_put_str(&j, "error", e.msg);
	} else {
		json_put_u64(&j, "page_size", sum.page_size);
		json_put_hex(&j, "db_sum", sum.value, 16);
	}
	json_close(&j, '}');
	buf_addf(&b, "\n");
	return file_write_full(1, b.p, b.len, "standard output", &e) < 0 ? EXIT_FAILED
									 : EXIT_OK;
}

/* ---- the parent ---- */

static int parse(const struct buf *line, struct sum *out, struct err *e)
{
	CLEANUP(json_freep)
	struct json *j = json_parse(line->p ? line->p : (const uint8_t *)"", line->len,
				    "answer of internal-dbsum", e);
	const char *hex = j ? json_str(j, "db_sum") : NULL;
	uint64_t page_size = 0;

	if (!j)
		return -1;
	if (json_str(j, "error"))
		return err_set(e, ERR_IO, "%s", json_str(j, "error"));
	if (!hex || strlen(hex) != 16 || text_hex64(hex, 16, &out->value) < 0 ||
	    json_u64(j, "page_size", &page_size) < 0 || page_size > 65536)
		return err_set(e, ERR_BUG, "answer of internal-dbsum lacks a field");
	out->page_size = (uint32_t)page_size;
	return 0;
}

static int ask_sum(const char *path, struct sum *out, struct err *e)
{
	AUTO_FREE char *self = proc_self();
	const char *const argv[] = { self, "internal-dbsum", path, NULL };
	CLEANUP(buf_free) struct buf answer = BUF(ANSWER_MAX);
	int status = 0;

	if (proc_run(argv, SUM_TIMEOUT_MS, &answer, &status, e) < 0)
		return err_wrap(e, "hash %s", path);
	if (status)
		return err_set(e, ERR_IO, "hash %s: the child ended with status %d", path,
			       status);
	return parse(&answer, out, e);
}

/* An unreadable state is no state. */
static void load_state(const struct db_config *db, const struct replica_config *rc,
		       struct lineage_facts *f)
{
	AUTO_FREE char *dir = file_join(db->meta_path, rc->name);
	AUTO_FREE char *path = file_join(dir, "state");
	struct err ignored = ERR_INIT;
	struct state_file *s = file_exists(path) ? state_open(path, &ignored) : NULL;

	if (s)
		f->have_state = state_get(s, &f->state);
	state_close(s);
}

int history_same(const struct db_config *db, const struct replica_config *rc,
		 int64_t store_wait_ms, char why[240], struct err *e)
{
	const struct store_options o = { .timeout_ms = store_wait_ms };
	CLEANUP(store_closep) struct store *s = store_open(rc, &o, e);
	struct lineage_facts f = { .db_name = file_basename(db->path), .version = "" };
	struct sum sum = { 0 };
	bool none = false;
	int same;

	if (!s)
		return -1;
	load_state(db, rc, &f);
	same = f.have_state ? lineage_same_history(s, &f, &none, why, e) : 0;
	if (same != 0)
		return same;
	if (ask_sum(db->path, &sum, e) < 0)
		return -1;
	f.page_size = sum.page_size;
	f.db_sum = sum.value;
	return lineage_same_history(s, &f, &none, why, e);
}
