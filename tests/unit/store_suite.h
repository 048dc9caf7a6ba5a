/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every store must do, as cmocka tests over `struct store *`: run on a
 * temporary folder by test_store_file, on real S3 servers by tests/it/store_s3.
 * The state of each test is a store with an empty root.
 */
#ifndef TESTS_UNIT_STORE_SUITE_H
#define TESTS_UNIT_STORE_SUITE_H

#include "agent/store/store.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITE_OK(call)                                     \
	do {                                               \
		struct err e_ = ERR_INIT;                  \
		struct err *e = &e_;                       \
		if ((call) < 0)                            \
			fail_msg("%s: %s", #call, e_.msg); \
	} while (0)

#define SUITE_FAILS(want, call)                                              \
	do {                                                                 \
		struct err e_ = ERR_INIT;                                    \
		struct err *e = &e_;                                         \
		assert_int_equal((call), -1);                                \
		if (e_.code != (want))                                       \
			fail_msg("%s: code %d: %s", #call, e_.code, e_.msg); \
		assert_true(e_.msg[0] != 0);                                 \
	} while (0)

static inline uint8_t *suite_bytes(size_t n, uint32_t seed)
{
	uint8_t *p = mem_alloc(n + 1);

	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		p[i] = (uint8_t)(seed >> 24);
	}
	return p;
}

static inline void suite_put(struct store *s, const char *key, const char *text)
{
	SUITE_OK(s->ops->put(s, key, text, strlen(text), NULL, e));
}

static inline void suite_is(struct store *s, const char *key, const char *text)
{
	struct buf b = BUF(1 << 20);

	SUITE_OK(s->ops->get(s, key, 0, UINT64_MAX, &b, NULL, e));
	assert_int_equal(b.len, strlen(text));
	assert_memory_equal(b.p ? (char *)b.p : "", text, b.len);
	buf_free(&b);
}

/* Keys and sizes of a listing, sorted, "a=1 b=2". */
/* A server that takes folders for objects. */
static bool suite_loose;
static size_t suite_many = 1100; /* more than one page of a bucket */

struct suite_list {
	char **item;
	size_t n, stop_at;
};

static inline int suite_collect(void *arg, const struct store_object *o)
{
	struct suite_list *l = arg;

	l->item = mem_grow(l->item, l->n + 1, sizeof(*l->item));
	l->item[l->n++] = mem_fmt("%s=%llu", o->key, (unsigned long long)o->size);
	return l->stop_at && l->n == l->stop_at;
}

static inline int suite_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline void suite_lists(struct store *s, const char *prefix, bool delimiter,
			       const char *want)
{
	struct suite_list l = { .n = 0 };
	struct buf b = BUF(1 << 16);

	SUITE_OK(s->ops->list(s, prefix, delimiter, suite_collect, &l, e));
	if (l.n)
		qsort(l.item, l.n, sizeof(l.item[0]), suite_cmp);
	buf_add(&b, "", 0);
	for (size_t i = 0; i < l.n; i++) {
		buf_addf(&b, "%s%s", i ? " " : "", l.item[i]);
		free(l.item[i]);
	}
	free(l.item);
	assert_string_equal((char *)b.p, want);
	buf_free(&b);
}

static inline void put_then_get_gives_the_same_bytes(void **state)
{
	static const size_t sizes[] = { 0, 1, 4096, 100000, 1500000 };
	struct store *s = *state;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		AUTO_FREE uint8_t *p = suite_bytes(sizes[i], (uint32_t)i);
		struct buf b = BUF(2 << 20);
		struct store_object o = { .size = 77 };

		SUITE_OK(s->ops->put(s, "dir/object", p, sizes[i], NULL, e));
		SUITE_OK(s->ops->get(s, "dir/object", 0, UINT64_MAX, &b, &o, e));
		assert_int_equal(b.len, sizes[i]);
		assert_memory_equal(b.p ? b.p : p, p, sizes[i]);
		assert_int_equal(o.size, sizes[i]);
		buf_free(&b);
	}
}

