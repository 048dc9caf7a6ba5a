/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "s3/endpoint.h"
#include "tests/unit/unit.h"

#include <string.h>

#define CASES "tests/data/s3-endpoints/endpoint-cases-plain-buckets.json"
#define CHECKED 78 /* of the 118; see ours_differs */

static char *url_of(const struct s3_endpoint *ep)
{
	return mem_fmt("%s://%s%s", ep->scheme, ep->host, ep->base);
}

static bool special(const char *bucket)
{
	return text_ends(bucket, "--xa-s3") || text_ends(bucket, "--op-s3");
}

/* Access points of S3 Express and Outposts need an API of their own: refused where AWS is meant, an
 * ordinary name elsewhere.  A region that is not set is us-east-1 here. */
static bool ours_differs(const struct json *c, const char *bucket)
{
	return special(bucket) || !json_str(c, "region") || strchr(bucket, '/');
}

static int check_case(const struct json *c)
{
	const char *bucket = json_str(c, "bucket"), *want = json_str(c, "url");
	const struct s3_endpoint_options o = {
		.bucket = bucket,
		.region = json_str(c, "region"),
		.endpoint = json_str(c, "endpoint"),
		.path_style = json_bool(c, "force_path_style", false),
		.path_style_set = true,
		.dualstack = json_bool(c, "dualstack", false),
		.global = json_bool(c, "use_global", false),
	};
	CLEANUP(s3_endpoint_free) struct s3_endpoint ep;
	struct err e = ERR_INIT;
	int rc = s3_endpoint_resolve(&ep, &o, &e);

	if (ours_differs(c, bucket))
		return 0;
	if (!want) {
		if (rc == 0)
			fail_msg("%s %s: accepted", bucket, o.endpoint);
		assert_int_equal(e.code, ERR_USAGE);
		return 1;
	}
	if (rc < 0)
		fail_msg("%s: %s", want, e.msg);
	AUTO_FREE char *got = url_of(&ep);

	assert_string_equal(got, want);
	if (json_str(c, "signing_region"))
		assert_string_equal(ep.region, json_str(c, "signing_region"));
	return 1;
}

static void the_cases_of_botocore(void **state)
{
	struct buf text = BUF(1 << 20);
	struct err e = ERR_INIT;
	int checked = 0;

	(void)state;
	assert_int_equal(file_read(CASES, &text, &e), 0);
	CLEANUP(json_freep) struct json *j = json_parse(text.p, text.len, CASES, &e);

	assert_non_null(j);
	assert_null(json_array_obj(j, "cases", 118));
	for (size_t i = 0; i < 118; i++)
		checked += check_case(json_array_obj(j, "cases", i));
	assert_int_equal(checked, CHECKED);
	buf_free(&text);
}

