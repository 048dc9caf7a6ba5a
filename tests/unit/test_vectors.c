/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every restore point of the replicas in tests/data/walback, which another
 * program made: chain of objects, frames, pages, sums, and the SHA-256 that
 * SQLite's own checkpoint gave.
 */
#include "base/cleanup.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"
#include "wal/apply.h"
#include "wal/segment.h"
#include "wal/snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA "tests/data/walback"

struct object {
	char path[300];
	enum codec codec;
	struct wal_pos pos;
};

struct generation {
	char id[17];
	struct object snapshots[20], segments[60];
	int nsnapshots, nsegments;
};

static int by_pos(const void *a, const void *b)
{
	const struct object *x = a, *y = b;

	return wal_pos_cmp(x->pos, y->pos);
}

static int list(const char *dir, struct object *out, int max)
{
	DIR *d = opendir(dir);
	int n = 0;

	assert_non_null(d);
	for (struct dirent *f; (f = readdir(d));) { /* NOLINT(concurrency-mt-unsafe) */
		uint64_t v;

		if (f->d_name[0] == '.')
			continue;
		assert_true(n < max);
		struct object *o = &out[n++];

		snprintf(o->path, sizeof o->path, "%s/%s", dir, f->d_name);
		o->codec = text_ends(f->d_name, ".lz4") ? CODEC_LZ4 : CODEC_ZST;
		assert_int_equal(text_hex64(f->d_name, 8, &v), 0);
		o->pos.index = (uint32_t)v;
		o->pos.offset = 0;
		if (f->d_name[8] == '_') {
			assert_int_equal(text_hex64(f->d_name + 9, 8, &v), 0);
			o->pos.offset = v;
		}
	}
	closedir(d);
	qsort(out, (size_t)n, sizeof *out, by_pos);
	return n;
}

static void load(struct generation *g, const char *fixture, const char *id)
{
	char dir[200];

	snprintf(g->id, sizeof g->id, "%s", id);
	snprintf(dir, sizeof dir, DATA "/%s/replica/generations/%s/snapshots", fixture, id);
	g->nsnapshots = list(dir, g->snapshots, 20);
	snprintf(dir, sizeof dir, DATA "/%s/replica/generations/%s/wal", fixture, id);
	g->nsegments = list(dir, g->segments, 60);
}

struct restore {
	int fd;
	struct apply *a;
	struct pagesum *sums;
	struct wal_chain chain;
	struct wal_pos valid;  /* of the snapshot */
	uint64_t snapshot_sum; /* there */
	uint64_t sum;	       /* as the trailers say */
	bool sum_known;
	int64_t time_ms;
};

static int to_image(void *arg, const uint8_t *p, size_t n, struct err *e)
{
	return apply_image(arg, p, n, e);
}

static int to_apply(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
		    struct err *e)
{
	return apply_frame(arg, pgno, commit, page, false, e);
}

static void read_all(const struct object *o, struct buf *b)
{
	struct err e = ERR_INIT;

	if (file_read(o->path, b, &e))
		fail_msg("%s", e.msg);
}

static void read_snapshot(struct restore *r, const struct generation *g,
			  const struct object *o, size_t step, struct trailer *t)
{
	struct buf b = BUF(1 << 22);
	struct err e = ERR_INIT;
	bool has = false;

	read_all(o, &b);
	struct snapshot_reader *sr =
		snapshot_reader_new(o->codec, b.len, false, to_image, r->a);

	for (size_t i = 0; i < b.len; i += step)
		if (snapshot_reader_push(sr, b.p + i, b.len - i < step ? b.len - i : step,
					 &e))
			fail_msg("%s: %s", o->path, e.msg);
	if (snapshot_reader_finish(sr, t, &has, &e) || apply_image_end(r->a, &e))
		fail_msg("%s: %s", o->path, e.msg);
	assert_true(has);
	assert_string_equal(t->generation, g->id);
	assert_int_equal(t->pos.index, o->pos.index);
	snapshot_reader_destroy(sr);
	buf_free(&b);
}

static void check_sums(struct restore *r, const struct object *o, const struct trailer *t)
{
	if (t->flags & TRAILER_NO_SUMS)
		return;
	if (!wal_pos_cmp(t->pos, r->valid))
		assert_int_equal(t->db_sum_before, r->snapshot_sum);
	if (r->sum_known && t->db_sum_before != r->sum)
		fail_msg("%s: the chain of sums is broken", o->path);
	r->sum = t->db_sum_after;
	r->sum_known = true;
}

