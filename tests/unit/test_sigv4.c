/* SPDX-License-Identifier: Apache-2.0 */
/* AWS's own cases (tests/data/sigv4), each as header and as query signature. */
#include "base/cleanup.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"
#include "s3/sigv4.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <string.h>

#define CASES "tests/data/sigv4/aws-c-auth-v4"
#define PAIRS 16

struct request {
	struct buf text;
	char method[16];
	char *path, *body;
	char *params; /* decoded names and values, owned */
	struct sigv4_pair query[PAIRS], headers[PAIRS];
	size_t nquery, nheaders;
	struct buf decoded[2 * PAIRS];
	size_t ndecoded;
};

static void read_part(const char *name, const char *part, struct buf *out)
{
	AUTO_FREE char *path = mem_fmt(CASES "/%s/%s", name, part);
	struct err e = ERR_INIT;

	if (file_read(path, out, &e) < 0)
		fail_msg("%s", e.msg);
	buf_add(out, "", 0);
}

static void expect_part(const char *name, const char *part, const char *got)
{
	struct buf want = BUF(65536);

	read_part(name, part, &want);
	if (strcmp((char *)want.p, got) != 0)
		fail_msg("%s/%s:\n%s\ninstead of\n%s", name, part, got, (char *)want.p);
	buf_free(&want);
}

static const char *decoded(struct request *r, const char *p, size_t n)
{
	struct buf *b = &r->decoded[r->ndecoded++];

	*b = (struct buf)BUF(4096);
	buf_add(b, "", 0);
	assert_int_equal(text_uri_decode(b, p, n, false), 0);
	return (char *)b->p;
}

static void parse_query(struct request *r, char *q)
{
	while (q && *q) {
		size_t n = strcspn(q, "&"), k = strcspn(q, "=&");
		struct sigv4_pair *p = &r->query[r->nquery++];

		p->name = decoded(r, q, k);
		p->value = k < n ? decoded(r, q + k + 1, n - k - 1) : "";
		q += q[n] ? n + 1 : n;
	}
}

/* "Name:value" lines, continued where the next begins with a blank. */
static char *parse_headers(struct request *r, char *p)
{
	while (*p && *p != '\n') {
		char *end = strchr(p, '\n'), *colon = strchr(p, ':');

		while (end && (end[1] == ' ' || end[1] == '\t'))
			end = strchr(end + 1, '\n');
		assert_non_null(colon);
		*colon = 0;
		r->headers[r->nheaders++] = (struct sigv4_pair){ p, colon + 1 };
		if (!end)
			return p + strlen(colon + 1);
		*end = 0;
		p = end + 1;
	}
	return *p ? p + 1 : p;
}

static void parse_request(struct request *r, const char *name)
{
	*r = (struct request){ .text = BUF(65536) };
	read_part(name, "request.txt", &r->text);
	char *line = (char *)r->text.p, *eol = strchr(line, '\n');

	if (eol)
		*eol = 0;
	char *sp = strchr(line, ' '), *tail = strstr(line, " HTTP/1.1");

	assert_non_null(sp);
	assert_non_null(tail);
	*tail = *sp = 0;
	snprintf(r->method, sizeof(r->method), "%s", line);
	r->path = sp + 1;
	char *q = strchr(r->path, '?');

	if (q)
		*q++ = 0;
	parse_query(r, q);
	r->body = eol ? parse_headers(r, eol + 1) : tail;
}

static void free_request(struct request *r)
{
	for (size_t i = 0; i < r->ndecoded; i++)
		buf_free(&r->decoded[i]);
	buf_free(&r->text);
}

static void check_texts(const char *name, const char *form, const struct sigv4_request *s)
{
	struct buf canonical = BUF(65536), text = BUF(4096), names = BUF(1024);
	AUTO_FREE char *a = mem_fmt("%s-canonical-request.txt", form);
	AUTO_FREE char *b = mem_fmt("%s-string-to-sign.txt", form);

	sigv4_canonical(s, &canonical, &names);
	sigv4_string_to_sign(s, &canonical, &text);
	expect_part(name, a, (char *)canonical.p);
	expect_part(name, b, (char *)text.p);
	buf_free(&canonical);
	buf_free(&text);
	buf_free(&names);
}

struct context {
	const char *id, *token;
	struct secret secret;
	uint32_t expires_s;
	bool unsigned_token, sign_body;
};

static void check_header_form(const char *name, struct request *r, struct sigv4_request s,
			      const struct context *c)
{
	char date[SIGV4_DATE_MAX];
	uint8_t key[32];
	struct buf out = BUF(4096);

	text_format_time_compact(s.now_ms, date);
	r->headers[r->nheaders++] = (struct sigv4_pair){ "X-Amz-Date", date };
	if (c->token && !c->unsigned_token)
		r->headers[r->nheaders++] =
			(struct sigv4_pair){ "X-Amz-Security-Token", c->token };
	if (c->sign_body)
		r->headers[r->nheaders++] =
			(struct sigv4_pair){ "x-amz-content-sha256", s.payload_hash };
	s.nheaders = r->nheaders;
	check_texts(name, "header", &s);
	sigv4_signing_key(&s, &c->secret, key);
	sigv4_authorize(&s, c->id, key, &out);
	const char *sig = strstr((char *)out.p, "Signature=");

	assert_non_null(sig);
	expect_part(name, "header-signature.txt", sig + 10);
	AUTO_FREE char *path = mem_fmt(CASES "/%s/header-signed-request.txt", name);
	struct buf whole = BUF(65536);
	struct err e = ERR_INIT;

	assert_int_equal(file_read(path, &whole, &e), 0);
	assert_non_null(memmem(whole.p, whole.len, out.p, out.len));
	buf_free(&whole);
	buf_free(&out);
}

