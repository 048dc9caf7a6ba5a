/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a catalog from a store on a scripted server: what is asked at once, and which error counts. */
#include "agent/config/config.h"
#include "agent/store/catalog.h"
#include "base/clock.h"
#include "tests/unit/fake_list.h"
#include "tests/unit/fake_s3.h"
#include "tests/unit/fake_tree.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define GEN "00112233445566aa"
#define HEAD                                                                        \
	"{\"format\":1,\"generation\":\"" GEN "\",\"epoch\":1,\"reason\":\"init\"," \
	"\"updated_at\":\"2026-01-01T00:00:00Z\",\"writer\":{\"session\":"          \
	"\"0011223344556677\",\"host\":\"h\",\"since\":\"2026-01-01T00:00:00Z\","   \
	"\"released_at\":null},\"intent\":null}"

struct env {
	struct fake *f;
	struct fake_bucket b;
	struct store *s;
	struct store_ops ops;
	struct stop *stop;
};

static void env_open(struct env *v, const char *const *keys, size_t n)
{
	*v = (struct env){ .f = fake_start(fake_bucket_steps, 1), .stop = stop_new() };
	v->b = (struct fake_bucket){ .keys = keys, .n = n, .page = 40 };
	v->f->arg = &v->b;
	v->s = fake_store(v->f->port, v->stop, 20000);
}

static void env_close(struct env *v)
{
	store_close(v->s);
	fake_stop(v->f);
	stop_destroy(v->stop);
	fake_bucket_free(&v->b);
}

static void assert_same_objects(const struct cat_object *a, const struct cat_object *b,
				size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(wal_pos_cmp(a[i].pos, b[i].pos), 0);
		assert_true(a[i].size == b[i].size && a[i].codec == b[i].codec &&
			    a[i].offset_digits == b[i].offset_digits);
	}
}

static void assert_same(const struct catalog *a, const struct catalog *b)
{
	assert_int_equal(a->ngens, b->ngens);
	assert_true(a->others == b->others && a->ltx_files == b->ltx_files);
	assert_int_equal(a->has_head, b->has_head);
	assert_string_equal(a->below, b->below);
	for (size_t i = 0; i < a->ngens; i++) {
		const struct cat_generation *g = &a->gens[i], *h = &b->gens[i];

		assert_string_equal(g->id, h->id);
		assert_int_equal(g->has_record, h->has_record);
		assert_true(g->bytes == h->bytes);
		assert_int_equal(g->nsnapshots, h->nsnapshots);
		assert_int_equal(g->nsegments, h->nsegments);
		assert_same_objects(g->snapshots, h->snapshots, g->nsnapshots);
		assert_same_objects(g->segments, h->segments, g->nsegments);
	}
}

/* As from a store that is asked for one thing after the other. */
static struct catalog *load_in_turn(struct env *v, unsigned want, struct err *e)
{
	const struct store_ops *real = v->s->ops;

	v->ops = *real;
	v->ops.list_wide = NULL;
	v->s->ops = &v->ops;
	struct catalog *c = catalog_load(v->s, want, e);

	v->s->ops = real;
	return c;
}

static void at_once_and_in_turn_read_the_same(void **state)
{
	static const uint32_t shape[][3] = {
		{ 1, 40, 30 }, { 20, 20, 10 }, { 200, 1, 0 }, { 1, 2, 3 }
	};

	(void)state;
	for (uint64_t seed = 0; seed < 4 * N(shape); seed++) {
		const uint32_t *k = shape[seed % N(shape)];
		struct fake_tree t = fake_tree_make(seed, "app/", k[0], k[1], k[2]);
		struct err e = ERR_INIT;
		struct env v;

		for (unsigned i = 0; i < 50; i++)
			fake_tree_add(&t, mem_fmt("app/0001/%016x-%016x.ltx", i, i));
		fake_tree_add(&t, mem_str("app/photos/1.jpg"));
		fake_tree_sort(&t);
		env_open(&v, (const char *const *)t.keys, t.n);
		v.b.head = seed & 4 ? HEAD : NULL;
		struct catalog *a = load_in_turn(&v, seed & 8 ? CATALOG_LTX : 0, &e);
		struct catalog *b = catalog_load(v.s, seed & 8 ? CATALOG_LTX : 0, &e);

		if (!a || !b)
			fail_msg("seed %ju: %s", (uintmax_t)seed, e.msg);
		assert_same(a, b);
		assert_int_equal(a->ltx_files, seed & 8 || !v.b.head ? 50 : 0);
		catalog_free(a);
		catalog_free(b);
		env_close(&v);
		fake_tree_free(&t);
	}
}

