/* SPDX-License-Identifier: Apache-2.0 */
/* The tail of a -wal: what SQLite writes, in both byte orders, and what does not continue. */
#include "base/cleanup.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"
#include "wal/follow.h"
#include "wal/sqlite.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *dir;

static int enter(void **state)
{
	(void)state;
	dir = tmpdir_new();
	return 0;
}

static int leave(void **state)
{
	(void)state;
	tmpdir_remove(dir);
	return 0;
}

static void slurp(const char *path, struct buf *b)
{
	struct err e = ERR_INIT;

	if (file_read(path, b, &e) < 0)
		fail_msg("%s", e.msg);
}

static void spill(const char *path, const void *p, size_t n)
{
	struct err e = ERR_INIT;

	if (file_write_atomic(path, p, n, 0600, false, &e) < 0)
		fail_msg("%s", e.msg);
}

/* ---- SQLite as the oracle ---- */

struct image {
	uint8_t *p;
	uint32_t page_size, pages;
	unsigned commits;
};

static int on_page(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
		   struct err *e)
{
	struct image *m = arg;

	(void)e;
	if (pgno > m->pages) {
		m->p = mem_grow(m->p, pgno, m->page_size);
		memset(m->p + (size_t)m->pages * m->page_size, 0,
		       (size_t)(pgno - m->pages) * m->page_size);
		m->pages = pgno;
	}
	memcpy(m->p + (size_t)(pgno - 1) * m->page_size, page, m->page_size);
	if (commit) {
		m->pages = commit;
		m->commits++;
	}
	return 0;
}

static void sql(sqlite3 *db, const char *text)
{
	char *msg = NULL;

	if (sqlite3_exec(db, text, NULL, NULL, &msg) != SQLITE_OK)
		fail_msg("%s: %s", text, msg);
}

/* The same WAL with checksums over words of the other order, as a machine of that order writes it. */
static void turn_around(struct buf *wal)
{
	struct wal_header h;
	struct err e = ERR_INIT;

	assert_int_equal(wal_header_parse(&h, wal->p, WAL_HEADER_SIZE, &e), 0);
	h.big_endian = !h.big_endian;
	wal_header_format(wal->p, &h);
	struct wal_sum sum = h.sum;
	size_t frame = WAL_FRAME_HEADER_SIZE + (size_t)h.page_size;

	for (size_t at = WAL_HEADER_SIZE; at + frame <= wal->len; at += frame) {
		struct wal_frame f;

		wal_frame_parse(&f, wal->p + at);
		wal_frame_format(wal->p + at, &h, &sum, f.pgno, f.commit,
				 wal->p + at + WAL_FRAME_HEADER_SIZE);
	}
}

/* A database at `to` with some commits in its -wal, in this machine's or the other byte order. */
static void make(const char *to, uint32_t page_size, bool turned)
{
	AUTO_FREE char *from = mem_fmt("%s-from", to), *from_wal = mem_fmt("%s-wal", from);
	AUTO_FREE char *to_wal = mem_fmt("%s-wal", to);
	AUTO_FREE char *text = mem_fmt("PRAGMA page_size=%u; PRAGMA journal_mode=wal;"
				       "PRAGMA wal_autocheckpoint=0",
				       page_size);
	struct buf image = BUF(1 << 24), wal = BUF(1 << 24);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(from, &db), SQLITE_OK);
	sql(db, text);
	sql(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)");
	sql(db, "INSERT INTO t(x) VALUES(randomblob(5000)),(randomblob(100))");
	slurp(from, &image);
	slurp(from_wal, &wal);
	sqlite3_close(db);
	if (turned)
		turn_around(&wal);
	spill(to, image.p, image.len);
	spill(to_wal, wal.p, wal.len);
	buf_free(&image);
	buf_free(&wal);
}

