/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/config_url.h"
#include "base/err.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *shown(const char *s)
{
	return s ? s : "-";
}

static void urls_are_taken_apart(void **state)
{
	static const struct {
		const char *url,
			*want; /* type path bucket region endpoint path-style skip-verify */
	} cases[] = {
		{ "s3://bkt", "s3 [] bkt - - - -" },
		{ "s3://bkt/", "s3 [] bkt - - - -" },
		{ "s3://bkt/a//b/../c/", "s3 [a/c] bkt - - - -" },
		{ "s3://my.dotted.bkt/x", "s3 [x] my.dotted.bkt - - - -" },
		{ "s3://bkt/a%20b/%2B+", "s3 [a b/++] bkt - - - -" },
		{ "s3://localhost", "s3 [] - us-east-1 http://localhost true -" },
		{ "s3://b.localhost:9000/p",
		  "s3 [p] b us-east-1 http://localhost:9000 true -" },
		{ "s3://a.b.localhost:9000/p",
		  "s3 [p] a.b us-east-1 http://localhost:9000 true -" },
		{ "s3://b.s3.us-west-000.backblazeb2.com/db",
		  "s3 [db] b us-west-000 https://s3.us-west-000.backblazeb2.com true -" },
		{ "s3://s3.us-west-000.backblazeb2.com/db",
		  "s3 [db] - us-west-000 https://s3.us-west-000.backblazeb2.com true -" },
		{ "s3://b.s3.filebase.com/db",
		  "s3 [db] b  https://s3.filebase.com true -" },
		{ "s3://b.nyc3.digitaloceanspaces.com/db",
		  "s3 [db] b nyc3 https://nyc3.digitaloceanspaces.com true -" },
		{ "s3://b.s3.fr-par.scw.cloud/db",
		  "s3 [db] b fr-par https://s3.fr-par.scw.cloud true -" },
		{ "s3://x.y.us-east-1.linodeobjects.com/db",
		  "s3 [db] x.y us-east-1 https://us-east-1.linodeobjects.com true -" },
		{ "s3://notlocalhost/x", "s3 [x] notlocalhost - - - -" },
		{ "s3://xs3.filebase.com/x", "s3 [x] xs3.filebase.com - - - -" },
		{ "s3://.digitaloceanspaces.com/x",
		  "s3 [x] .digitaloceanspaces.com - - - -" },
		{ "s3://bkt.minio:9000/db", "s3 [db] bkt - http://minio:9000 true -" },
		{ "s3://bkt.s3.example.org:443/db",
		  "s3 [db] bkt - https://s3.example.org:443 true -" },
		{ "s3://bkt.127.0.0.1:9000/db",
		  "s3 [db] bkt - http://127.0.0.1:9000 true -" },
		{ "s3://bkt/p?endpoint=http%3A%2F%2F127.0.0.1%3A9000&region=eu-1&"
		  "force-path-style=true&skip-verify=false",
		  "s3 [p] bkt eu-1 http://127.0.0.1:9000 true false" },
		{ "s3://bkt/p?endpoint=http://h:1/&forcePathStyle=0",
		  "s3 [p] bkt - http://h:1/ false -" },
		{ "s3://bkt?region=", "s3 [] bkt - - - -" },
		{ "s3://bkt/p?nonsense=1&&=", "s3 [p] bkt - - - -" },
		{ "file:///a/b", "file [/a/b] - - - - -" },
		{ "file://a/b", "file [/a/b] - - - - -" },
		{ "file:///a//./b/../c%20d/", "file [/a/c%20d] - - - - -" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct replica_url u;
		struct err e = ERR_INIT;
		char got[512];

		assert_int_equal(replica_url_parse(&u, cases[i].url, &e), 0);
		snprintf(got, sizeof(got), "%s [%s] %s %s %s %s %s",
			 replica_type_name(u.type), u.path, shown(u.bucket),
			 shown(u.region), shown(u.endpoint), shown(u.path_style),
			 shown(u.skip_verify));
		assert_string_equal(got, cases[i].want);
		replica_url_free(&u);
	}
}

static void bad_urls_say_what_to_do(void **state)
{
	static const struct {
		const char *url, *msg, *hint;
	} cases[] = {
		{ "/just/a/path", "/just/a/path: not a URL", "" },
		{ "gs://b/p", "replicas of type gs are not supported",
		  "type s3 with endpoint https://storage.googleapis.com and an HMAC key" },
		{ "abs://acct@c/p",
		  "credentials do not belong into the abs:// URL of a replica",
		  "set LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY" },
		{ "sftp://host/p", "replicas of type sftp are not supported",
		  "use an S3-compatible store, or type file on a mounted folder" },
		{ "nats://b", "replicas of type nats are not supported",
		  "use an S3-compatible store" },
		{ "ftp://b", "unknown replica type 'ftp'", "one of file, s3" },
		{ "s3://key:hunter2@b/p",
		  "credentials do not belong into the s3:// URL of a replica",
		  "set LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY" },
		{ "s3://127.0.0.1:9000/p", "s3://127.0.0.1:9000 names no bucket",
		  "s3://BUCKET.127.0.0.1:9000/PATH, or "
		  "s3://BUCKET/PATH?endpoint=http://127.0.0.1:9000" },
		{ "s3://minio:9000/p", "s3://minio:9000 names no bucket",
		  "s3://BUCKET.minio:9000/PATH, or "
		  "s3://BUCKET/PATH?endpoint=http://minio:9000" },
		{ "s3://b.h:99999/p", "s3://b.h:99999/p: a port is a number up to 65535",
		  "" },
		{ "s3://b/%zz", "s3://b/%zz: a broken % escape", "" },
		{ "s3://b/%00", "s3://b/%00: a broken % escape", "" },
		{ "s3://b/a#b", "s3://b/a#b: a '#' in a URL is written %23", "" },
		{ "s3://b?force-path-style=maybe",
		  "s3://b: neither true nor false in the query", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct replica_url u;
		struct err e = ERR_INIT;

		assert_int_equal(replica_url_parse(&u, cases[i].url, &e), -1);
		assert_int_equal(e.code, ERR_USAGE);
		assert_string_equal(e.msg, cases[i].msg);
		assert_string_equal(e.hint, cases[i].hint);
	}
}

static void endpoints_get_a_scheme_and_lose_what_was_pasted(void **state)
{
	static const struct {
		const char *text, *want;
		bool stripped;
	} cases[] = {
		{ "s3.example.com", "https://s3.example.com", false },
		{ "https://s3.example.com///", "https://s3.example.com", false },
		{ "http://127.0.0.1:9000", "http://127.0.0.1:9000", false },
		{ "https://x.r2.cloudflarestorage.com/bkt",
		  "https://x.r2.cloudflarestorage.com", true },
		{ "https://h/bkt/", "https://h", true },
		{ "https://bkt", "https://bkt", false },
		{ "https://h/xbkt", "https://h/xbkt", false },
		{ "https://h/storage/v1/s3", "https://h/storage/v1/s3", false },
		{ "ftp://h", NULL, false },
		{ "https://", NULL, false },
		{ "https:///x", NULL, false },
		{ "https://k:s@h", NULL, false },
		{ "https://h?x=1", NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = ERR_INIT;
		bool stripped = false;
		char *got = endpoint_clean(cases[i].text, "bkt", &stripped, &e);

		if (!cases[i].want) {
			assert_null(got);
			assert_int_equal(e.code, ERR_USAGE);
			continue;
		}
		assert_string_equal(got, cases[i].want);
		assert_int_equal(stripped, cases[i].stripped);
		free(got);
	}
}

static void paths_are_cleaned(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },	      { ".", "" },
		{ "/", "/" },	      { "/a/b", "/a/b" },
		{ "a/b/", "a/b" },    { "/../a", "/a" },
		{ "../a", "a" },      { "a/../../b", "b" },
		{ "a/..", "" },	      { "//a///b", "/a/b" },
		{ "/a/./b", "/a/b" }, { "/a/..b", "/a/..b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *got = path_clean(cases[i][0]);

		assert_string_equal(got, cases[i][1]);
		free(got);
	}
}

static void only_a_word_and_a_scheme_make_a_url(void **state)
{
	(void)state;
	assert_true(config_is_url("s3://x"));
	assert_true(config_is_url("S3_x9://"));
	assert_false(config_is_url("://x"));
	assert_false(config_is_url("/a/s3://x"));
	assert_false(config_is_url("s3:/x"));
	assert_false(config_is_url("a-b://x"));
	assert_false(config_is_url(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_taken_apart),
		cmocka_unit_test(bad_urls_say_what_to_do),
		cmocka_unit_test(endpoints_get_a_scheme_and_lose_what_was_pasted),
		cmocka_unit_test(paths_are_cleaned),
		cmocka_unit_test(only_a_word_and_a_scheme_make_a_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