static inline void get_appends_to_what_is_there(void **state)
{
	struct store *s = *state;
	struct buf b = BUF(100);

	suite_put(s, "k", "tail");
	buf_addf(&b, "head-");
	SUITE_OK(s->ops->get(s, "k", 0, UINT64_MAX, &b, NULL, e));
	assert_string_equal((char *)b.p, "head-tail");
	buf_free(&b);
}

static inline void a_range_is_cut_at_the_end_of_the_object(void **state)
{
	static const struct {
		uint64_t offset, len;
		const char *want;
	} cases[] = {
		{ 0, 3, "012" }, { 4, 2, "45" },
		{ 8, 10, "89" }, { 10, 5, "" },
		{ 500, 5, "" },	 { 3, UINT64_MAX, "3456789" },
		{ 9, 1, "9" },	 { 0, 10, "0123456789" },
		{ 2, 0, "" },	 { UINT64_MAX - 1, 5, "" },
	};
	struct store *s = *state;

	suite_put(s, "digits", "0123456789");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b = BUF(100);
		struct store_object o = { .size = 0 };

		SUITE_OK(
			s->ops->get(s, "digits", cases[i].offset, cases[i].len, &b, &o, e));
		buf_add(&b, "", 0);
		assert_string_equal((char *)b.p, cases[i].want);
		buf_free(&b);
	}
}

static inline void more_than_the_buffer_takes_is_an_error(void **state)
{
	struct store *s = *state;
	struct buf b = BUF(9);

	suite_put(s, "digits", "0123456789");
	SUITE_FAILS(ERR_CORRUPT, s->ops->get(s, "digits", 0, UINT64_MAX, &b, NULL, e));
	buf_free(&b);
	struct buf c = BUF(10);

	SUITE_OK(s->ops->get(s, "digits", 0, UINT64_MAX, &c, NULL, e));
	assert_int_equal(c.len, 10);
	buf_free(&c);
}

