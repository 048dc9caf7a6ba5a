/* SPDX-License-Identifier: Apache-2.0 */
/* The wide LIST against the plain one, on a scripted server with small pages. */
#include "base/clock.h"
#include "s3/list.h"
#include "tests/unit/fake_list.h"
#include "tests/unit/fake_s3.h"
#include "tests/unit/fake_tree.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

struct env {
	struct fake *f;
	struct fake_bucket b;
	struct http *http;
	struct s3_client *c;
	struct stop *stop;
};

static void env_open(struct env *v, const struct fake_tree *t, size_t page)
{
	*v = (struct env){ .f = fake_start(fake_bucket_steps, 1), .stop = stop_new() };
	v->b = (struct fake_bucket){ .keys = (const char *const *)t->keys,
				     .n = t->n,
				     .page = page };
	v->f->arg = &v->b;
	v->http = http_new(NULL);
	v->c = fake_client(&(struct fake_client){ .port = v->f->port,
						  .http = v->http,
						  .stop = v->stop,
						  .token = "",
						  .timeout_ms = 20000 });
}

static void env_close(struct env *v)
{
	s3_client_free(v->c);
	http_destroy(v->http);
	fake_stop(v->f);
	stop_destroy(v->stop);
	fake_bucket_free(&v->b);
}

struct seen {
	struct fake_tree t;
	uint64_t bytes;
	size_t enough;
};

static int collect(void *arg, const struct s3_xml_object *o)
{
	struct seen *s = arg;

	fake_tree_add(&s->t, mem_str(o->key));
	s->bytes += o->size;
	return s->t.n == s->enough;
}

static int wide(struct env *v, struct seen *s, struct err *e)
{
	*s = (struct seen){ .enough = s->enough };
	return s3_list_wide(v->c, "my_app/generations/", '_', collect, s, e);
}

/* Everything, and nothing twice. */
static void assert_complete(struct seen *s, const struct fake_tree *want)
{
	size_t came = s->t.n;

	fake_tree_sort(&s->t);
	assert_int_equal(came, s->t.n);
	assert_int_equal(came, want->n);
	for (size_t i = 0; i < came; i++)
		assert_string_equal(s->t.keys[i], want->keys[i]);
	fake_tree_free(&s->t);
}

static void the_wide_list_holds_what_the_plain_one_does(void **state)
{
	static const uint32_t shape[][4] = {
		/* generations, indexes, segments; page */
		{ 1, 40, 30, 20 }, { 1, 3, 200, 20 }, { 20, 20, 10, 40 },
		{ 1, 200, 2, 30 }, { 100, 1, 9, 25 }, { 3, 80, 60, 1000 },
		{ 1, 2, 3, 100 },  { 200, 1, 0, 20 },
	};

	(void)state;
	for (uint64_t seed = 0; seed < 5 * N(shape); seed++) {
		const uint32_t *k = shape[seed % N(shape)];
		struct fake_tree t = fake_tree_make(seed, "my_app/", k[0], k[1], k[2]);
		struct seen a = { .enough = 0 }, b = { .enough = 0 };
		struct err e = ERR_INIT;
		struct env v;

		env_open(&v, &t, k[3]);
		assert_int_equal(s3_list(v.c, "my_app/generations/", NULL, collect, &a, &e),
				 0);
		int rc = wide(&v, &b, &e);

		if (rc < 0)
			fail_msg("seed %ju: %s", (uintmax_t)seed, e.msg);
		if (rc == 0) {
			assert_true(a.bytes == b.bytes);
			assert_complete(&b, &t);
		} else {
			fake_tree_free(&b.t);
		}
		/* Only a row of keys without groups, longer than a page, ends in the plain LIST. */
		assert_true(rc == 0 || k[2] == 0);
		assert_complete(&a, &t);
		env_close(&v);
		fake_tree_free(&t);
	}
}

static void one_page_takes_one_request_and_many_take_few_rounds(void **state)
{
	struct fake_tree t = fake_tree_make(1, "my_app/", 1, 40, 30);
	struct seen s = { .enough = 0 };
	struct err e = ERR_INIT;
	struct env v;

	(void)state;
	env_open(&v, &t, t.n);
	assert_int_equal(wide(&v, &s, &e), 0);
	assert_complete(&s, &t);
	assert_int_equal(v.b.lists, 1);
	v.b.page = t.n / 10;
	assert_int_equal(wide(&v, &s, &e), 0);
	assert_complete(&s, &t);
	assert_int_equal(v.b.folded, 1);
	assert_true(v.b.lists - 1 <= 25);
	env_close(&v);
	fake_tree_free(&t);
}

/* Groups of a key or two are no shorter to list than the keys. */
static void small_groups_are_listed_page_after_page(void **state)
{
	struct fake_tree t = { .rng = 1 };
	struct seen s = { .enough = 0 };
	struct err e = ERR_INIT;
	struct env v;

	(void)state;
	for (unsigned i = 0; i < 300; i++)
		fake_tree_add(&t, mem_fmt("my_app/generations/g/wal/%08x_00000000.x", i));
	env_open(&v, &t, 50);
	assert_int_equal(wide(&v, &s, &e), 0);
	assert_complete(&s, &t);
	assert_int_equal(v.b.folded, 0);
	assert_int_equal(v.b.lists, 6);
	env_close(&v);
	fake_tree_free(&t);
}