static void check_followed(uint32_t page_size, bool turned)
{
	AUTO_FREE char *path = mem_fmt("%s/%u-%d.db", dir, page_size, turned);
	struct image m = { .page_size = page_size };
	struct buf image = BUF(1 << 24);
	struct err e = ERR_INIT;
	struct wal_index ix;
	sqlite3 *app;

	make(path, page_size, turned);
	assert_int_equal(sqlite3_open(path, &app), SQLITE_OK);
	/* SQLite takes the order it finds, also for what it appends. */
	sql(app, "PRAGMA wal_autocheckpoint=0; INSERT INTO t(x) VALUES(randomblob(9000))");
	struct sq *s = sq_open(path, NULL, &e);

	if (!s)
		fail_msg("%s", e.msg);
	assert_int_equal(sq_read_begin(s, 0, &e), 0);
	struct follow *f = follow_new(sq_wal_path(s), page_size);

	for (unsigned commits = 3; commits < 6; commits++) {
		const volatile void *map = sq_index(s, &e);

		assert_non_null(map);
		assert_true(wal_index_read(map, &ix));
		assert_int_equal(ix.page_size, page_size);
		assert_int_equal(ix.big_endian,
				 turned != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__));
		assert_true(follow_behind(f, &ix));
		if (follow_read(f, &ix, true, on_page, &m, &e) < 0)
			fail_msg("%u %d: %s", page_size, turned, e.msg);
		assert_false(follow_behind(f, &ix));
		assert_int_equal(follow_frames(f), ix.mx_frame);
		assert_int_equal(m.commits, commits);
		assert_int_equal(m.pages, ix.pages);
		sql(app, commits % 2 ? "UPDATE t SET x=randomblob(300) WHERE id=1"
				     : "DELETE FROM t WHERE id=2");
	}
	assert_true(wal_index_read(sq_index(s, &e), &ix));
	assert_int_equal(follow_read(f, &ix, false, on_page, &m, &e), 0);
	follow_destroy(f);
	sq_close(s);
	sql(app, "PRAGMA wal_checkpoint(TRUNCATE)");
	slurp(path, &image);
	assert_int_equal(image.len, (size_t)m.pages * page_size);
	assert_memory_equal(image.p, m.p, image.len);
	sqlite3_close(app);
	buf_free(&image);
	free(m.p);
}

static void every_page_size_and_both_byte_orders_are_followed(void **state)
{
	(void)state;
	for (uint32_t size = 512; size <= 65536; size *= 2)
		for (int turned = 0; turned < 2; turned++)
			check_followed(size, turned);
}

/* ---- what does not continue ---- */

#define PS 512

/* Three frames: a commit of two, a commit of one. */
static void three_frames(struct wal_header *h, struct wal_sum after[4], struct buf *wal)
{
	static const struct {
		uint32_t pgno, commit;
	} frames[] = { { 1, 0 }, { 2, 2 }, { 2, 2 } };
	uint8_t head[WAL_HEADER_SIZE], fh[WAL_FRAME_HEADER_SIZE], page[PS];

	*h = (struct wal_header){ .page_size = PS, .salt = { 7, 8 } };
	wal_header_format(head, h);
	buf_add(wal, head, sizeof(head));
	after[0] = h->sum;
	for (unsigned i = 0; i < 3; i++) {
		memset(page, 'a' + (int)i, sizeof(page));
		after[i + 1] = after[i];
		wal_frame_format(fh, h, &after[i + 1], frames[i].pgno, frames[i].commit,
				 page);
		buf_add(wal, fh, sizeof(fh));
		buf_add(wal, page, sizeof(page));
	}
}

static int ignore(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
		  struct err *e)
{
	(void)pgno;
	(void)page;
	(void)e;
	*(unsigned *)arg += commit != 0;
	return 0;
}

struct broken {
	const char *why;
	uint32_t first; /* the wal-index at the first read; 0: there is none */
	uint32_t then;	/* and at the second */
	void (*tamper)(struct wal_index *ix, const char *path);
	bool may_reset;
	unsigned commits; /* delivered all the same */
};

static void other_page_size(struct wal_index *ix, const char *path)
{
	(void)path;
	ix->page_size = 1024;
}

static void other_salt(struct wal_index *ix, const char *path)
{
	(void)path;
	ix->salt[1]++;
}

static void other_sum(struct wal_index *ix, const char *path)
{
	(void)path;
	ix->sum.s1++;
}