/* Through the object; stops delivering at stop. */
static void read_segment(struct restore *r, const struct generation *g,
			 const struct object *o, struct wal_pos stop, size_t step)
{
	struct buf b = BUF(1 << 22);
	struct err e = ERR_INIT;
	struct trailer t;
	struct segment_sink sink = { r->a, to_apply };
	bool has = false;

	read_all(o, &b);
	struct segment_source src = {
		.codec = o->codec, .pos = o->pos, .size = b.len, .stop_after = stop
	};

	if (o->pos.index != r->chain.pos.index)
		apply_drop_open(r->a);
	struct segment_reader *sr = segment_reader_new(&r->chain, &src, &sink);

	for (size_t i = 0; i < b.len; i += step)
		if (segment_reader_push(sr, b.p + i, b.len - i < step ? b.len - i : step,
					&e))
			fail_msg("%s: %s", o->path, e.msg);
	if (segment_reader_finish(sr, &t, &has, &e))
		fail_msg("%s: %s", o->path, e.msg);
	assert_true(has);
	assert_string_equal(t.generation, g->id);
	check_sums(r, o, &t);
	if (wal_pos_cmp(trailer_end(&t), stop) <= 0) {
		assert_int_equal(t.db_pages_after, apply_pages(r->a));
		if (!(t.flags & TRAILER_NO_SUMS) &&
		    wal_pos_cmp(trailer_end(&t), r->valid) >= 0)
			assert_int_equal(pagesum_value(r->sums), t.db_sum_after);
		if (t.ncommits)
			r->time_ms = t.time_ms;
	} else {
		for (uint32_t i = 1; i <= t.ncommits; i++)
			if (wal_pos_cmp(trailer_commit_end(&t, i), stop) <= 0)
				r->time_ms = t.commits[i - 1].time_ms;
	}
	trailer_free(&t);
	segment_reader_destroy(sr);
	buf_free(&b);
}

static void begin(struct restore *r, uint32_t page_size, const char *path)
{
	struct err e = ERR_INIT;

	*r = (struct restore){ .fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600) };
	assert_true(r->fd >= 0);
	r->sums = pagesum_new(page_size, NULL, &e);
	assert_non_null(r->sums);
	r->a = apply_new(r->fd, path, page_size, r->sums);
}

static void end(struct restore *r)
{
	apply_destroy(r->a);
	pagesum_destroy(r->sums);
	close(r->fd);
}

static const struct json *first_of(const struct json *expect, const char *id, int *n)
{
	const struct json *first = NULL;

	*n = 0;
	for (size_t i = 0; i < json_array_len(expect, "transactions"); i++) {
		const struct json *t = json_array_obj(expect, "transactions", i);

		if (!strcmp(json_str(t, "generation"), id)) {
			first = first ? first : t;
			++*n;
		}
	}
	return first;
}

static void check_result(struct restore *r, const struct json *want, const char *path)
{
	struct buf b = BUF(1 << 24);
	struct err e = ERR_INIT;
	char hex[65], time[25];
	uint64_t bytes, pages;

	assert_int_equal(file_read(path, &b, &e), 0);
	assert_int_equal(json_u64(want, "bytes", &bytes), 0);
	assert_int_equal(json_u64(want, "pages", &pages), 0);
	assert_int_equal(b.len, bytes);
	assert_int_equal(apply_pages(r->a), pages);
	hash_sha256_hex(b.p, b.len, hex);
	assert_string_equal(hex, json_str(want, "sha256"));
	text_format_time_ms(r->time_ms, time);
	assert_string_equal(time, json_str(want, "time"));
	buf_free(&b);
}

static struct wal_pos want_pos(const struct json *want)
{
	uint64_t index, offset;

	assert_int_equal(json_u64(want, "index", &index), 0);
	assert_int_equal(json_u64(want, "offset", &offset), 0);
	return (struct wal_pos){ (uint32_t)index, offset };
}

/* One restore point from one snapshot; false if the snapshot cannot serve it. */
static bool restore_point(const struct generation *g, const struct object *snapshot,
			  const struct json *want, const char *path, size_t step)
{
	struct wal_pos stop = want_pos(want);
	struct restore r;
	struct trailer t;
	uint32_t page_size = strstr(snapshot->path, "512") ? 512 : 4096;

	begin(&r, page_size, path);
	read_snapshot(&r, g, snapshot, step, &t);
	bool serves = wal_pos_cmp(t.valid, stop) <= 0;

	r.time_ms = t.time_ms;
	r.valid = t.valid;
	r.snapshot_sum = r.sum = t.db_sum_after;
	r.sum_known = !wal_pos_cmp(t.replay, t.valid);
	wal_chain_init(&r.chain, t.replay, t.page_size);
	for (int i = 0; i < g->nsegments && serves; i++)
		if (wal_pos_cmp(g->segments[i].pos, t.replay) >= 0 &&
		    wal_pos_cmp(g->segments[i].pos, stop) < 0)
			read_segment(&r, g, &g->segments[i], stop, step);
	trailer_free(&t);
	if (serves)
		check_result(&r, want, path);
	end(&r);
	return serves;
}

