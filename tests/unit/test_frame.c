/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"
#include "wal/frame.h"
#include "wal/synth.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void fill(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

static void the_checksum_follows_its_definition_in_both_orders(void **state)
{
	uint8_t p[4096];

	(void)state;
	fill(p, sizeof p, 1);
	for (int big = 0; big < 2; big++)
		for (size_t n = 0; n <= sizeof p; n += n < 128 ? 8 : 1000) {
			struct wal_sum s = { 17, 0xfffffff0 };
			uint32_t s0 = s.s0, s1 = s.s1;

			for (size_t i = 0; i < n; i += 8) {
				s0 += (big ? get_be32(p + i) : get_le32(p + i)) + s1;
				s1 += (big ? get_be32(p + i + 4) : get_le32(p + i + 4)) +
				      s0;
			}
			wal_sum_add(&s, big, p, n);
			assert_int_equal(s.s0, s0);
			assert_int_equal(s.s1, s1);
		}
}

static void a_header_survives_format_and_parse(void **state)
{
	(void)state;
	for (uint32_t ps = 512; ps <= 65536; ps *= 2)
		for (int big = 0; big < 2; big++) {
			struct wal_header h = { .big_endian = big,
						.page_size = ps,
						.ckpt_seq = 9,
						.salt = { 0x12345678, 0xfedcba98 } },
					  got;
			uint8_t b[WAL_HEADER_SIZE];
			struct err e = ERR_INIT;

			wal_header_format(b, &h);
			assert_int_equal(wal_header_parse(&got, b, sizeof b, &e), 0);
			assert_int_equal(got.big_endian, h.big_endian);
			assert_int_equal(got.page_size, h.page_size);
			assert_int_equal(got.ckpt_seq, h.ckpt_seq);
			assert_memory_equal(got.salt, h.salt, sizeof h.salt);
			assert_memory_equal(&got.sum, &h.sum, sizeof h.sum);
		}
}

static void a_damaged_header_is_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		bool sum_again;
		const char *msg;
	} cases[] = {
		{ 0, 0x38, true, "not a WAL header: magic 387f0682" },
		{ 3, 0x84, true, "not a WAL header: magic 377f0684" },
		{ 7, 1, true, "WAL format version 3006977, known is 3007000" },
		{ 10, 3, true, "the WAL header's page size is 768" },
		{ 16, 99, false, "the WAL header's checksum is wrong" },
		{ 24, 99, false, "the WAL header's checksum is wrong" },
		{ 31, 99, false, "the WAL header's checksum is wrong" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct wal_header h = { .page_size = 4096 }, got;
		struct wal_sum sum = { 0, 0 };
		uint8_t b[WAL_HEADER_SIZE];
		struct err e = ERR_INIT;

		wal_header_format(b, &h);
		b[cases[i].at] = cases[i].value;
		wal_sum_add(&sum, false, b, 24);
		if (cases[i].sum_again) {
			put_be32(b + 24, sum.s0);
			put_be32(b + 28, sum.s1);
		}
		assert_int_equal(wal_header_parse(&got, b, sizeof b, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
		if (cases[i].at == 10) /* 4096 and 768 share the byte */
			assert_non_null(strstr(e.msg, "page size"));
		else
			assert_string_equal(e.msg, cases[i].msg);
	}
}

static void a_short_header_is_refused(void **state)
{
	struct wal_header got;
	uint8_t b[WAL_HEADER_SIZE] = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(wal_header_parse(&got, b, 31, &e), -1);
	assert_string_equal(e.msg, "a WAL header has 32 bytes, here are 31");
}

static void any_changed_bit_of_a_frame_is_seen(void **state)
{
	struct wal_header h = { .page_size = 512, .salt = { 1, 2 } };
	uint8_t head[WAL_HEADER_SIZE], f[WAL_FRAME_HEADER_SIZE], page[512];

	(void)state;
	fill(page, sizeof page, 3);
	wal_header_format(head, &h);
	struct wal_sum s = h.sum, after = h.sum;

	wal_frame_format(f, &h, &after, 5, 6, page);
	assert_true(wal_frame_verify(&h, &s, f, page));
	assert_memory_equal(&s, &after, sizeof s);
	assert_false(wal_frame_verify(&h, &s, f, page)); /* not after itself */
	for (size_t i = 0; i < (sizeof f + sizeof page) * 8; i++) {
		uint8_t *b = i / 8 < sizeof f ? f + i / 8 : page + i / 8 - sizeof f;

		s = h.sum;
		*b ^= (uint8_t)(1 << i % 8);
		assert_false(wal_frame_verify(&h, &s, f, page));
		assert_memory_equal(&s, &h.sum, sizeof s);
		*b ^= (uint8_t)(1 << i % 8);
	}
}

static void frames_lie_one_behind_the_other(void **state)
{
	(void)state;
	assert_int_equal(wal_frame_offset(4096, 0), 32);
	assert_int_equal(wal_frame_offset(4096, 2), 32 + 2 * 4120);
}

/* ---- SQLite as the oracle ---- */

static void run(sqlite3 *db, const char *sql)
{
	char *msg = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &msg) != SQLITE_OK)
		fail_msg("%s: %s", sql, msg);
}

static sqlite3_int64 ask(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	sqlite3_int64 v = sqlite3_column_int64(st, 0);

	sqlite3_finalize(st);
	return v;
}

