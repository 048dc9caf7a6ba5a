/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/config.h"
#include "agent/store/store.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

static void a_file_replica_becomes_a_folder(void **state)
{
	char path[] = "/nowhere/at/all/";
	const struct replica_config rc = { .type = REPLICA_FILE, .path = path };
	const struct replica_config bad = { .type = REPLICA_FILE, .path = path + 1 };
	struct err e = ERR_INIT;
	struct store *s = store_open(&rc, NULL, &e);

	(void)state;
	assert_string_equal(s->url, "file:///nowhere/at/all");
	store_closep(&s);
	assert_null(s);
	assert_null(store_open(&bad, NULL, &e));
	assert_int_equal(e.code, ERR_USAGE);
	assert_string_equal(e.msg,
			    "file replica: \"nowhere/at/all/\" is not an absolute path");
}

static void an_s3_replica_opens_without_the_network(void **state)
{
	char bucket[] = "bucket", path[] = "app/db", id[] = "AKIDEXAMPLE", none[] = "";
	struct replica_config rc = { .type = REPLICA_S3,
				     .bucket = bucket,
				     .path = path,
				     .access_key_id = id,
				     .secret_access_key = secret_from("secret") };
	struct err e = ERR_INIT;
	struct store *s = store_open(&rc, NULL, &e);

	(void)state;
	assert_string_equal(s->url, "s3://bucket/app/db");
	store_close(s);
	rc.path = none;
	s = store_open(&rc, NULL, &e);
	assert_string_equal(s->url, "s3://bucket");
	store_close(s);
	secret_free(&rc.secret_access_key);
	rc.path = path;
	assert_null(store_open(&rc, NULL, &e));
	assert_int_equal(e.code, ERR_DENIED);
	assert_string_equal(e.msg,
			    "s3://bucket/app/db: half of the credentials is missing: an "
			    "access key id without a secret access key");
	store_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_replica_becomes_a_folder),
		cmocka_unit_test(an_s3_replica_opens_without_the_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
