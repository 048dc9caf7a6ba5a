/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store suite on a real S3 server.  Run by tests/it/test_store_s3.py with
 *   store_s3 ENDPOINT BUCKET [loose|atomic]
 * and credentials in the environment.  Each test has its own prefix.
 */
#include "agent/config/config.h"
#include "base/clock.h"
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		STORE_SUITE(setup, teardown),
		SUITE_T(a_missing_bucket_is_not_found_and_named, setup, teardown),
		SUITE_T(a_store_without_a_path_has_the_whole_bucket, setup, teardown),
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