static void a_store_that_does_otherwise_is_told(void **state)
{
	static const struct fake_bucket cases[] = {
		{ .ignores_after = true },
		{ .ignores_delimiter = true },
		{ .refuses_delimiter = true, .fail_status = 403 },
		{ .refuses_delimiter = true, .fail_status = 400 },
		{ .backwards = true },
	};
	struct fake_tree t = fake_tree_make(7, "my_app/", 2, 40, 30);

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct seen s = { .enough = 0 };
		struct err e = ERR_INIT;
		struct env v;

		env_open(&v, &t, 50);
		v.b.ignores_after = cases[i].ignores_after;
		v.b.ignores_delimiter = cases[i].ignores_delimiter;
		v.b.refuses_delimiter = cases[i].refuses_delimiter;
		v.b.backwards = cases[i].backwards;
		v.b.fail_status = cases[i].fail_status;
		if (wide(&v, &s, &e) != 1)
			fail_msg("case %zu: %s", i, e.msg);
		assert_int_equal(e.code, ERR_NONE);
		fake_tree_free(&s.t);
		env_close(&v);
	}
	fake_tree_free(&t);
}

static void the_callback_may_have_enough_at_any_key(void **state)
{
	struct fake_tree t = fake_tree_make(3, "my_app/", 2, 40, 30);
	struct env v;

	(void)state;
	env_open(&v, &t, 40);
	for (size_t enough = 1; enough < t.n; enough += 37) {
		struct seen s = { .enough = enough };
		struct err e = ERR_INIT;

		assert_int_equal(wide(&v, &s, &e), 0);
		assert_int_equal(s.t.n, enough);
		fake_tree_free(&s.t);
	}
	env_close(&v);
	fake_tree_free(&t);
}

static void an_error_of_any_request_ends_it(void **state)
{
	struct fake_tree t = fake_tree_make(3, "my_app/", 2, 40, 30);
	size_t at = 0, requests = 1;

	(void)state;
	while (at++ < requests) {
		struct seen s = { .enough = 0 };
		struct err e = ERR_INIT;
		struct env v;

		env_open(&v, &t, 40);
		assert_int_equal(wide(&v, &s, &e), 0);
		requests = v.b.lists;
		fake_tree_free(&s.t);
		v.b.fail_at = requests + at;
		v.b.fail_status = 403;
		int rc = wide(&v, &s, &e);

		if (rc != (at == 2 ? 1 : -1)) /* the second asks for groups */
			fail_msg("request %zu of %zu: %d", at, requests, rc);
		if (rc < 0) {
			assert_int_equal(e.code, ERR_DENIED);
			assert_true(text_starts(e.msg, "list bkt: 403 AccessDenied"));
		}
		fake_tree_free(&s.t);
		env_close(&v);
	}
	assert_true(requests > 8);
	fake_tree_free(&t);
}

/* One key a group, so that the rest is one range; and many, so that groups are asked for. */
static void pages_without_end_are_an_error(void **state)
{
	(void)state;
	for (unsigned segments = 1; segments <= 30; segments += 29) {
		struct fake_tree t = fake_tree_make(3, "my_app/", 2, 80, segments);
		struct seen s = { .enough = 0 };
		struct err e = ERR_INIT;
		struct env v;

		env_open(&v, &t, 20);
		v.b.endless = true;
		int rc = wide(&v, &s, &e);

		fake_tree_free(&s.t);
		s = (struct seen){ .enough = 0 };
		assert_int_equal(rc, segments == 1 ? -1 : 1);
		if (rc == 1)
			rc = s3_list(v.c, "my_app/generations/", NULL, collect, &s, &e);
		assert_int_equal(rc, -1);
		assert_int_equal(e.code, ERR_CORRUPT);
		assert_string_equal(e.msg, "list bkt: the store's pages have no end");
		assert_true(v.b.lists < 300);
		fake_tree_free(&s.t);
		env_close(&v);
		fake_tree_free(&t);
	}
}

static void *stop_soon(void *arg)
{
	clock_sleep_ms(100);
	stop_set(arg, 0);
	return NULL;
}

static void the_stop_token_ends_what_is_out(void **state)
{
	struct fake_tree t = fake_tree_make(3, "my_app/", 2, 40, 30);

	(void)state;
	for (size_t at = 1; at < 8; at += 3) {
		struct seen s = { .enough = 0 };
		struct err e = ERR_INIT;
		struct env v;
		pthread_t thread;
		int64_t start = clock_mono_ms();

		env_open(&v, &t, 40);
		v.b.stall_at = at;
		assert_int_equal(pthread_create(&thread, NULL, stop_soon, v.stop), 0);
		assert_int_equal(wide(&v, &s, &e), -1);
		assert_int_equal(e.code, ERR_CANCELED);
		assert_true(clock_mono_ms() - start < 10000); /* not the deadline's 20 s */
		pthread_join(thread, NULL);
		fake_tree_free(&s.t);
		env_close(&v);
	}
	fake_tree_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_wide_list_holds_what_the_plain_one_does),
		cmocka_unit_test(one_page_takes_one_request_and_many_take_few_rounds),
		cmocka_unit_test(small_groups_are_listed_page_after_page),
		cmocka_unit_test(a_store_that_does_otherwise_is_told),
		cmocka_unit_test(the_callback_may_have_enough_at_any_key),
		cmocka_unit_test(an_error_of_any_request_ends_it),
		cmocka_unit_test(pages_without_end_are_an_error),
		cmocka_unit_test(the_stop_token_ends_what_is_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