static inline void what_is_not_there_is_not_found(void **state)
{
	struct store *s = *state;
	struct buf b = BUF(10);
	struct store_object o;

	suite_put(s, "a/b", "x");
	SUITE_FAILS(ERR_NOT_FOUND, s->ops->get(s, "nope", 0, UINT64_MAX, &b, NULL, e));
	SUITE_FAILS(ERR_NOT_FOUND, s->ops->get(s, "nope", 5, 1, &b, NULL, e));
	SUITE_FAILS(ERR_NOT_FOUND, s->ops->get(s, "a/b2/c", 0, UINT64_MAX, &b, NULL, e));
	SUITE_FAILS(ERR_NOT_FOUND, s->ops->head(s, "nope", &o, e));
	if (!suite_loose)
		SUITE_FAILS(ERR_NOT_FOUND, s->ops->head(s, "a", &o, e));
	SUITE_FAILS(ERR_NOT_FOUND, s->ops->copy(s, "nope", "to", NULL, e));
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static inline void head_tells_size_time_and_etag(void **state)
{
	struct store *s = *state;
	struct store_object o = { .size = 0 }, again = { .size = 0 };
	int64_t now = clock_wall_ms();
	char etag[STORE_ETAG_MAX] = "";
	const struct store_put put = { .etag_out = etag };

	SUITE_OK(s->ops->put(s, "x", "12345", 5, &put, e));
	SUITE_OK(s->ops->head(s, "x", &o, e));
	assert_int_equal(o.size, 5);
	assert_true(o.mtime_ms > now - 10000 && o.mtime_ms < now + 10000);
	assert_string_equal(o.etag, etag);
	assert_true(etag[0] == '"');
	struct buf b = BUF(10);

	SUITE_OK(s->ops->get(s, "x", 1, 2, &b, &again, e));
	assert_string_equal(again.etag, etag);
	assert_int_equal(again.size, 5);
	buf_free(&b);
}

static inline void a_put_replaces_the_whole_object(void **state)
{
	struct store *s = *state;

	suite_put(s, "k", "a long first version");
	suite_put(s, "k", "two");
	suite_is(s, "k", "two");
	suite_lists(s, "", false, "k=3");
}

static inline void if_absent_keeps_the_first(void **state)
{
	struct store *s = *state;
	const struct store_put put = { .if_absent = true };

	SUITE_OK(s->ops->put(s, "d/k", "one", 3, &put, e));
	SUITE_FAILS(ERR_EXISTS, s->ops->put(s, "d/k", "two", 3, &put, e));
	suite_is(s, "d/k", "one");
	suite_lists(s, "", false, "d/k=3");
}

static inline void if_match_needs_the_same_etag(void **state)
{
	struct store *s = *state;
	char first[STORE_ETAG_MAX] = "", second[STORE_ETAG_MAX] = "";
	struct store_put put = { .etag_out = first };

	SUITE_OK(s->ops->put(s, "k", "one", 3, &put, e));
	put = (struct store_put){ .if_match = first, .etag_out = second };
	SUITE_OK(s->ops->put(s, "k", "two", 3, &put, e));
	assert_string_not_equal(first, second);
	SUITE_FAILS(ERR_EXISTS, s->ops->put(s, "k", "three", 5, &put, e));
	suite_is(s, "k", "two");
	SUITE_FAILS(ERR_EXISTS, s->ops->put(s, "gone", "x", 1, &put, e));
	suite_lists(s, "", false, "k=3");
	put = (struct store_put){ .if_match = second };
	SUITE_OK(s->ops->put(s, "k", "four", 4, &put, e));
	suite_is(s, "k", "four");
}

/* Not in the list below: the test servers look and write without a lock between. */
struct suite_race {
	struct store *s;
	int won, lost, other;
	pthread_mutex_t lock;
};

static inline void *suite_racer(void *arg)
{
	struct suite_race *r = arg;
	const struct store_put put = { .if_absent = true };

	for (int i = 0; i < 5; i++) {
		struct err e = ERR_INIT;
		AUTO_FREE char *key = mem_fmt("race/%d", i);
		int rc = r->s->ops->put(r->s, key, "x", 1, &put, &e);

		pthread_mutex_lock(&r->lock);
		*(rc == 0 ? &r->won : e.code == ERR_EXISTS ? &r->lost : &r->other) += 1;
		pthread_mutex_unlock(&r->lock);
	}
	return NULL;
}

static inline void of_several_if_absent_puts_one_wins(void **state)
{
	struct suite_race r = { .s = *state, .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, suite_racer, &r), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(r.other, 0);
	assert_int_equal(r.won, 5);
	assert_int_equal(r.lost, 15);
}

static inline void a_list_is_by_string_prefix_and_recursive(void **state)
{
	struct store *s = *state;

	suite_put(s, "a/b/1", "1");
	suite_put(s, "a/b/22", "22");
	suite_put(s, "a/bc/3", "333");
	suite_put(s, "z", "");
	suite_lists(s, "", false, "a/b/1=1 a/b/22=2 a/bc/3=3 z=0");
	suite_lists(s, "a/", false, "a/b/1=1 a/b/22=2 a/bc/3=3");
	suite_lists(s, "a/b", false, "a/b/1=1 a/b/22=2 a/bc/3=3");
	suite_lists(s, "a/b/", false, "a/b/1=1 a/b/22=2");
	suite_lists(s, "a/b/2", false, "a/b/22=2");
	suite_lists(s, "nope/", false, "");
	suite_lists(s, "a/b/1/", false, "");
}

static inline void a_delimiter_folds_what_is_deeper(void **state)
{
	struct store *s = *state;

	suite_put(s, "a/b/1", "1");
	suite_put(s, "a/b/2", "1");
	suite_put(s, "a/c/3", "1");
	suite_put(s, "a/top", "1");
	suite_put(s, "b", "1");
	suite_lists(s, "", true, "a/=0 b=1");
	suite_lists(s, "a/", true, "a/b/=0 a/c/=0 a/top=1");
	suite_lists(s, "a/b", true, "a/b/=0");
	suite_lists(s, "a/b/", true, "a/b/1=1 a/b/2=1");
	suite_lists(s, "x/", true, "");
}

static inline void the_callback_may_end_a_list(void **state)
{
	struct store *s = *state;
	struct suite_list l = { .stop_at = 2 };

	suite_put(s, "a", "1");
	suite_put(s, "b/c", "1");
	suite_put(s, "b/d", "1");
	SUITE_OK(s->ops->list(s, "", false, suite_collect, &l, e));
	assert_int_equal(l.n, 2);
	free(l.item[0]);
	free(l.item[1]);
	free(l.item);
}

static inline void a_list_goes_over_many_pages_and_all_can_be_deleted(void **state)
{
	const size_t N = suite_many;
	struct store *s = *state;
	struct suite_list l = { .n = 0 };
	char **keys = mem_array(N + 1, sizeof(*keys));

	for (size_t i = 0; i < N; i++) {
		keys[i] = mem_fmt("many/%08zx", i * 7919);
		SUITE_OK(s->ops->put(s, keys[i], "x", i % 2, NULL, e));
	}
	keys[N] = mem_str("many/never-there");
	SUITE_OK(s->ops->list(s, "many/", false, suite_collect, &l, e));
	assert_int_equal(l.n, N);
	if (l.n)
		qsort(l.item, l.n, sizeof(l.item[0]), suite_cmp);
	for (size_t i = 0; i < N; i++) {
		AUTO_FREE char *want = mem_fmt("%s=%zu", keys[i], i % 2);

		assert_string_equal(l.item[i], want);
		free(l.item[i]);
	}
	SUITE_OK(s->ops->del(s, (const char *const *)keys, N + 1, e));
	suite_lists(s, "", false, "");
	for (size_t i = 0; i <= N; i++)
		free(keys[i]);
	free(keys);
	free(l.item);
}

static inline void a_deleted_object_is_gone_and_its_folder_too(void **state)
{
	struct store *s = *state;
	const char *keys[] = { "a/b/c/1", "missing/x" };
	struct store_object o;

	suite_put(s, "a/b/c/1", "1");
	suite_put(s, "a/2", "1");
	SUITE_OK(s->ops->del(s, keys, 2, e));
	SUITE_OK(s->ops->del(s, keys, 2, e));
	SUITE_OK(s->ops->del(s, keys, 0, e));
	SUITE_FAILS(ERR_NOT_FOUND, s->ops->head(s, "a/b/c/1", &o, e));
	suite_lists(s, "a/", true, "a/2=1");
	suite_put(s, "a/b/c/1", "again");
	suite_is(s, "a/b/c/1", "again");
}

static inline void a_copy_is_independent(void **state)
{
	struct store *s = *state;
	const struct store_put absent = { .if_absent = true };

	suite_put(s, "from", "content");
	SUITE_OK(s->ops->copy(s, "from", "to/here", NULL, e));
	suite_put(s, "from", "changed");
	suite_is(s, "to/here", "content");
	SUITE_FAILS(ERR_EXISTS, s->ops->copy(s, "from", "to/here", &absent, e));
	suite_is(s, "to/here", "content");
	SUITE_OK(s->ops->copy(s, "from", "to/new", &absent, e));
	suite_is(s, "to/new", "changed");
}

static inline void odd_names_work(void **state)
{
	static const char *const keys[] = {
		"with space/a b", "plus+plus",	 "amp&amp;",
		"eq=eq",	  "tilde~x",	 "utf8-\xc3\xa9\xe2\x82\xac",
		"percent%41%2F",  "quote'\"q",	 "star*(paren)",
		"semi;comma,at@", "less<more>",	 "hash#q?x",
		"dollar$!",	  "colon:pipe|", "brace{}[]^`",
	};
	enum { N = sizeof(keys) / sizeof(keys[0]) };
	struct store *s = *state;
	struct suite_list l = { .n = 0 };

	for (size_t i = 0; i < N; i++)
		suite_put(s, keys[i], keys[i]);
	for (size_t i = 0; i < N; i++)
		suite_is(s, keys[i], keys[i]);
	SUITE_OK(s->ops->list(s, "", false, suite_collect, &l, e));
	assert_int_equal(l.n, N);
	for (size_t i = 0; i < N; i++) {
		AUTO_FREE char *want = mem_fmt("%s=%zu", keys[i], strlen(keys[i]));
		size_t k = 0;

		while (k < l.n && strcmp(l.item[k], want) != 0)
			k++;
		if (k == l.n)
			fail_msg("%s is not listed", want);
	}
	for (size_t i = 0; i < N; i++)
		free(l.item[i]);
	free(l.item);
	suite_lists(s, "with space/", false, "with space/a b=14");
	suite_lists(s, "plus+", false, "plus+plus=9");
	SUITE_OK(s->ops->copy(s, keys[0], "copied from odd", NULL, e));
	suite_is(s, "copied from odd", keys[0]);
	SUITE_OK(s->ops->del(s, keys, N, e));
	suite_lists(s, "", false, "copied from odd=14");
}

static inline void names_that_leave_the_root_are_refused(void **state)
{
	static const char *const bad[] = { "../x",  "a/../b", "a/..", "..", ".",
					   "a/./b", "/abs",   "a//b", "",   "a/" };
	struct store *s = *state;
	struct buf b = BUF(10);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		SUITE_FAILS(ERR_USAGE, s->ops->put(s, bad[i], "x", 1, NULL, e));
		SUITE_FAILS(ERR_USAGE, s->ops->get(s, bad[i], 0, 1, &b, NULL, e));
		SUITE_FAILS(ERR_USAGE, s->ops->del(s, &bad[i], 1, e));
	}
	buf_free(&b);
}

