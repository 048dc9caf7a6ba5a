/* SPDX-License-Identifier: Apache-2.0 */
/* The S3 store's bulk fetch and its odd cases, on a scripted server; the whole suite runs on real
 * ones in tests/it/test_store_s3.py. */
#include "agent/config/config.h"
#include "agent/store/store.h"
#include "base/clock.h"
#include "tests/unit/fake_http.h"
#include "tests/unit/fake_s3.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

struct env {
	struct fake *f;
	struct store *s;
	struct stop *stop;
};

static void env_open(struct env *v, const struct fake_step *steps, size_t n)
{
	v->f = fake_start(steps, n);
	v->stop = stop_new();
	v->s = fake_store(v->f->port, v->stop, 6000);
}

static void env_close(struct env *v)
{
	store_close(v->s);
	fake_stop(v->f);
	stop_destroy(v->stop);
}

static const char *const bodies[] = { "zero", "one", "two!",  "three", "4444",
				      "five", "six", "seven", "eight", "nine" };

/* /bkt/app/d7 has bodies[7]; some requests fail, each in another way. */
static void by_key(struct fake *f, const char *request, struct fake_step *s)
{
	const char *key = strstr(request, "/bkt/app/d");

	s->body = key ? bodies[key[10] - '0'] : NULL;
	if (!key)
		s->status = 404;
	else if (f->requests % 9 == 4)
		s->how = FAKE_CLOSE;
	else if (f->requests % 9 == 6)
		s->status = 500;
	else if (f->requests % 9 == 8)
		s->how = FAKE_CUT;
}

static const struct fake_step serve_by_key[] = { { 200, NULL, NULL, FAKE_ANSWER, by_key } };

static void pieces_come_in_order_through_failures(void **state)
{
	enum { PIECES = 60 };
	static const char *const keys[] = { "d0", "d1", "d2", "d3", "d4",
					    "d5", "d6", "d7", "d8", "d9" };
	struct store_piece piece[PIECES];
	struct env v;
	struct buf out = BUF(100);
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < PIECES; i++)
		piece[i] = (struct store_piece){ .key = keys[i * 7 % 10],
						 .len = UINT64_MAX,
						 .expect = strlen(bodies[i * 7 % 10]) };
	env_open(&v, serve_by_key, 1);
	struct store_fetch *f = v.s->ops->fetch_begin(v.s, piece, PIECES, 4, 20);

	for (size_t i = 0; i < PIECES; i++) {
		if (v.s->ops->fetch_next(f, &out, &e) != 1)
			fail_msg("piece %zu: %s", i, e.msg);
		assert_string_equal((char *)out.p, bodies[i * 7 % 10]);
	}
	assert_int_equal(v.s->ops->fetch_next(f, &out, &e), 0);
	v.s->ops->fetch_end(f);
	buf_free(&out);
	env_close(&v);
}

static void bad_pieces_are_told_and_passed(void **state)
{
	static const struct {
		struct store_piece piece;
		int rc;
		enum errc code;
	} cases[] = {
		{ { "d1", 0, UINT64_MAX, 3 }, 1, ERR_NONE },
		{ { "../d1", 0, UINT64_MAX, 3 }, -1, ERR_USAGE },
		{ { "x1", 0, UINT64_MAX, 3 }, -1, ERR_NOT_FOUND },
		{ { "d3", 0, UINT64_MAX, 4 }, -1, ERR_CORRUPT }, /* longer than announced */
		{ { "d3", 0, UINT64_MAX, 0 }, -1, ERR_CORRUPT }, /* than the caller takes */
		{ { "d2", 0, UINT64_MAX, 0 }, 1, ERR_NONE },
	};
	struct store_piece piece[N(cases)];
	struct env v;
	struct buf out = BUF(4);

	(void)state;
	for (size_t i = 0; i < N(cases); i++)
		piece[i] = cases[i].piece;
	env_open(&v, serve_by_key, 1);
	struct store_fetch *f = v.s->ops->fetch_begin(v.s, piece, N(cases), 0, 0);

	for (size_t i = 0; i < N(cases); i++) {
		struct err e = ERR_INIT;
		int rc = v.s->ops->fetch_next(f, &out, &e);

		if (rc != cases[i].rc || e.code != cases[i].code)
			fail_msg("piece %zu: %d %d %s", i, rc, e.code, e.msg);
	}
	v.s->ops->fetch_end(f);
	buf_free(&out);
	env_close(&v);
}