static void our_own_rules(void **state)
{
	static const struct {
		const char *bucket, *region, *endpoint, *url;
		bool path_style, set, in_host;
	} cases[] = {
		/* A custom endpoint is path style unless said otherwise. */
		{ "b-1", "", "http://minio:9000", "http://minio:9000/b-1", 0, 0, 0 },
		{ "b-1", NULL, "s3.example.com", "https://s3.example.com/b-1", 0, 0, 0 },
		{ "b-1", "", "https://s3.example.com/", "https://b-1.s3.example.com", 0, 1,
		  1 },
		{ "b-1", "", "https://s3.example.com/x/", "https://b-1.s3.example.com/x", 0,
		  1, 1 },
		{ "b-1", "", "https://s3.example.com/x//", "https://s3.example.com/x/b-1",
		  1, 1, 0 },
		/* The scheme's own port is not in the Host header. */
		{ "bkt", "", "http://h.example:80", "http://h.example/bkt", 0, 0, 0 },
		{ "bkt", "", "https://h.example:443", "https://h.example/bkt", 0, 0, 0 },
		{ "bkt", "", "https://h.example:80", "https://h.example:80/bkt", 0, 0, 0 },
		/* Nothing can stand in front of these. */
		{ "bkt", "", "http://[::1]:9000", "http://[::1]:9000/bkt", 0, 1, 0 },
		{ "bkt", "", "http://[::1]", "http://[::1]/bkt", 0, 1, 0 },
		{ "bkt", "", "http://localhost:1", "http://localhost:1/bkt", 0, 1, 0 },
		{ "b.k.t", "", "https://s3.example.com", "https://s3.example.com/b.k.t", 0,
		  1, 0 },
		{ "b..t", "", "http://s3.example.com", "http://s3.example.com/b..t", 0, 1,
		  0 },
		{ "b.-t", "", "http://s3.example.com", "http://s3.example.com/b.-t", 0, 1,
		  0 },
		{ "1.2.3.4", "", "http://s3.example.com", "http://s3.example.com/1.2.3.4",
		  0, 1, 0 },
		/* Pasted with the bucket behind it. */
		{ "bkt", "auto", "https://acct.r2.cloudflarestorage.com/bkt",
		  "https://acct.r2.cloudflarestorage.com/bkt", 0, 0, 0 },
		/* AWS */
		{ "b-1", "", "", "https://b-1.s3.us-east-1.amazonaws.com", 0, 0, 1 },
		{ "b-1", "eu-west-1", "", "https://s3.eu-west-1.amazonaws.com/b-1", 1, 1,
		  0 },
		{ "b--x-s3", "", "http://127.0.0.1:7070", "http://127.0.0.1:7070/b--x-s3",
		  0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct s3_endpoint_options o = { .bucket = cases[i].bucket,
						       .region = cases[i].region,
						       .endpoint = cases[i].endpoint,
						       .path_style = cases[i].path_style,
						       .path_style_set = cases[i].set };
		CLEANUP(s3_endpoint_free) struct s3_endpoint ep;
		struct err e = ERR_INIT;

		if (s3_endpoint_resolve(&ep, &o, &e) < 0)
			fail_msg("%s: %s", cases[i].url, e.msg);
		AUTO_FREE char *got = url_of(&ep);

		assert_string_equal(got, cases[i].url);
		assert_int_equal(ep.bucket_in_host, cases[i].in_host);
		assert_int_equal(ep.aws, !cases[i].endpoint || !cases[i].endpoint[0]);
	}
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const struct {
		const char *bucket, *region, *endpoint, *message;
	} cases[] = {
		{ "", "", "", "no bucket was given" },
		{ NULL, "", "", "no bucket was given" },
		{ "a/b", "", "", "bucket \"a/b\" is no valid name" },
		{ "..", "", "", "bucket \"..\" is no valid name" },
		{ "b", "us_east!1", "", "region \"us_east!1\" is no valid name" },
		{ "b", "-x", "", "region \"-x\" is no valid name" },
		{ "b", "", "ftp://h", "endpoint \"ftp://h\": neither http nor https" },
		{ "b", "", "https://", "endpoint \"https://\": no valid host" },
		{ "b", "", "https://h:0", "endpoint \"https://h:0\": no valid host" },
		{ "b", "", "https://h:99999",
		  "endpoint \"https://h:99999\": no valid host" },
		{ "b", "", "https://h:x", "endpoint \"https://h:x\": no valid host" },
		{ "b", "", "https://a..b", "endpoint \"https://a..b\": no valid host" },
		{ "b", "", "https://a b", "endpoint \"https://a b\": no valid host" },
		{ "b", "", "https://[::1", "endpoint \"https://[::1\": no valid host" },
		{ "b", "", "https://[zz]", "endpoint \"https://[zz]\": no valid host" },
		{ "b", "", "https://h?x=1",
		  "endpoint \"https://h?x=1\": a query does not belong there" },
		{ "b", "", "https://user:pw@h",
		  "endpoint: a user name or password does not belong there" },
		{ "b", "", "https://h/a b",
		  "endpoint \"https://h/a b\": its path has characters that must be "
		  "encoded" },
		{ "b--x-s3", "", "",
		  "bucket b--x-s3: buckets of S3 Express and Outposts are not supported" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct s3_endpoint_options o = { .bucket = cases[i].bucket,
						       .region = cases[i].region,
						       .endpoint = cases[i].endpoint };
		CLEANUP(s3_endpoint_free) struct s3_endpoint ep;
		struct err e = ERR_INIT;

		assert_int_equal(s3_endpoint_resolve(&ep, &o, &e), -1);
		assert_int_equal(e.code, ERR_USAGE);
		assert_string_equal(e.msg, cases[i].message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cases_of_botocore),
		cmocka_unit_test(our_own_rules),
		cmocka_unit_test(what_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