/* ---- fetch ---- */

static inline void a_fetch_delivers_in_order(void **state)
{
	enum { N = 200 };
	struct store *s = *state;
	struct store_piece piece[N];
	char *keys[N];
	struct buf b = BUF(1 << 20);

	for (size_t i = 0; i < N; i++) {
		AUTO_FREE uint8_t *p = suite_bytes(i * 37, (uint32_t)i);

		keys[i] = mem_fmt("f/%zu", i);
		SUITE_OK(s->ops->put(s, keys[i], p, i * 37, NULL, e));
		piece[i] = (struct store_piece){ .key = keys[i],
						 .len = UINT64_MAX,
						 .expect = i * 37 };
	}
	struct store_fetch *f = s->ops->fetch_begin(s, piece, N, 16, 20000);

	for (size_t i = 0; i < N; i++) {
		AUTO_FREE uint8_t *p = suite_bytes(i * 37, (uint32_t)i);
		struct err e = ERR_INIT;

		if (s->ops->fetch_next(f, &b, &e) != 1)
			fail_msg("piece %zu: %s", i, e.msg);
		assert_int_equal(b.len, i * 37);
		assert_memory_equal(b.len ? b.p : p, p, i * 37);
		free(keys[i]);
	}
	SUITE_OK(s->ops->fetch_next(f, &b, e));
	assert_int_equal(b.len, 0);
	SUITE_OK(s->ops->fetch_next(f, &b, e));
	s->ops->fetch_end(f);
	buf_free(&b);
}