static void a_fetch_ends_at_once_whatever_is_out(void **state)
{
	static const struct fake_step stall[] = { { 0, NULL, NULL, FAKE_STALL, NULL } };
	struct store_piece piece[20];
	struct env v;
	struct buf out = BUF(10);
	struct err e = ERR_INIT;
	int64_t start = clock_mono_ms();

	(void)state;
	for (size_t i = 0; i < N(piece); i++)
		piece[i] =
			(struct store_piece){ .key = "k", .len = UINT64_MAX, .expect = 1 };
	env_open(&v, stall, 1);
	struct store_fetch *f = v.s->ops->fetch_begin(v.s, piece, N(piece), 8, 1000);

	clock_sleep_ms(50);
	v.s->ops->fetch_end(f);
	f = v.s->ops->fetch_begin(v.s, piece, N(piece), 8, 1000);
	stop_set(v.stop, 0);
	assert_int_equal(v.s->ops->fetch_next(f, &out, &e), -1);
	assert_int_equal(e.code, ERR_CANCELED);
	v.s->ops->fetch_end(f);
	assert_true(clock_mono_ms() - start < 3000);
	buf_free(&out);
	env_close(&v);
}

static int count(void *arg, const struct store_object *o)
{
	buf_addf(arg, "%s|", o->key);
	return 0;
}

static void only_what_is_below_the_path_is_listed(void **state)
{
	static const struct fake_step steps[] = {
		{ 200, NULL,
		  "<ListBucketResult><Contents><Key>app/a</Key></"
		  "Contents><Contents><Key>app/</Key>"
		  "</Contents><Contents><Key>app/folder/</Key></"
		  "Contents><Contents><Key>other/x"
		  "</Key></Contents><CommonPrefixes><Prefix>app/b/</Prefix></"
		  "CommonPrefixes>"
		  "</ListBucketResult>",
		  FAKE_ANSWER, NULL }
	};
	struct env v;
	struct buf out = BUF(100);
	struct err e = ERR_INIT;

	(void)state;
	env_open(&v, steps, 1);
	assert_int_equal(v.s->ops->list(v.s, "", true, count, &out, &e), 0);
	assert_string_equal((char *)out.p, "a|b/|");
	assert_non_null(strstr(v.f->request[0], "prefix=app%2F "));
	buf_free(&out);
	env_close(&v);
}

static void a_conditional_copy_reads_and_writes(void **state)
{
	static const struct fake_step steps[] = {
		{ 206, "Content-Range: bytes 0-3/4\r\n", "body", FAKE_ANSWER, NULL },
		{ 200, "ETag: \"e\"\r\n", "", FAKE_ANSWER, NULL },
		{ 404, NULL, "<Error><Code>NoSuchKey</Code></Error>", FAKE_ANSWER, NULL },
	};
	const struct store_put put = { .if_absent = true };
	struct env v;
	struct err e = ERR_INIT;

	(void)state;
	env_open(&v, steps, 3);
	assert_int_equal(v.s->ops->copy(v.s, "a", "b", &put, &e), 0);
	assert_non_null(strstr(v.f->request[1], "\r\nIf-None-Match: *\r\n"));
	assert_string_equal(strstr(v.f->request[1], "\r\n\r\n") + 4, "body");
	assert_int_equal(v.s->ops->copy(v.s, "a", "b", &put, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(v.s->ops->copy(v.s, "a", "../b", NULL, &e), -1);
	assert_int_equal(e.code, ERR_USAGE);
	env_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_come_in_order_through_failures),
		cmocka_unit_test(bad_pieces_are_told_and_passed),
		cmocka_unit_test(a_fetch_ends_at_once_whatever_is_out),
		cmocka_unit_test(only_what_is_below_the_path_is_listed),
		cmocka_unit_test(a_conditional_copy_reads_and_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