static void write_at(const char *path, long at, const void *p, size_t n)
{
	FILE *f = fopen(path, "r+b");

	assert_non_null(f);
	assert_int_equal(fseek(f, at, SEEK_SET), 0);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void flip_last_page(struct wal_index *ix, const char *path)
{
	(void)ix;
	write_at(path, (long)wal_frame_offset(PS, 2) + 100, "!", 1);
}

static void clear_last_sum(struct wal_index *ix, const char *path)
{
	(void)ix;
	write_at(path, (long)wal_frame_offset(PS, 2) + 8, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
		 16);
}

/* The third frame anew, right in itself. */
static void third_frame(struct wal_index *ix, const char *path, uint32_t pgno,
			uint32_t commit)
{
	struct wal_header h = { 0 };
	struct wal_sum after[4];
	struct buf b = BUF(1 << 16);
	uint8_t fh[WAL_FRAME_HEADER_SIZE], page[PS] = { 0 };

	three_frames(&h, after, &b);
	ix->sum = after[2];
	wal_frame_format(fh, &h, &ix->sum, pgno, commit, page);
	write_at(path, (long)wal_frame_offset(PS, 2), fh, sizeof(fh));
	write_at(path, (long)wal_frame_offset(PS, 2) + (long)sizeof(fh), page,
		 sizeof(page));
	buf_free(&b);
}

static void page_zero(struct wal_index *ix, const char *path)
{
	third_frame(ix, path, 0, 2);
}

static void page_beyond_the_end(struct wal_index *ix, const char *path)
{
	third_frame(ix, path, 9, 2);
}

static void no_commit(struct wal_index *ix, const char *path)
{
	third_frame(ix, path, 2, 0);
}

/* Of a WAL of three_frames at path. */
static struct follow *follow_three(const char *path, struct wal_sum after[4])
{
	CLEANUP(buf_free) struct buf wal = BUF(1 << 16);
	struct wal_header h;

	three_frames(&h, after, &wal);
	spill(path, wal.p, wal.len);
	return follow_new(path, PS);
}

static void check_broken(const struct broken *c)
{
	AUTO_FREE char *path = file_join(dir, "x-wal");
	struct wal_sum after[4];
	struct follow *f = follow_three(path, after);
	struct err e = ERR_INIT;
	unsigned commits = 0;
	struct wal_index ix = { .page_size = PS, .pages = 2, .salt = { 7, 8 } };

	if (c->first) {
		ix.mx_frame = c->first;
		ix.sum = after[c->first];
		assert_int_equal(follow_read(f, &ix, true, ignore, &commits, &e), 0);
	}
	ix.mx_frame = c->then;
	ix.sum = after[c->then];
	if (c->tamper)
		c->tamper(&ix, path);
	assert_int_equal(follow_read(f, &ix, c->may_reset, ignore, &commits, &e), -1);
	if (!strstr(e.msg, c->why))
		fail_msg("\"%s\" does not say \"%s\"", e.msg, c->why);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_string_equal(e.slug, "wal_discontinuity");
	assert_int_equal(commits, c->commits);
	follow_destroy(f);
}

static void what_does_not_continue_is_a_discontinuity(void **state)
{
	static const struct broken cases[] = {
		{ "the page size has changed", 2, 3, other_page_size, true, 1 },
		{ "somebody else has reset it", 2, 3, other_salt, false, 1 },
		{ "its header is not the one the wal-index names", 2, 3, other_salt, true,
		  1 },
		{ "it has become shorter", 2, 1, NULL, true, 1 },
		{ "a committed frame fails its checksum", 2, 3, flip_last_page, true, 1 },
		{ "SQLite has committed a frame without its checksum", 2, 3, clear_last_sum,
		  true, 1 },
		{ "a committed frame fails its checksum", 2, 3, page_zero, true, 1 },
		{ "a commit without a page of the database", 2, 3, page_beyond_the_end,
		  true, 1 },
		{ "it does not end as the wal-index says", 2, 3, no_commit, true, 1 },
		/* Read to the end before that is found out. */
		{ "it does not end as the wal-index says", 2, 3, other_sum, true, 2 },
		{ "it does not end as the wal-index says", 0, 3, other_sum, true, 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_broken(&cases[i]);
}

static void what_lies_beyond_the_index_is_not_read(void **state)
{
	AUTO_FREE char *path = file_join(dir, "y-wal");
	struct wal_sum after[4];
	struct follow *f = follow_three(path, after);
	struct err e = ERR_INIT;
	unsigned commits = 0;

	(void)state;
	struct wal_index ix = { .page_size = PS,
				.pages = 2,
				.mx_frame = 2,
				.sum = after[2],
				.salt = { 7, 8 } };

	assert_int_equal(follow_read(f, &ix, true, ignore, &commits, &e), 0);
	assert_int_equal(follow_read(f, &ix, true, ignore, &commits, &e), 0);
	assert_int_equal(commits, 1);
	ix.mx_frame = 3;
	ix.sum = after[3];
	assert_int_equal(follow_read(f, &ix, true, ignore, &commits, &e), 0);
	assert_int_equal(commits, 2);
	assert_int_equal(follow_sync(f, &e), 0);
	follow_rest(f);
	follow_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_page_size_and_both_byte_orders_are_followed),
		cmocka_unit_test(what_does_not_continue_is_a_discontinuity),
		cmocka_unit_test(what_lies_beyond_the_index_is_not_read),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