static inline void a_fetch_goes_on_after_a_bad_piece(void **state)
{
	const struct store_piece piece[] = {
		{ .key = "digits", .offset = 2, .len = 3, .expect = 3 },
		{ .key = "missing", .len = UINT64_MAX, .expect = 10 },
		{ .key = "digits", .len = UINT64_MAX, .expect = 4 },
		{ .key = "digits", .offset = 7, .len = 100, .expect = 100 },
	};
	struct store *s = *state;
	struct buf b = BUF(100);

	suite_put(s, "digits", "0123456789");
	struct store_fetch *f = s->ops->fetch_begin(s, piece, 4, 4, 1000);

	SUITE_OK(s->ops->fetch_next(f, &b, e));
	assert_string_equal((char *)b.p, "234");
	SUITE_FAILS(ERR_NOT_FOUND, s->ops->fetch_next(f, &b, e));
	SUITE_FAILS(ERR_CORRUPT, s->ops->fetch_next(f, &b, e));
	SUITE_OK(s->ops->fetch_next(f, &b, e));
	assert_string_equal((char *)b.p, "789");
	assert_int_equal(s->ops->fetch_next(f, &b, NULL), 0);
	s->ops->fetch_end(f);
	buf_free(&b);
}

static inline void a_fetch_may_end_early(void **state)
{
	enum { N = 50 };
	struct store *s = *state;
	struct store_piece piece[N];
	struct buf b = BUF(1000);

	suite_put(s, "k", "some bytes");
	for (size_t i = 0; i < N; i++)
		piece[i] =
			(struct store_piece){ .key = "k", .len = UINT64_MAX, .expect = 10 };
	s->ops->fetch_end(s->ops->fetch_begin(s, piece, N, 8, 1 << 20));
	struct store_fetch *f = s->ops->fetch_begin(s, piece, N, 8, 1);

	SUITE_OK(s->ops->fetch_next(f, &b, e));
	assert_int_equal(b.len, 10);
	s->ops->fetch_end(f);
	s->ops->fetch_end(s->ops->fetch_begin(s, piece, 0, 8, 1 << 20));
	buf_free(&b);
}