static uint8_t *slurp(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	struct stat st;

	assert_non_null(f);
	assert_int_equal(fstat(fileno(f), &st), 0);
	*n = (size_t)st.st_size;
	uint8_t *p = malloc(*n + 1);

	assert_non_null(p);
	assert_int_equal(fread(p, 1, *n, f), *n);
	fclose(f);
	return p;
}

static void spill(const char *path, const uint8_t *p, size_t n)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* Frames the pages that differ between two states of a database as one commit. */
static void write_wal(const char *path, uint32_t ps, const uint8_t *before, size_t nb,
		      const uint8_t *after, size_t na)
{
	struct synth s;
	uint8_t head[WAL_HEADER_SIZE], fh[WAL_FRAME_HEADER_SIZE];
	uint32_t pages = (uint32_t)(na / ps), last = 0;
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	synth_init(&s, ps, 7);
	synth_header(&s, head);
	assert_int_equal(fwrite(head, 1, sizeof head, f), sizeof head);
	for (int pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < pages; i++) {
			size_t at = (size_t)i * ps;

			if (at + ps <= nb && !memcmp(before + at, after + at, ps))
				continue;
			if (!pass) {
				last = i;
				continue;
			}
			synth_frame(&s, i + 1, i == last ? pages : 0, after + at, fh);
			assert_int_equal(fwrite(fh, 1, sizeof fh, f), sizeof fh);
			assert_int_equal(fwrite(after + at, 1, ps, f), ps);
		}
	assert_int_equal((uint64_t)ftell(f), s.pos.offset);
	assert_int_equal(fclose(f), 0);
}

static void make_states(uint32_t ps, const char *db_path, const char *old_path)
{
	sqlite3 *db = NULL;
	char sql[200];

	unlink(db_path);
	assert_int_equal(sqlite3_open(db_path, &db), SQLITE_OK);
	snprintf(sql, sizeof sql, "pragma page_size=%u; pragma journal_mode=wal;", ps);
	run(db, sql);
	run(db, "create table t(a integer primary key, b); "
		"with recursive c(x) as (select 1 union all select x+1 from c where x<300) "
		"insert into t select x, randomblob(100) from c; "
		"pragma wal_checkpoint(truncate);");
	size_t n;
	uint8_t *p = slurp(db_path, &n);

	spill(old_path, p, n);
	free(p);
	run(db, "insert into t select a+300, randomblob(200) from t; "
		"update t set b='x' where a%3=0; delete from t where a%7=0; "
		"pragma wal_checkpoint(truncate);");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void check_by_sqlite(const char *old_path, const char *wal_path, sqlite3_int64 rows)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_open(old_path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "pragma integrity_check", -1, &st, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(st, 0), "ok");
	sqlite3_finalize(st);
	assert_int_equal(ask(db, "select count(*) from t"), rows);
	assert_int_equal(access(wal_path, F_OK), 0);
	run(db, "pragma wal_checkpoint(truncate)");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void sqlite_accepts_a_wal_that_synth_framed(void **state)
{
	char *dir = tmpdir_new();

	(void)state;
	for (uint32_t ps = 512; ps <= 65536; ps *= 2) {
		char now[300], old[300], wal[300];
		size_t na, nb, nc;

		snprintf(now, sizeof now, "%s/now.db", dir);
		snprintf(old, sizeof old, "%s/old.db", dir);
		snprintf(wal, sizeof wal, "%s/old.db-wal", dir);
		make_states(ps, now, old);
		uint8_t *after = slurp(now, &na), *before = slurp(old, &nb);

		write_wal(wal, ps, before, nb, after, na);
		check_by_sqlite(old, wal, 515);
		uint8_t *result = slurp(old, &nc);

		assert_int_equal(nc, na);
		assert_memory_equal(result, after, na);
		free(result);
		free(after);
		free(before);
	}
	tmpdir_remove(dir);
}

static void each_index_has_its_number_and_fresh_salts(void **state)
{
	struct synth s;
	uint8_t head[WAL_HEADER_SIZE];
	struct wal_header a, b;
	struct err e = ERR_INIT;

	(void)state;
	synth_init(&s, 1024, 41);
	synth_header(&s, head);
	assert_int_equal(wal_header_parse(&a, head, sizeof head, &e), 0);
	synth_next_index(&s);
	assert_int_equal(s.pos.index, 42);
	assert_int_equal(s.pos.offset, 0);
	synth_header(&s, head);
	assert_int_equal(wal_header_parse(&b, head, sizeof head, &e), 0);
	assert_int_equal(a.ckpt_seq, 41);
	assert_int_equal(b.ckpt_seq, 42);
	assert_int_equal(b.page_size, 1024);
	assert_false(b.big_endian);
	assert_true(a.salt[0] != b.salt[0] || a.salt[1] != b.salt[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_checksum_follows_its_definition_in_both_orders),
		cmocka_unit_test(a_header_survives_format_and_parse),
		cmocka_unit_test(a_damaged_header_is_refused),
		cmocka_unit_test(a_short_header_is_refused),
		cmocka_unit_test(any_changed_bit_of_a_frame_is_seen),
		cmocka_unit_test(frames_lie_one_behind_the_other),
		cmocka_unit_test(sqlite_accepts_a_wal_that_synth_framed),
		cmocka_unit_test(each_index_has_its_number_and_fresh_salts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
