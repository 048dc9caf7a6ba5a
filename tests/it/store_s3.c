/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store suite on a real S3 server.  Run by tests/it/test_store_s3.py with
 *   store_s3 ENDPOINT BUCKET [loose|atomic]
 * and credentials in the environment.  Each test has its own prefix.
 */
#include "agent/config/config.h"
#include "agent/store/catalog.h"
#include "base/clock.h"
#include "tests/unit/fake_tree.h"
#include "tests/unit/store_suite.h"

static char *endpoint, *bucket;

static struct store *open_store(const char *path, const char *in_bucket)
{
	AUTO_FREE char *p = mem_str(path);
	AUTO_FREE char *b = mem_str(in_bucket);
	const struct replica_config rc = { .type = REPLICA_S3,
					   .path = p,
					   .bucket = b,
					   .endpoint = endpoint,
					   .path_style = true,
					   .path_style_set = true };
	const struct store_options o = { .timeout_ms = 20000 };
	struct err e = ERR_INIT;
	struct store *s = store_open(&rc, &o, &e);

	if (!s)
		fail_msg("%s", e.msg);
	return s;
}

static int setup(void **state)
{
	char id[17];
	AUTO_FREE char *path = NULL;

	random_hex16(id);
	path = mem_fmt("suite %s/ro\xc3\xb6t", id);
	*state = open_store(path, bucket);
	return 0;
}

static int teardown(void **state)
{
	store_close(*state);
	return 0;
}

static void a_missing_bucket_is_not_found_and_named(void **state)
{
	struct store *s = open_store("app", "no-such-bucket-here");
	struct suite_list l = { .n = 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(s->ops->list(s, "", false, suite_collect, &l, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_string_equal(e.slug, "no_such_bucket");
	assert_string_equal(e.msg, "list no-such-bucket-here: 404 NoSuchBucket");
	store_close(s);
}

static void a_store_without_a_path_has_the_whole_bucket(void **state)
{
	struct store *inner = *state;
	struct store *s = open_store("", bucket);
	AUTO_FREE char *key =
		mem_fmt("%s/x", inner->url + strlen("s3:///") + strlen(bucket));

	suite_put(s, key, "seen from outside");
	suite_is(inner, "x", "seen from outside");
	store_close(s);
}

static struct catalog *load(struct store *s, const struct store_ops *ops)
{
	const struct store_ops *real = s->ops;
	struct err e = ERR_INIT;

	s->ops = ops;
	struct catalog *c = catalog_load(s, CATALOG_LTX, &e);

	s->ops = real;
	if (!c)
		fail_msg("%s", e.msg);
	return c;
}

static void assert_same_objects(const struct cat_object *a, const struct cat_object *b,
				size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(wal_pos_cmp(a[i].pos, b[i].pos), 0);
		assert_true(a[i].size == b[i].size && a[i].mtime_ms == b[i].mtime_ms &&
			    a[i].codec == b[i].codec);
	}
}

static int count(void *arg, const struct store_object *o)
{
	(void)o;
	((struct suite_list *)arg)->n++;
	return 0;
}

/* More keys than a page, in ranges and page after page. */
static void a_catalog_is_the_same_by_the_wide_list_and_the_plain_one(void **state)
{
	struct store *s = *state;
	struct store_ops plain = *s->ops;
	struct fake_tree t = fake_tree_make(42, "", 3, 50, 60);

	plain.list_wide = NULL;
	assert_true(t.n > 1500);
	for (size_t i = 0; i < t.n; i++)
		suite_put(s, t.keys[i], "x");
	struct suite_list l = { .n = 0 };

	SUITE_OK(s->ops->list_wide(s, "generations/", '_', count, &l, e));
	assert_int_equal(l.n, t.n);
	struct catalog *a = load(s, s->ops), *b = load(s, &plain);

	assert_int_equal(a->ngens, 3);
	assert_int_equal(b->ngens, 3);
	assert_true(a->others > 2 && a->others == b->others);
	for (size_t i = 0; i < 3; i++) {
		const struct cat_generation *g = &a->gens[i], *h = &b->gens[i];

		assert_string_equal(g->id, h->id);
		assert_true(g->has_record == h->has_record && g->bytes == h->bytes);
		assert_int_equal(g->nsnapshots, h->nsnapshots);
		assert_int_equal(g->nsegments, h->nsegments);
		assert_same_objects(g->snapshots, h->snapshots, g->nsnapshots);
		assert_same_objects(g->segments, h->segments, g->nsegments);
	}
	catalog_free(a);
	catalog_free(b);
	fake_tree_free(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		STORE_SUITE(setup, teardown),
		SUITE_T(a_missing_bucket_is_not_found_and_named, setup, teardown),
		SUITE_T(a_store_without_a_path_has_the_whole_bucket, setup, teardown),
		SUITE_T(a_catalog_is_the_same_by_the_wide_list_and_the_plain_one, setup,
			teardown),
	};

	/* Only where conditional writes are one step: most test servers look and write without a lock. */
	const struct CMUnitTest races[] = {
		SUITE_T(of_several_if_absent_puts_one_wins, setup, teardown),
	};

	if (argc < 3) {
		fprintf(stderr, "usage: store_s3 ENDPOINT BUCKET [loose|atomic]\n");
		return 2;
	}
	endpoint = argv[1];
	bucket = argv[2];
	suite_loose = argc > 3 && strcmp(argv[3], "loose") == 0;
	bool atomic = argc > 3 && strcmp(argv[3], "atomic") == 0;

	return cmocka_run_group_tests(tests, NULL, NULL) |
	       (atomic ? cmocka_run_group_tests(races, NULL, NULL) : 0);
}