/* ---- streams ---- */

static inline void suite_write(struct store *s, const char *key, const uint8_t *p, size_t n,
			       size_t chunk)
{
	struct err e = ERR_INIT;
	struct store_writer *w = s->ops->write_begin(s, key, NULL, &e);

	if (!w)
		fail_msg("%s", e.msg);
	for (size_t at = 0; at < n; at += chunk)
		if (s->ops->write(w, p + at, n - at < chunk ? n - at : chunk, &e) < 0)
			fail_msg("%s", e.msg);
	if (s->ops->write_commit(w, &e) < 0)
		fail_msg("%s", e.msg);
}

static inline void a_stream_of_any_size_becomes_one_object(void **state)
{
	static const struct {
		size_t n, chunk;
	} cases[] = {
		{ 0, 1 },
		{ 1, 1 },
		{ 100000, 777 },
		{ 5 << 20, 65536 },
		{ (5 << 20) + 1, 1 << 20 },
		{ 23000000, 1000003 },
	};
	struct store *s = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE uint8_t *p = suite_bytes(cases[i].n, (uint32_t)i + 9);
		struct buf b = BUF(32 << 20);
		struct store_object o = { .size = 0 };

		suite_write(s, "stream/x", p, cases[i].n, cases[i].chunk);
		SUITE_OK(s->ops->get(s, "stream/x", 0, UINT64_MAX, &b, NULL, e));
		assert_int_equal(b.len, cases[i].n);
		assert_memory_equal(b.len ? b.p : p, p, cases[i].n);
		SUITE_OK(s->ops->head(s, "stream/x", &o, e));
		assert_int_equal(o.size, cases[i].n);
		buf_free(&b);
	}
}

static inline void an_aborted_stream_leaves_nothing(void **state)
{
	static const size_t sizes[] = { 0, 1000, 17 << 20 };
	struct store *s = *state;

	for (size_t i = 0; i < 3; i++) {
		AUTO_FREE uint8_t *p = suite_bytes(sizes[i], 5);
		struct err e = ERR_INIT;
		struct store_writer *w = s->ops->write_begin(s, "dir/stream", NULL, &e);

		if (!w || s->ops->write(w, p, sizes[i], &e) < 0)
			fail_msg("%s", e.msg);
		suite_lists(s, "", false, "");
		s->ops->write_abort(w);
		suite_lists(s, "", true, "");
	}
}