static const char *const small[] = {
	"app/0001/0000000000000001-0000000000000001.ltx",
	"app/generations/" GEN "/generation.json",
	"app/generations/" GEN "/snapshots/00000000.snapshot.zst",
	"app/generations/" GEN "/wal/00000000_00000000.wal.zst",
};

/* The first of what would have been asked for in turn. */
static void the_heads_error_counts_then_the_lists_then_ltx(void **state)
{
	static const struct {
		int head, list, root;
		const char *message;
	} cases[] = {
		{ 403, 400, 400, "get app/walback/head.json: 403 AccessDenied" },
		{ 403, 0, 0, "get app/walback/head.json: 403 AccessDenied" },
		{ 400, 403, 0, "get app/walback/head.json: 400 InvalidRequest" },
		{ 404, 403, 400, "list bkt: 403 AccessDenied" },
		{ 404, 400, 0, "list bkt: 400 InvalidRequest" },
		{ 404, 0, 403, "list bkt: 403 AccessDenied" },
		{ 0, 400, 403, "list bkt: 400 InvalidRequest" },
	};

	(void)state;
	for (size_t i = 0; i < 2 * N(cases); i++) {
		struct err e = ERR_INIT;
		struct env v;

		env_open(&v, small, N(small));
		v.b.head = cases[i / 2].head ? NULL : HEAD;
		v.b.head_status = cases[i / 2].head;
		v.b.fail_at = cases[i / 2].list ? 1 : 0;
		v.b.fail_status = cases[i / 2].list;
		v.b.root_status = cases[i / 2].root;
		assert_null(i % 2 ? load_in_turn(&v, 0, &e) : catalog_load(v.s, 0, &e));
		if (!text_starts(e.msg, cases[i / 2].message))
			fail_msg("case %zu: %s", i, e.msg);
		env_close(&v);
	}
}

static void the_root_is_listed_only_where_it_may_matter(void **state)
{
	struct err e = ERR_INIT;
	struct env v;

	(void)state;
	env_open(&v, small, N(small));
	v.b.head = HEAD;
	struct catalog *c = catalog_load(v.s, 0, &e);

	assert_non_null(c);
	assert_string_equal(c->head.generation, GEN);
	assert_int_equal(c->ltx_files, 0);
	assert_int_equal(v.b.lists, 1);
	assert_int_equal(v.b.roots, 0);
	catalog_free(c);
	env_close(&v);
}

/* The writer of the head's generation came between the list and the head. */
static void appear(struct fake_bucket *b, size_t list)
{
	if (list)
		b->n = N(small);
}

static void a_list_older_than_the_head_is_taken_again(void **state)
{
	struct err e = ERR_INIT;
	struct env v;

	(void)state;
	env_open(&v, small, 2); /* the record alone */
	v.b.head = HEAD;
	v.b.before = appear;
	struct catalog *c = catalog_load(v.s, 0, &e);

	assert_non_null(c);
	assert_int_equal(v.b.lists, 2);
	assert_int_equal(catalog_find(c, GEN)->nsnapshots, 1);
	catalog_free(c);
	env_close(&v);
}

static void a_head_of_nothing_is_looked_for_twice_and_told(void **state)
{
	struct err e = ERR_INIT;
	struct env v;

	(void)state;
	env_open(&v, small, 1);
	v.b.head = HEAD;
	struct catalog *c = catalog_load(v.s, 0, &e);

	assert_non_null(c);
	assert_true(c->has_head && c->ngens == 0);
	assert_int_equal(v.b.lists, 2);
	catalog_free(c);
	env_close(&v);
}

static void *stop_soon(void *arg)
{
	clock_sleep_ms(100);
	stop_set(arg, 0);
	return NULL;
}

static void the_stop_token_ends_it(void **state)
{
	struct err e = ERR_INIT;
	struct env v;
	pthread_t thread;
	int64_t start = clock_mono_ms();

	(void)state;
	env_open(&v, small, N(small));
	v.b.head = HEAD;
	v.b.stall_at = 1;
	assert_int_equal(pthread_create(&thread, NULL, stop_soon, v.stop), 0);
	assert_null(catalog_load(v.s, 0, &e));
	assert_int_equal(e.code, ERR_CANCELED);
	assert_true(clock_mono_ms() - start < 10000); /* not the deadline's 20 s */
	pthread_join(thread, NULL);
	env_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_once_and_in_turn_read_the_same),
		cmocka_unit_test(the_heads_error_counts_then_the_lists_then_ltx),
		cmocka_unit_test(the_root_is_listed_only_where_it_may_matter),
		cmocka_unit_test(a_list_older_than_the_head_is_taken_again),
		cmocka_unit_test(a_head_of_nothing_is_looked_for_twice_and_told),
		cmocka_unit_test(the_stop_token_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