static void check_generation(const char *fixture, const struct json *expect, const char *id,
			     const char *path)
{
	struct generation g = { 0 };
	int n, served = 0, by_snapshot[20] = { 0 };

	load(&g, fixture, id);
	first_of(expect, id, &n);
	for (size_t i = 0; i < json_array_len(expect, "transactions"); i++) {
		const struct json *t = json_array_obj(expect, "transactions", i);
		bool any = false;

		if (strcmp(json_str(t, "generation"), id) != 0)
			continue;
		for (int k = 0; k < g.nsnapshots; k++)
			if (restore_point(&g, &g.snapshots[k], t, path,
					  i % 3 == 0   ? 1
					  : i % 3 == 1 ? 777
						       : 1 << 20)) {
				any = true;
				by_snapshot[k]++;
			}
		served += any;
	}
	assert_int_equal(served, n);
	assert_true(n > 3);
	for (int k = 0; k < g.nsnapshots; k++)
		assert_true(by_snapshot[k] > 0);
}

static void check_fixture(const char *fixture)
{
	AUTO_FREE char *path = NULL;
	char *tmp = tmpdir_new();
	char name[200], dir[200];
	struct buf b = BUF(1 << 20);
	struct err e = ERR_INIT;
	int generations = 0;

	path = file_join(tmp, "out.db");
	snprintf(name, sizeof name, DATA "/%s/expect.json", fixture);
	if (file_read(name, &b, &e))
		fail_msg("%s (run from the top folder)", e.msg);
	struct json *expect = json_parse(b.p, b.len, name, &e);

	assert_non_null(expect);
	snprintf(dir, sizeof dir, DATA "/%s/replica/generations", fixture);
	DIR *d = opendir(dir);

	assert_non_null(d);
	for (struct dirent *f; (f = readdir(d));) /* NOLINT(concurrency-mt-unsafe) */
		if (f->d_name[0] != '.') {
			check_generation(fixture, expect, f->d_name, path);
			generations++;
		}
	closedir(d);
	assert_int_equal(generations, 2);
	json_free(expect);
	buf_free(&b);
	tmpdir_remove(tmp);
}

static void every_restore_point_of_zst_4096_has_its_hash(void **state)
{
	(void)state;
	check_fixture("zst-4096");
}

static void every_restore_point_of_zst_512_has_its_hash(void **state)
{
	(void)state;
	check_fixture("zst-512");
}

static void every_restore_point_of_lz4_4096_has_its_hash(void **state)
{
	(void)state;
	check_fixture("lz4-4096");
}

static void chunks_of_a_snapshot_decode_by_themselves(void **state)
{
	struct generation g = { 0 };
	struct buf b = BUF(1 << 22);
	struct err e = ERR_INIT;
	struct trailer t;
	struct snapshot_range range[8];
	uint64_t distance, raw = 0;

	(void)state;
	load(&g, "zst-4096", "59b54de49c0d7aa9");
	read_all(&g.snapshots[0], &b);
	assert_true(trailer_find(b.p, b.len, &distance));
	assert_int_equal(trailer_parse(&t, b.p + b.len - distance, distance, &e), 0);
	assert_int_equal(t.nchunks, 2);
	assert_int_equal(snapshot_ranges(&t, b.len, distance, range, &e), 0);
	uint8_t *out = malloc(t.raw_len);

	assert_non_null(out);
	for (uint32_t i = t.nchunks; i-- > 0;) {
		assert_int_equal(range[i].raw_offset, (uint64_t)i << 20);
		if (snapshot_chunk_decode(&t, i, b.p + range[i].offset,
					  range[i].compressed_len,
					  out + range[i].raw_offset, &e))
			fail_msg("%s", e.msg);
		raw += range[i].raw_len;
	}
	assert_int_equal(raw, t.raw_len);
	assert_int_equal(hash_xxh3(out, t.raw_len), t.raw_xxh3);
	assert_int_equal(snapshot_ranges(&t, b.len + 1, distance, range, &e), -1);
	assert_int_equal(
		snapshot_chunk_decode(&t, 0, b.p, range[0].compressed_len - 1, out, &e),
		-1);
	assert_string_equal(e.slug ? e.slug : "", "");
	t.chunks[0].xxh3 ^= 1;
	assert_int_equal(
		snapshot_chunk_decode(&t, 0, b.p, range[0].compressed_len, out, &e), -1);
	assert_string_equal(e.msg, "chunk 0: wrong hash");
	b.p[20] ^= 0xff;
	assert_int_equal(
		snapshot_chunk_decode(&t, 0, b.p, range[0].compressed_len, out, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	free(out);
	trailer_free(&t);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_restore_point_of_zst_4096_has_its_hash),
		cmocka_unit_test(every_restore_point_of_zst_512_has_its_hash),
		cmocka_unit_test(every_restore_point_of_lz4_4096_has_its_hash),
		cmocka_unit_test(chunks_of_a_snapshot_decode_by_themselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