static inline void a_stream_keeps_to_its_conditions(void **state)
{
	static const size_t sizes[] = { 10, 6 << 20 };
	struct store *s = *state;

	for (size_t i = 0; i < 2; i++) {
		AUTO_FREE uint8_t *p = suite_bytes(sizes[i], 5);
		AUTO_FREE char *key = mem_fmt("w/%zu", i);
		char etag[STORE_ETAG_MAX] = "", second[STORE_ETAG_MAX] = "";
		struct store_put put = { .if_absent = true, .etag_out = etag };
		struct store_object o = { .size = 0 };

		for (int round = 0; round < 2; round++) {
			struct err e = ERR_INIT;
			struct store_writer *w = s->ops->write_begin(s, key, &put, &e);

			if (!w || s->ops->write(w, p, sizes[i], &e) < 0)
				fail_msg("%s", e.msg);
			assert_int_equal(s->ops->write_commit(w, &e), round ? -1 : 0);
			assert_int_equal(e.code, round ? ERR_EXISTS : ERR_NONE);
		}
		SUITE_OK(s->ops->head(s, key, &o, e));
		assert_string_equal(o.etag, etag);
		suite_put(s, key, "other");
		put = (struct store_put){ .if_match = etag, .etag_out = second };
		struct err e = ERR_INIT;
		struct store_writer *w = s->ops->write_begin(s, key, &put, &e);

		if (!w || s->ops->write(w, p, sizes[i], &e) < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(s->ops->write_commit(w, &e), -1);
		assert_int_equal(e.code, ERR_EXISTS);
		suite_is(s, key, "other");
	}
}

#define STORE_SUITE(setup, teardown)                                                   \
	SUITE_T(put_then_get_gives_the_same_bytes, setup, teardown),                   \
		SUITE_T(get_appends_to_what_is_there, setup, teardown),                \
		SUITE_T(a_range_is_cut_at_the_end_of_the_object, setup, teardown),     \
		SUITE_T(more_than_the_buffer_takes_is_an_error, setup, teardown),      \
		SUITE_T(what_is_not_there_is_not_found, setup, teardown),              \
		SUITE_T(head_tells_size_time_and_etag, setup, teardown),               \
		SUITE_T(a_put_replaces_the_whole_object, setup, teardown),             \
		SUITE_T(if_absent_keeps_the_first, setup, teardown),                   \
		SUITE_T(if_match_needs_the_same_etag, setup, teardown),                \
		SUITE_T(a_list_is_by_string_prefix_and_recursive, setup, teardown),    \
		SUITE_T(a_delimiter_folds_what_is_deeper, setup, teardown),            \
		SUITE_T(the_callback_may_end_a_list, setup, teardown),                 \
		SUITE_T(a_list_goes_over_many_pages_and_all_can_be_deleted, setup,     \
			teardown),                                                     \
		SUITE_T(a_deleted_object_is_gone_and_its_folder_too, setup, teardown), \
		SUITE_T(a_copy_is_independent, setup, teardown),                       \
		SUITE_T(odd_names_work, setup, teardown),                              \
		SUITE_T(names_that_leave_the_root_are_refused, setup, teardown),       \
		SUITE_T(a_fetch_delivers_in_order, setup, teardown),                   \
		SUITE_T(a_fetch_goes_on_after_a_bad_piece, setup, teardown),           \
		SUITE_T(a_fetch_may_end_early, setup, teardown),                       \
		SUITE_T(a_stream_of_any_size_becomes_one_object, setup, teardown),     \
		SUITE_T(an_aborted_stream_leaves_nothing, setup, teardown),            \
		SUITE_T(a_stream_keeps_to_its_conditions, setup, teardown)

#define SUITE_T(fn, setup, teardown) cmocka_unit_test_setup_teardown(fn, setup, teardown)

#endif