static void check_query_form(const char *name, const struct sigv4_request *s,
			     const struct context *c)
{
	const struct sigv4_key key = { c->id, &c->secret };
	const struct sigv4_presign p = { .expires_s = c->expires_s,
					 .token = c->token,
					 .token_is_unsigned = c->unsigned_token };
	struct buf out = BUF(16384);

	sigv4_presign(s, &key, &p, &out);
	const char *sig = strstr((char *)out.p, "X-Amz-Signature=");

	assert_non_null(sig);
	expect_part(name, "query-signature.txt", sig + 16);
	assert_int_equal(c->token != NULL,
			 strstr((char *)out.p, "Security-Token=") != NULL);
	buf_free(&out);
}

static void check_case(const char *name)
{
	struct buf text = BUF(16384);
	struct err e = ERR_INIT;
	struct request r;
	char hash[65];
	int64_t expires = 0;

	read_part(name, "context.json", &text);
	CLEANUP(json_freep) struct json *j = json_parse(text.p, text.len, name, &e);

	assert_non_null(j);
	const struct json *cred = json_obj(j, "credentials");
	struct context c = { .id = json_str(cred, "access_key_id"),
			     .secret = secret_from(json_str(cred, "secret_access_key")),
			     .token = json_str(cred, "token"),
			     .unsigned_token = json_bool(j, "omit_session_token", false),
			     .sign_body = json_bool(j, "sign_body", false) };

	assert_int_equal(json_i64(j, "expiration_in_seconds", &expires), 0);
	c.expires_s = (uint32_t)expires;
	parse_request(&r, name);
	hash_sha256_hex(r.body, c.sign_body ? strlen(r.body) : 0, hash);
	struct sigv4_request s = { .method = r.method,
				   .path = r.path,
				   .query = r.query,
				   .nquery = r.nquery,
				   .headers = r.headers,
				   .nheaders = r.nheaders,
				   .payload_hash = hash,
				   .region = json_str(j, "region"),
				   .service = json_str(j, "service"),
				   .general = true,
				   .normalize = json_bool(j, "normalize", false) };

	assert_int_equal(text_time_ms(json_str(j, "timestamp"), 0, &s.now_ms), 0);
	check_query_form(name, &s, &c);
	check_header_form(name, &r, s, &c);
	free_request(&r);
	secret_free(&c.secret);
	buf_free(&text);
}

static void the_cases_of_aws_sign_as_expected(void **state)
{
	DIR *d = opendir(CASES);
	int n = 0;

	(void)state;
	assert_non_null(d);
	for (struct dirent *de; (de = readdir(d));) {
		if (de->d_name[0] == '.' || !strchr(de->d_name, '-'))
			continue;
		check_case(de->d_name);
		n++;
	}
	closedir(d);
	assert_int_equal(n, 38);
}

/* The example of S3's documentation, "GET Object" (sig-v4-header-based-auth). */
static void the_example_of_s3s_documentation(void **state)
{
	const struct sigv4_pair h[] = {
		{ "Host", "examplebucket.s3.amazonaws.com" },
		{ "Range", "bytes=0-9" },
		{ "x-amz-content-sha256", SIGV4_EMPTY_HASH },
		{ "x-amz-date", "20130524T000000Z" },
	};
	const struct sigv4_request r = { .method = "GET",
					 .path = "/test.txt",
					 .headers = h,
					 .nheaders = 4,
					 .payload_hash = SIGV4_EMPTY_HASH,
					 .region = "us-east-1",
					 .service = "s3",
					 .now_ms = 1369353600000 };
	struct secret secret = secret_from("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
	struct buf out = BUF(1024);
	uint8_t key[32];

	(void)state;
	sigv4_signing_key(&r, &secret, key);
	sigv4_authorize(&r, "AKIAIOSFODNN7EXAMPLE", key, &out);
	assert_string_equal(
		(char *)out.p,
		"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/"
		"s3/aws4_request, SignedHeaders=host;range;x-amz-content-sha256;"
		"x-amz-date, Signature="
		"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
	secret_free(&secret);
	buf_free(&out);
}

static void an_s3_path_is_signed_as_it_is_sent(void **state)
{
	const struct sigv4_request r = { .method = "GET",
					 .path = "/b//a/./../%20x",
					 .payload_hash = "h",
					 .region = "r",
					 .service = "s3" };
	struct buf out = BUF(1024), names = BUF(64);

	(void)state;
	sigv4_canonical(&r, &out, &names);
	assert_string_equal((char *)out.p, "GET\n/b//a/./../%20x\n\n\n\n\nh");
	buf_free(&out);
	buf_free(&names);
}

static void a_query_is_encoded_and_sorted_by_bytes(void **state)
{
	const struct sigv4_pair q[] = {
		{ "uploads", NULL }, { "b", "2 /+=~" }, { "b", "1" },
		{ "B", "\xc3\xa9" }, { "b-", "x" },
	};
	struct buf out = BUF(1024);

	(void)state;
	sigv4_query(&out, q, 5);
	assert_string_equal((char *)out.p, "B=%C3%A9&b=1&b=2%20%2F%2B%3D~&b-=x&uploads=");
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cases_of_aws_sign_as_expected),
		cmocka_unit_test(the_example_of_s3s_documentation),
		cmocka_unit_test(an_s3_path_is_signed_as_it_is_sent),
		cmocka_unit_test(a_query_is_encoded_and_sorted_by_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
