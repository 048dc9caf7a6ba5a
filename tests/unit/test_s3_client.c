/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a server that misbehaves by script. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "s3/list.h"
#include "s3/multipart.h"
#include "s3/object.h"
#include "tests/unit/fake_http.h"
#include "tests/unit/fake_s3.h"

#include <stdatomic.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define OK(text)                                   \
	{                                          \
		200, NULL, text, FAKE_ANSWER, NULL \
	}
#define ERROR_XML(code) "<Error><Code>" code "</Code><Message>m</Message></Error>"
#define ERROR(status, code)                                      \
	{                                                        \
		status, NULL, ERROR_XML(code), FAKE_ANSWER, NULL \
	}

struct env {
	struct fake *f;
	struct http *http;
	struct s3_client *c;
	struct stop *stop;
	char *host;
};

static void env_open_for(struct env *v, unsigned port, int64_t timeout_ms,
			 int64_t contact_ms)
{
	v->stop = stop_new();
	v->http = http_new(NULL);
	v->host = mem_fmt("127.0.0.1:%u", port);
	v->c = fake_client(&(struct fake_client){ .port = port,
						  .http = v->http,
						  .stop = v->stop,
						  .token = "sessiontoken",
						  .timeout_ms = timeout_ms,
						  .contact_ms = contact_ms });
}

static void env_open_at(struct env *v, unsigned port, int64_t timeout_ms)
{
	env_open_for(v, port, timeout_ms, 0);
}

static void env_open(struct env *v, const struct fake_step *steps, size_t n)
{
	v->f = fake_start(steps, n);
	env_open_at(v, v->f->port, 6000);
}

static void env_close(struct env *v)
{
	s3_client_free(v->c);
	http_destroy(v->http);
	if (v->f)
		fake_stop(v->f);
	stop_destroy(v->stop);
	free(v->host);
	*v = (struct env){ 0 };
}

static int get(struct env *v, struct buf *out, struct err *e)
{
	struct s3_get g;

	s3_get_init(&g, "app/key", 0, UINT64_MAX, 0, out);
	int rc = s3_get(v->c, &g, NULL, e);

	s3_get_free(&g);
	return rc;
}

static void a_request_is_signed_and_carries_the_token(void **state)
{
	static const struct fake_step steps[] = { OK("x") };
	struct env v = { 0 };
	struct buf out = BUF(10);
	struct err e = ERR_INIT;

	(void)state;
	env_open(&v, steps, 1);
	assert_int_equal(get(&v, &out, &e), 0);
	const char *r = v.f->request[0];

	assert_int_equal(strncmp(r, "GET /bkt/app/key HTTP/1.1\r\n", 27), 0);
	assert_non_null(strstr(r, "\r\nx-amz-security-token: sessiontoken\r\n"));
	assert_non_null(strstr(r, "/us-east-1/s3/aws4_request, SignedHeaders=host;"
				  "x-amz-content-sha256;x-amz-date;x-amz-security-token, "
				  "Signature="));
	assert_null(strstr(r, "verysecret"));
	buf_free(&out);
	env_close(&v);
}

/* The value of a request's header, up to the end of its line. */
static bool has_header(const char *request, const char *name, const char *value)
{
	AUTO_FREE char *line = mem_fmt("\r\n%s: %s\r\n", name, value);

	return strstr(request, line) != NULL;
}

static void a_body_is_signed_by_its_hash(void **state)
{
	static const struct fake_step steps[] = { { 200, "ETag: \"e\"\r\n", "", FAKE_ANSWER,
						    NULL } };
	struct env v = { 0 };
	struct err e = ERR_INIT;
	char hash[65];

	(void)state;
	env_open(&v, steps, 1);
	assert_int_equal(s3_put(v.c, "k", "content", 7, NULL, &e), 0);
	hash_sha256_hex("content", 7, hash);
	assert_true(has_header(v.f->request[0], "x-amz-content-sha256", hash));
	assert_true(has_header(v.f->request[0], "Content-MD5", "mgNkuembtIDdJeHwKEyFVQ=="));
	assert_null(strstr(v.f->request[0], "If-None-Match"));
	assert_int_equal(s3_put(v.c, "k", "", 0, NULL, &e), 0);
	assert_true(has_header(v.f->request[1], "x-amz-content-sha256", SIGV4_EMPTY_HASH));
	env_close(&v);
}

static void what_passes_is_tried_again(void **state)
{
	static const struct {
		struct fake_step steps[3];
	} cases[] = {
		{ { { 503, NULL, ERROR_XML("SlowDown"), FAKE_ANSWER, NULL }, OK("body") } },
		{ { { 500, NULL, "<html>", FAKE_ANSWER, NULL }, OK("body") } },
		{ { ERROR(400, "RequestTimeout"), OK("body") } },
		{ { { 429, "Retry-After: 0\r\n", "", FAKE_ANSWER, NULL }, OK("body") } },
		{ { { 200, NULL, "body", FAKE_CUT, NULL }, OK("body") } },
		{ { { 200, NULL, "body", FAKE_CLOSE, NULL }, OK("body") } },
		{ { { 0, NULL, NULL, FAKE_GARBAGE, NULL }, OK("body") } },
		{ { { 200, NULL, "body", FAKE_TRICKLE, NULL }, OK("body") } },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct env v = { 0 };
		struct buf out = BUF(10);
		struct err e = ERR_INIT;

		env_open(&v, cases[i].steps, 2);
		if (get(&v, &out, &e) < 0)
			fail_msg("case %zu: %s", i, e.msg);
		assert_string_equal((char *)out.p, "body");
		assert_true(v.f->requests >= 2);
		buf_free(&out);
		env_close(&v);
	}
}

static void retry_after_is_kept(void **state)
{
	static const struct fake_step steps[] = {
		{ 503, "Retry-After: 1\r\n", "", FAKE_ANSWER, NULL }, OK("x")
	};
	struct env v = { 0 };
	struct buf out = BUF(10);
	struct err e = ERR_INIT;
	int64_t start = clock_mono_ms();

	(void)state;
	env_open(&v, steps, 2);
	assert_int_equal(get(&v, &out, &e), 0);
	assert_true(clock_mono_ms() - start >= 1000);
	buf_free(&out);
	env_close(&v);
}

static void what_does_not_pass_is_explained(void **state)
{
	static const struct {
		struct fake_step step;
		enum errc code;
		const char *slug, *message, *hint;
	} cases[] = {
		{ ERROR(403, "SignatureDoesNotMatch"), ERR_DENIED, "bad_secret",
		  "get app/key: 403 SignatureDoesNotMatch",
		  "the secret access key does not fit the access key id ..MPLE, or "
		  "something between "
		  "changes requests" },
		{ ERROR(403, "InvalidAccessKeyId"), ERR_DENIED, "bad_key_id",
		  "get app/key: 403 InvalidAccessKeyId",
		  "the store does not know the access key id ..MPLE" },
		{ ERROR(403, "AccessDenied"), ERR_DENIED, "access_denied",
		  "get app/key: 403 AccessDenied",
		  "the access key ..MPLE lacks the right to do this: its policy must allow "
		  "s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and "
		  "s3:DeleteObject on what is in it" },
		{ ERROR(400, "ExpiredToken"), ERR_DENIED, "expired_token",
		  "get app/key: 400 ExpiredToken",
		  "the session token of the access key ..MPLE has expired" },
		{ { 403, NULL, "<html>no</html>", FAKE_ANSWER, NULL },
		  ERR_DENIED,
		  "access_denied",
		  "get app/key: 403",
		  "check the credentials (access key ..MPLE) and their policy" },
		{ ERROR(404, "NoSuchKey"), ERR_NOT_FOUND, NULL,
		  "get app/key: 404 NoSuchKey", "" },
		{ ERROR(404, "NoSuchBucket"), ERR_NOT_FOUND, "no_such_bucket",
		  "get app/key: 404 NoSuchBucket",
		  "there is no bucket bkt at HOST: create it or correct its name" },
		{ ERROR(412, "PreconditionFailed"), ERR_EXISTS, NULL,
		  "get app/key: 412 PreconditionFailed", "" },
		{ ERROR(501, "NotImplemented"), ERR_DENIED, "not_implemented",
		  "get app/key: 501 NotImplemented", "" },
		{ { 302, "Location: /x\r\n", "", FAKE_ANSWER, NULL },
		  ERR_USAGE,
		  "wrong_region",
		  "get app/key: 302",
		  "the store sends this request elsewhere: check region and endpoint" },
		{ { 301, NULL,
		    "<Error><Code>PermanentRedirect</Code><Region>us-east-1</Region></"
		    "Error>",
		    FAKE_ANSWER, NULL },
		  ERR_USAGE,
		  "wrong_region",
		  "get app/key: 301 PermanentRedirect",
		  "the bucket is in the region us-east-1: set region to it" },
		{ { 400, NULL, "Client sent an HTTP request to an HTTPS server.\n",
		    FAKE_ANSWER, NULL },
		  ERR_USAGE,
		  NULL,
		  "get app/key: 400",
		  "the server speaks https: write https:// in the endpoint" },
		{ OK("more than ten bytes"), ERR_CORRUPT, NULL,
		  "get app/key: the answer is larger than the 10 bytes expected", "" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct env v = { 0 };
		struct buf out = BUF(10);
		struct err e = ERR_INIT;

		env_open(&v, &cases[i].step, 1);
		assert_int_equal(get(&v, &out, &e), -1);
		char *host = strstr(e.hint, v.host);

		if (host) { /* the port is a new one each time */
			memmove(host + 4, host + strlen(v.host),
				strlen(host + strlen(v.host)) + 1);
			memcpy(host, "HOST", 4);
		}
		assert_string_equal(e.msg, cases[i].message);
		assert_int_equal(e.code, cases[i].code);
		assert_string_equal(e.hint, cases[i].hint);
		if (cases[i].slug)
			assert_string_equal(e.slug, cases[i].slug);
		assert_int_equal(v.f->requests, 1);
		assert_int_equal(out.len, 0);
		buf_free(&out);
		env_close(&v);
	}
}

static void failing_to_the_end_tells_the_tries(void **state)
{
	static const struct fake_step steps[] = { ERROR(500, "InternalError") };
	struct env v = { 0 };
	struct buf out = BUF(10);
	struct err e = ERR_INIT;

	(void)state;
	v.f = fake_start(steps, 1);
	env_open_at(&v, v.f->port, 700);
	assert_int_equal(get(&v, &out, &e), -1);
	assert_int_equal(e.code, ERR_AGAIN);
	assert_string_equal(e.slug, "store_failing");
	if (strncmp(e.msg, "get app/key: 500 InternalError (", 32) != 0 ||
	    !strstr(e.msg, " tries, 0."))
		fail_msg("%s", e.msg);
	buf_free(&out);
	env_close(&v);
}

#define LATER_MS 700

/* A server that comes back at its port. */
struct later {
	pthread_t thread;
	unsigned port;
	int64_t began_ms;
	struct fake *f;
};

static void *run_later(void *arg)
{
	static const struct fake_step once[] = { { .status = 200, .body = "x" } };
	struct later *l = arg;

	clock_sleep_ms(LATER_MS);
	l->f = fake_start_at(l->port, once, 1);
	return NULL;
}

static void start_later(struct later *l)
{
	l->began_ms = clock_mono_ms();
	assert_int_equal(pthread_create(&l->thread, NULL, run_later, l), 0);
}

static struct fake *join_later(struct later *l)
{
	assert_int_equal(pthread_join(l->thread, NULL), 0);
	return l->f;
}

static void a_dead_port_is_named_within_the_timeout(void **state)
{
	struct env v = { 0 };
	struct buf out = BUF(10);
	struct err e = ERR_INIT;
	int64_t start = clock_mono_ms();

	(void)state;
	env_open_at(&v, fake_dead_port(), 500);
	AUTO_FREE char *want =
		mem_fmt("get app/key: cannot connect to %s: Connection refused (", v.host);

	assert_int_equal(get(&v, &out, &e), -1);
	assert_int_equal(e.code, ERR_AGAIN);
	assert_string_equal(e.slug, "unreachable");
	assert_int_equal(strncmp(e.msg, want, strlen(want)), 0);
	assert_string_equal(e.hint,
			    "check the endpoint, the network, and that the server runs");
	assert_true(clock_mono_ms() - start < 3000);
	env_close(&v);
}

static void a_store_never_heard_of_is_given_up_sooner(void **state)
{
	struct env v = { 0 };
	struct buf out = BUF(10);
	struct err e = ERR_INIT;
	int64_t start = clock_mono_ms();

	(void)state;
	env_open_for(&v, fake_dead_port(), 60000, 900);
	assert_int_equal(get(&v, &out, &e), -1);
	assert_string_equal(e.slug, "unreachable");
	assert_non_null(strstr(e.msg, v.host));
	assert_non_null(strstr(e.msg, "Connection refused ("));
	assert_non_null(strstr(e.msg, " tries, 0."));
	assert_true(clock_mono_ms() - start < 5000);
	env_close(&v);
	buf_free(&out);
}

/* It is there and slow, or was there: the whole time-out is its. */
static void a_store_that_may_come_back_is_waited_for(void **state)
{
	static const struct fake_step once[] = { { .status = 200, .body = "x" } };
	static const struct fake_step never[] = { { .how = FAKE_STALL } };
	struct env v = { 0 };
	struct buf out = BUF(10);
	struct err e = ERR_INIT;
	int64_t start = clock_mono_ms();

	(void)state;
	v.f = fake_start(never, 1);
	env_open_for(&v, v.f->port, 1500, 100);
	assert_int_equal(get(&v, &out, &e), -1);
	assert_true(clock_mono_ms() - start >= 500);
	env_close(&v);

	v = (struct env){ .f = fake_start(once, 1) };
	env_open_for(&v, v.f->port, 60000, 100);
	assert_int_equal(get(&v, &out, &e), 0);
	unsigned port = v.f->port;

	fake_stop(v.f);
	struct later later = { .port = port };

	start_later(&later);
	assert_int_equal(get(&v, &out, &e), 0);
	assert_true(clock_mono_ms() - later.began_ms >= LATER_MS);
	v.f = join_later(&later);
	env_close(&v);
	buf_free(&out);
}

static void other_ways_not_to_answer(void **state)
{
	static const struct {
		struct fake_step step;
		const char *says;
	} cases[] = {
		{ { 200, NULL, "x", FAKE_STALL, NULL }, " does not answer in time: " },
		{ { 200, NULL, "x", FAKE_CLOSE, NULL }, " broke: Empty reply" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct env v = { 0 };
		struct buf out = BUF(10);
		struct err e = ERR_INIT;

		v.f = fake_start(&cases[i].step, 1);
		env_open_at(&v, v.f->port, 1200);
		assert_int_equal(get(&v, &out, &e), -1);
		assert_int_equal(e.code, ERR_AGAIN);
		if (!strstr(e.msg, cases[i].says))
			fail_msg("%s", e.msg);
		env_close(&v);
	}
}

static void a_stop_token_cancels(void **state)
{
	static const struct fake_step steps[] = { ERROR(503, "SlowDown") };
	struct env v = { 0 };
	struct buf out = BUF(10);
	struct err e = ERR_INIT;

	(void)state;
	env_open(&v, steps, 1);
	assert_false(s3_client_stopped(v.c));
	stop_set(v.stop, 0);
	assert_true(s3_client_stopped(v.c));
	assert_int_equal(get(&v, &out, &e), -1);
	assert_int_equal(e.code, ERR_CANCELED);
	env_close(&v);
}

static void the_region_is_learnt_from_the_answer(void **state)
{
	static const struct fake_step steps[] = {
		{ 400, NULL,
		  "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</"
		  "Region>"
		  "</Error>",
		  FAKE_ANSWER, NULL },
		OK("one"),
		OK("two")
	};
	struct env v = { 0 };
	struct buf out = BUF(10);
	struct err e = ERR_INIT;

	(void)state;
	env_open(&v, steps, 3);
	assert_int_equal(get(&v, &out, &e), 0);
	assert_int_equal(get(&v, &out, &e), 0);
	assert_int_equal(v.f->requests, 3);
	assert_non_null(strstr(v.f->request[0], "/us-east-1/s3/"));
	assert_non_null(strstr(v.f->request[1], "/eu-west-1/s3/"));
	assert_non_null(strstr(v.f->request[2], "/eu-west-1/s3/"));
	buf_free(&out);
	env_close(&v);
}

static void only_in_eu(struct fake *f, const char *request, struct fake_step *s)
{
	(void)f;
	if (strstr(request, "/eu-west-1/s3/"))
		return;
	s->status = 400;
	s->headers = "x-amz-bucket-region: eu-west-1\r\n";
	s->body = ERROR_XML("AuthorizationHeaderMalformed");
}

static void on_get_done(struct s3_op *op)
{
	atomic_fetch_add((atomic_int *)op->arg, 1);
}

/* All were signed for the wrong region before the first answer told it. */
static void requests_side_by_side_all_learn_the_region(void **state)
{
	enum { GETS = 4 };
	static const struct fake_step steps[] = { { 200, NULL, "one", FAKE_ANSWER,
						    only_in_eu } };
	struct env v = { 0 };
	struct s3_get g[GETS];
	struct buf out[GETS];
	struct err e = ERR_INIT;
	atomic_int done = 0;

	(void)state;
	env_open(&v, steps, 1);
	for (int i = 0; i < GETS; i++) {
		out[i] = (struct buf)BUF(10);
		s3_get_init(&g[i], "k", 0, UINT64_MAX, 3, &out[i]);
		g[i].op.done = on_get_done;
		g[i].op.arg = &done;
		s3_start(v.c, &g[i].op);
	}
	while (atomic_load(&done) < GETS) /* each has its deadline */
		clock_sleep_ms(1);
	for (int i = 0; i < GETS; i++) {
		if (s3_get_finish(&g[i], NULL, &e) < 0)
			fail_msg("%s", e.msg);
		assert_string_equal((char *)out[i].p, "one");
		s3_get_free(&g[i]);
		buf_free(&out[i]);
	}
	env_close(&v);
}

static void a_head_learns_the_region_from_a_header(void **state)
{
	static const struct fake_step steps[] = {
		{ 400, "x-amz-bucket-region: eu-west-1\r\n", NULL, FAKE_ANSWER, NULL },
		{ 200, "ETag: \"e\"\r\n", "12345", FAKE_ANSWER, NULL },
	};
	struct env v = { 0 };
	struct s3_info info;
	struct err e = ERR_INIT;

	(void)state;
	env_open(&v, steps, 2);
	assert_int_equal(s3_head(v.c, "k", &info, &e), 0);
	assert_int_equal(info.size, 5);
	assert_string_equal(info.etag, "\"e\"");
	assert_non_null(strstr(v.f->request[1], "/eu-west-1/s3/"));
	env_close(&v);
}

static void a_learnt_region_must_be_a_name(void **state)
{
	static const struct fake_step steps[] = {
		{ 400, "x-amz-bucket-region: evil.example/\r\n",
		  ERROR_XML("AuthorizationHeaderMalformed"), FAKE_ANSWER, NULL }
	};
	struct env v = { 0 };
	struct buf out = BUF(10);
	struct err e = ERR_INIT;

	(void)state;
	env_open(&v, steps, 1);
	assert_int_equal(get(&v, &out, &e), -1);
	assert_int_equal(v.f->requests, 1);
	env_close(&v);
}

static void the_stores_clock_is_taken_once(void **state)
{
	static const struct fake_step steps[] = {
		{ 403, "Date: Sat, 21 Nov 2009 03:02:11 GMT\r\n",
		  ERROR_XML("RequestTimeTooSkewed"), FAKE_ANSWER, NULL },
		OK("one"),
		{ 403, "Date: Sat, 21 Nov 2009 03:02:11 GMT\r\n",
		  ERROR_XML("RequestTimeTooSkewed"), FAKE_ANSWER, NULL },
	};
	struct env v = { 0 };
	struct buf out = BUF(10);
	struct err e = ERR_INIT;

	(void)state;
	env_open(&v, steps, 3);
	assert_int_equal(get(&v, &out, &e), 0);
	assert_non_null(strstr(v.f->request[1], "x-amz-date: 20091121T0302"));
	assert_int_equal(get(&v, &out, &e), -1); /* again and again: the clock is not it */
	assert_int_equal(v.f->requests, 4);
	assert_int_equal(e.code, ERR_DENIED);
	assert_string_equal(e.slug, "clock_skew");
	buf_free(&out);
	env_close(&v);
}

/* ---- ranges ---- */

static void ranges_that_do_not_fit_are_told(void **state)
{
	static const struct {
		struct fake_step step;
		const char *want; /* NULL: an error */
		uint64_t size;
	} cases[] = {
		{ { 206, "Content-Range: bytes 2-4/10\r\n", "234", FAKE_ANSWER, NULL },
		  "234",
		  10 },
		{ { 206, "Content-Range: bytes 2-3/4\r\n", "23", FAKE_ANSWER, NULL },
		  "23",
		  4 },
		/* A server that does not know ranges. */
		{ { 200, NULL, "0123456789", FAKE_ANSWER, NULL }, "234", 10 },
		{ { 200, NULL, "01", FAKE_ANSWER, NULL }, "", 2 },
		{ { 416, "Content-Range: bytes */2\r\n", "", FAKE_ANSWER, NULL }, "", 2 },
		{ { 416, NULL, ERROR_XML("InvalidRange"), FAKE_ANSWER, NULL }, "", 0 },
		/* Other bytes than asked for. */
		{ { 206, "Content-Range: bytes 0-2/10\r\n", "012", FAKE_ANSWER, NULL },
		  NULL,
		  0 },
		{ { 206, "Content-Range: bytes 2-3/10\r\n", "23", FAKE_ANSWER, NULL },
		  NULL,
		  0 },
		{ { 206, "Content-Range: bytes 2-4/10\r\n", "23", FAKE_ANSWER, NULL },
		  NULL,
		  0 },
		{ { 206, "Content-Range: bytes x-4/10\r\n", "234", FAKE_ANSWER, NULL },
		  NULL,
		  0 },
		{ { 206, "Content-Range: bytes 4-2/10\r\n", "234", FAKE_ANSWER, NULL },
		  NULL,
		  0 },
		{ { 206, NULL, "234", FAKE_ANSWER, NULL }, NULL, 0 },
		{ { 204, NULL, "", FAKE_ANSWER, NULL }, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct env v = { 0 };
		struct buf out = BUF(16);
		struct err e = ERR_INIT;
		struct s3_info info = { .size = 99 };
		struct s3_get g;

		env_open(&v, &cases[i].step, 1);
		buf_add(&out, "", 0);
		s3_get_init(&g, "k", 2, 3, 3, &out);
		int rc = s3_get(v.c, &g, &info, &e);

		if (rc != (cases[i].want ? 0 : -1))
			fail_msg("case %zu: %s", i, e.msg);
		assert_string_equal((char *)out.p, cases[i].want ? cases[i].want : "");
		if (rc == 0)
			assert_int_equal(info.size, cases[i].size);
		else
			assert_int_equal(e.code, ERR_CORRUPT);
		assert_non_null(strstr(v.f->request[0], "\r\nRange: bytes=2-4\r\n"));
		s3_get_free(&g);
		buf_free(&out);
		env_close(&v);
	}
}

/* ---- conditional writes in doubt ---- */

static void a_refusal_of_our_own_repeated_put_is_told_apart(void **state)
{
	static const struct {
		struct fake_step steps[3];
		int rc;
	} cases[] = {
		{ { { 0, NULL, NULL, FAKE_CLOSE, NULL },
		    ERROR(412, "PreconditionFailed"),
		    { 200, "ETag: \"mine\"\r\n", "content", FAKE_ANSWER, NULL } },
		  0 },
		{ { { 0, NULL, NULL, FAKE_CLOSE, NULL },
		    ERROR(412, "PreconditionFailed"),
		    { 200, "ETag: \"other\"\r\n", "konten!", FAKE_ANSWER, NULL } },
		  -1 },
		{ { { 0, NULL, NULL, FAKE_CLOSE, NULL },
		    ERROR(412, "PreconditionFailed"),
		    { 200, "ETag: \"other\"\r\n", "another's, longer", FAKE_ANSWER,
		      NULL } },
		  -1 },
		{ { { 0, NULL, NULL, FAKE_CLOSE, NULL },
		    ERROR(412, "PreconditionFailed"),
		    ERROR(404, "NoSuchKey") },
		  -1 },
		/* Refused at the first try: somebody else's, whatever it holds. */
		{ { ERROR(412, "PreconditionFailed"),
		    { 200, "ETag: \"mine\"\r\n", "content", FAKE_ANSWER, NULL },
		    ERROR(500, "x") },
		  -1 },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct env v = { 0 };
		char etag[S3_ETAG_MAX] = "";
		const struct s3_put put = { .if_absent = true, .etag_out = etag };
		struct err e = ERR_INIT;

		env_open(&v, cases[i].steps, 3);
		if (s3_put(v.c, "k", "content", 7, &put, &e) != cases[i].rc)
			fail_msg("case %zu: %s", i, e.msg);
		assert_non_null(strstr(v.f->request[0], "\r\nIf-None-Match: *\r\n"));
		if (cases[i].rc == 0)
			assert_string_equal(etag, "\"mine\"");
		else
			assert_int_equal(e.code, ERR_EXISTS);
		env_close(&v);
	}
}

static void a_match_with_nothing_there_does_not_hold(void **state)
{
	static const struct fake_step steps[] = { ERROR(404, "NoSuchKey") };
	static const struct fake_step bucket[] = { ERROR(404, "NoSuchBucket") };
	const struct s3_put put = { .if_match = "\"e\"" };
	struct env v = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	env_open(&v, steps, 1);
	assert_int_equal(s3_put(v.c, "k", "x", 1, &put, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	env_close(&v);
	env_open(&v, bucket, 1);
	assert_int_equal(s3_put(v.c, "k", "x", 1, &put, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	env_close(&v);
}

/* ---- copy, delete, list ---- */

static void a_200_with_an_error_is_no_copy(void **state)
{
	static const struct fake_step steps[] = {
		OK(ERROR_XML("InternalError")),
		OK("<CopyObjectResult><ETag>"),
		OK("<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>"),
	};
	struct env v = { 0 };
	struct err e = ERR_INIT;
	char etag[S3_ETAG_MAX];

	(void)state;
	env_open(&v, steps, 3);
	assert_int_equal(s3_copy(v.c, "a b", "to", etag, &e), 0);
	assert_string_equal(etag, "\"e\"");
	assert_int_equal(v.f->requests, 3);
	assert_non_null(strstr(v.f->request[0], "x-amz-copy-source: /bkt/a%20b\r\n"));
	s3_client_free(v.c);
	http_destroy(v.http);
	stop_destroy(v.stop);
	free(v.host);
	fake_stop(v.f);

	v = (struct env){ .f = fake_start(steps, 1) };
	env_open_at(&v, v.f->port, 300);
	assert_int_equal(s3_copy(v.c, "a", "to", NULL, &e), -1);
	assert_int_equal(e.code, ERR_AGAIN);
	assert_int_equal(strncmp(e.msg, "copy to to: 200 InternalError (", 31), 0);
	env_close(&v);
}

static void a_server_without_multi_delete_gets_single_ones(void **state)
{
	static const char *const keys[] = { "a", "b&c" };
	static const struct {
		struct fake_step steps[3];
		int rc;
		size_t requests;
	} cases[] = {
		{ { OK("<DeleteResult/>") }, 0, 1 },
		{ { ERROR(501, "NotImplemented"),
		    { 204, NULL, "", FAKE_ANSWER, NULL },
		    ERROR(404, "NoSuchKey") },
		  0,
		  3 },
		{ { OK("<DeleteResult><Error><Key>a</Key><Code>InternalError</Code></Error>"
		       "</DeleteResult>"),
		    { 204, NULL, "", FAKE_ANSWER, NULL },
		    { 204, NULL, "", FAKE_ANSWER, NULL } },
		  0,
		  3 },
		{ { OK("no xml"),
		    { 204, NULL, "", FAKE_ANSWER, NULL },
		    ERROR(403, "AccessDenied") },
		  -1,
		  3 },
		{ { ERROR(403, "AccessDenied"), OK(""), OK("") }, -1, 1 },
		{ { ERROR(404, "NoSuchBucket"), OK(""), OK("") }, -1, 1 },
		{ { ERROR(501, "x"), ERROR(404, "NoSuchBucket"), OK("") }, -1, 2 },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct env v = { 0 };
		struct err e = ERR_INIT;

		env_open(&v, cases[i].steps, 3);
		if (s3_delete_many(v.c, keys, 2, &e) != cases[i].rc)
			fail_msg("case %zu: %s", i, e.msg);
		assert_int_equal(v.f->requests, cases[i].requests);
		assert_non_null(strstr(v.f->request[0], "POST /bkt?delete= HTTP/1.1"));
		assert_non_null(strstr(v.f->request[0], "\r\nContent-MD5: "));
		assert_non_null(strstr(v.f->request[0], "<Key>b&#38;c</Key>"));
		env_close(&v);
	}
}

static int count(void *arg, const struct s3_xml_object *o)
{
	*(int *)arg += 1;
	return strcmp(o->key, "enough") == 0;
}

#define PAGE(inner, token)                                           \
	"<ListBucketResult>" inner "<IsTruncated>true</IsTruncated>" \
	"<NextContinuationToken>" token "</NextContinuationToken></ListBucketResult>"
#define KEY(k) "<Contents><Key>" k "</Key></Contents>"

static void pages_are_followed_to_a_true_end(void **state)
{
	static const struct {
		struct fake_step steps[3];
		int rc, seen;
		size_t requests;
	} cases[] = {
		{ { OK(PAGE(KEY("a"), "t/1")), OK(PAGE("", "t/2")),
		    OK("<ListBucketResult>" KEY("b") "</ListBucketResult>") },
		  0,
		  2,
		  3 },
		{ { OK(PAGE(KEY("enough"), "t/1")), OK(""), OK("") }, 0, 1, 1 },
		{ { OK(PAGE(KEY("a"), "")), OK(""), OK("") }, -1, 1, 1 },
		{ { OK(PAGE(KEY("a"), "same")), OK(PAGE("", "same")), OK("") }, -1, 1, 2 },
		{ { OK("<ListBucketResult>"), OK(""), OK("") }, -1, 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct env v = { 0 };
		struct err e = ERR_INIT;
		int seen = 0;

		env_open(&v, cases[i].steps, 3);
		if (s3_list(v.c, "p/", "/", count, &seen, &e) != cases[i].rc)
			fail_msg("case %zu: %s", i, e.msg);
		assert_int_equal(seen, cases[i].seen);
		assert_int_equal(v.f->requests, cases[i].requests);
		if (cases[i].rc < 0)
			assert_int_equal(e.code, ERR_CORRUPT);
		assert_int_equal(
			strncmp(v.f->request[0],
				"GET /bkt?delimiter=%2F&list-type=2&prefix=p%2F HTTP", 50),
			0);
		if (i == 0)
			assert_int_equal(
				strncmp(v.f->request[1],
					"GET /bkt?continuation-token=t%2F1&delimiter=", 44),
				0);
		env_close(&v);
	}
}

/* ---- multipart ---- */

#define CREATED                                                      \
	OK("<InitiateMultipartUploadResult><UploadId>U/1</UploadId>" \
	   "</InitiateMultipartUploadResult>")
#define PART                                                  \
	{                                                     \
		200, "ETag: \"p\"\r\n", "", FAKE_ANSWER, NULL \
	}
#define COMPLETED                                                  \
	OK("<CompleteMultipartUploadResult><ETag>\"whole\"</ETag>" \
	   "</CompleteMultipartUploadResult>")

/* The object's metadata is what the upload was begun with. */
static void same_tag(struct fake *f, const char *request, struct fake_step *s)
{
	const char *tag = strstr(f->request[0], "x-amz-meta-walback-upload: ");

	(void)request;
	assert_non_null(tag);
	snprintf(f->note, sizeof(f->note), "%.43s\r\nContent-Range: x\r\n", tag);
	s->headers = f->note;
}

static int upload(struct env *v, size_t bytes, struct err *e)
{
	AUTO_FREE uint8_t *data = mem_alloc(bytes);
	char etag[S3_ETAG_MAX] = "";
	const struct s3_upload_options o = { .put = { .if_absent = true, .etag_out = etag },
					     .in_flight = 1 };
	struct s3_upload *u = s3_upload_begin(v->c, "big", &o);

	if (s3_upload_write(u, data, bytes, e) < 0) {
		s3_upload_abort(u);
		return -1;
	}
	return s3_upload_commit(u, e);
}

#define TWO_PARTS ((size_t)(5 << 20) + 1)

static void uploads_complete_or_leave_nothing(void **state)
{
	static const struct {
		struct fake_step steps[6];
		int rc;
		enum errc code;
		const char *last; /* request */
	} cases[] = {
		{ { CREATED, PART, PART, COMPLETED },
		  0,
		  ERR_NONE,
		  "POST /bkt/big?uploadId=U%2F1 " },
		{ { CREATED,
		    { 500, NULL, "", FAKE_ANSWER, NULL },
		    PART,
		    PART,
		    OK(ERROR_XML("InternalError")),
		    COMPLETED },
		  0,
		  ERR_NONE,
		  "POST /bkt/big?uploadId=U%2F1 " },
		/* Done by a try whose answer was lost. */
		{ { CREATED,
		    PART,
		    PART,
		    { 0, NULL, NULL, FAKE_CLOSE, NULL },
		    ERROR(404, "NoSuchUpload"),
		    { 200, NULL, "", FAKE_ANSWER, same_tag } },
		  -1,
		  ERR_NOT_FOUND,
		  "DELETE /bkt/big?uploadId=U%2F1 " },
		/* Refused parts, no ETag, refused completion: the upload is aborted. */
		{ { CREATED,
		    ERROR(403, "AccessDenied"),
		    { 204, NULL, "", FAKE_ANSWER, NULL } },
		  -1,
		  ERR_DENIED,
		  "DELETE /bkt/big?uploadId=U%2F1 " },
		{ { CREATED, OK(""), { 204, NULL, "", FAKE_ANSWER, NULL } },
		  -1,
		  ERR_CORRUPT,
		  "DELETE /bkt/big?uploadId=U%2F1 " },
		{ { CREATED,
		    PART,
		    PART,
		    ERROR(412, "PreconditionFailed"),
		    { 204, NULL, "", FAKE_ANSWER, NULL } },
		  -1,
		  ERR_EXISTS,
		  "DELETE /bkt/big?uploadId=U%2F1 " },
		{ { CREATED, ERROR(403, "AccessDenied"), ERROR(403, "AccessDenied") },
		  -1,
		  ERR_DENIED,
		  "DELETE /bkt/big?uploadId=U%2F1 " },
		/* Not even begun. */
		{ { ERROR(403, "AccessDenied") },
		  -1,
		  ERR_DENIED,
		  "POST /bkt/big?uploads= " },
		{ { OK("no xml") }, -1, ERR_CORRUPT, "POST /bkt/big?uploads= " },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct env v = { 0 };
		struct err e = ERR_INIT;

		env_open(&v, cases[i].steps, 6);
		if (upload(&v, TWO_PARTS, &e) != cases[i].rc || e.code != cases[i].code)
			fail_msg("case %zu: %d %s", i, e.code, e.msg);
		const char *last = v.f->request[v.f->requests - 1];

		if (strncmp(last, cases[i].last, strlen(cases[i].last)) != 0)
			fail_msg("case %zu: %.200s", i, last);
		env_close(&v);
	}
}

static void a_completion_that_fails_with_200_to_the_end_is_a_failure(void **state)
{
	static const struct fake_step steps[] = { CREATED, PART, PART,
						  OK(ERROR_XML("InternalError")) };
	struct env v = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	v.f = fake_start(steps, N(steps));
	env_open_at(&v, v.f->port, 2000);
	assert_int_equal(upload(&v, TWO_PARTS, &e), -1);
	assert_int_equal(e.code, ERR_AGAIN);
	if (strncmp(e.msg, "put big: 200 InternalError (", 28) != 0)
		fail_msg("%s", e.msg);
	assert_int_equal(
		strncmp(v.f->request[v.f->requests - 1], "DELETE /bkt/big?uploadId", 24),
		0);
	env_close(&v);
}

/* The right size comes with the mark of this upload: it is ours. */
static void sized_tag(struct fake *f, const char *request, struct fake_step *s)
{
	same_tag(f, request, s);
	s->how = FAKE_ANSWER;
}

static void a_completion_whose_answer_was_lost_is_recognised(void **state)
{
	AUTO_FREE char *body = mem_alloc(TWO_PARTS + 1);
	struct fake_step steps[] = {
		CREATED,
		PART,
		PART,
		{ 0, NULL, NULL, FAKE_CLOSE, NULL },
		ERROR(404, "NoSuchUpload"),
		{ 200, NULL, body, FAKE_ANSWER, sized_tag },
	};
	struct env v = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	memset(body, 'x', TWO_PARTS); /* a HEAD: only its length is told */
	env_open(&v, steps, 6);
	if (upload(&v, TWO_PARTS, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(v.f->requests, 6);
	assert_int_equal(strncmp(v.f->request[5], "HEAD /bkt/big ", 14), 0);
	assert_non_null(strstr(v.f->request[3], "<Part><PartNumber>2</PartNumber><ETag>"
						"&#34;p&#34;</ETag></Part>"));
	assert_non_null(strstr(v.f->request[3], "\r\nIf-None-Match: *\r\n"));
	env_close(&v);
}

static void a_small_stream_is_one_put(void **state)
{
	static const struct fake_step steps[] = { PART };
	struct env v = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	env_open(&v, steps, 1);
	assert_int_equal(upload(&v, 5 << 20, &e), 0);
	assert_int_equal(v.f->requests, 1);
	assert_int_equal(strncmp(v.f->request[0], "PUT /bkt/big HTTP", 17), 0);
	env_close(&v);
}

#define PARALLEL 3u
#define PARTS 8u

/* How many parts the server has at once. */
static struct {
	unsigned now, most, seen;
	uint64_t bytes;
} parts;

/* Each part waits for the others that may come, and a little for one too many. */
static void hold_parts(struct fake *f, const char *request, struct fake_step *s)
{
	const char *length = strcasestr(request, "\r\nContent-Length: ");

	if (strstr(request, "?uploads= ")) {
		s->body = "<InitiateMultipartUploadResult><UploadId>U</UploadId>"
			  "</InitiateMultipartUploadResult>";
		return;
	}
	if (strncmp(request, "PUT ", 4) != 0) {
		s->body = "<CompleteMultipartUploadResult><ETag>\"w\"</ETag>"
			  "</CompleteMultipartUploadResult>";
		return;
	}
	parts.seen++;
	parts.bytes += strtoul(length + 18, NULL, 10);
	parts.now++;
	parts.most = parts.now > parts.most ? parts.now : parts.most;
	for (int i = 0; i < 200 && parts.most < PARALLEL; i++) {
		pthread_mutex_unlock(&f->lock);
		clock_sleep_ms(5);
		pthread_mutex_lock(&f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	clock_sleep_ms(20);
	pthread_mutex_lock(&f->lock);
	parts.now--;
	s->headers = "ETag: \"p\"\r\n";
}

static void parts_go_out_side_by_side_and_no_more_than_allowed(void **state)
{
	static const struct fake_step steps[] = { { 200, NULL, NULL, FAKE_ANSWER,
						    hold_parts } };
	size_t bytes = (size_t)(5 << 20) * (PARTS - 1) + 1;
	AUTO_FREE uint8_t *data = mem_alloc(bytes);
	const struct s3_upload_options o = { .in_flight = PARALLEL };
	struct env v = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	memset(&parts, 0, sizeof(parts));
	for (size_t i = 0; i < bytes; i += 4096)
		data[i] = (uint8_t)(i / 4096);
	env_open(&v, steps, 1);
	struct s3_upload *u = s3_upload_begin(v.c, "big", &o);

	assert_int_equal(s3_upload_write(u, data, bytes, &e), 0);
	if (s3_upload_commit(u, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(parts.most, PARALLEL);
	assert_int_equal(parts.seen, PARTS);
	assert_int_equal(parts.bytes, bytes);
	env_close(&v);
}

static void an_abort_ends_what_is_under_way(void **state)
{
	static const struct fake_step steps[] = { CREATED,
						  { 0, NULL, NULL, FAKE_STALL, NULL },
						  { 204, NULL, "", FAKE_ANSWER, NULL } };
	AUTO_FREE uint8_t *data = mem_alloc(TWO_PARTS);
	const struct s3_upload_options o = { .in_flight = 2 };
	struct env v = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	env_open(&v, steps, 3);
	struct s3_upload *u = s3_upload_begin(v.c, "big", &o);

	assert_int_equal(s3_upload_write(u, data, TWO_PARTS, &e), 0);
	clock_sleep_ms(50);
	stop_set(v.stop, 0); /* the abort is sent nevertheless */
	int64_t start = clock_mono_ms();

	s3_upload_abort(u);
	assert_true(clock_mono_ms() - start < 3000);
	assert_int_equal(
		strncmp(v.f->request[v.f->requests - 1], "DELETE /bkt/big?uploadId", 24),
		0);
	env_close(&v);
}

static void parts_grow_so_that_ten_thousand_hold_a_huge_object(void **state)
{
	uint64_t total = 0;

	(void)state;
	for (unsigned i = 1; i <= 10000; i++)
		total += s3_part_bytes(5 << 20, i);
	assert_int_equal(s3_part_bytes(5 << 20, 1), 5 << 20);
	assert_int_equal(s3_part_bytes(5 << 20, 2000), 5 << 20);
	assert_int_equal(s3_part_bytes(5 << 20, 2001), 10 << 20);
	assert_true(total > (uint64_t)300 << 30);
}

static void a_client_needs_an_endpoint_and_credentials(void **state)
{
	const struct s3_endpoint_options eo = { .bucket = "b", .endpoint = "ftp://x" };
	const struct s3_endpoint_options good = { .bucket = "b" };
	const struct s3_creds none = { 0 };
	struct s3_client_options co = { .endpoint = &eo, .creds = &none };
	struct err e = ERR_INIT;

	(void)state;
	assert_null(s3_client_new(&co, &e));
	assert_int_equal(e.code, ERR_USAGE);
	co.endpoint = &good;
	assert_null(s3_client_new(&co, &e));
	assert_int_equal(e.code, ERR_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_signed_and_carries_the_token),
		cmocka_unit_test(a_body_is_signed_by_its_hash),
		cmocka_unit_test(what_passes_is_tried_again),
		cmocka_unit_test(retry_after_is_kept),
		cmocka_unit_test(what_does_not_pass_is_explained),
		cmocka_unit_test(failing_to_the_end_tells_the_tries),
		cmocka_unit_test(a_dead_port_is_named_within_the_timeout),
		cmocka_unit_test(a_store_never_heard_of_is_given_up_sooner),
		cmocka_unit_test(a_store_that_may_come_back_is_waited_for),
		cmocka_unit_test(other_ways_not_to_answer),
		cmocka_unit_test(a_stop_token_cancels),
		cmocka_unit_test(the_region_is_learnt_from_the_answer),
		cmocka_unit_test(requests_side_by_side_all_learn_the_region),
		cmocka_unit_test(a_head_learns_the_region_from_a_header),
		cmocka_unit_test(a_learnt_region_must_be_a_name),
		cmocka_unit_test(the_stores_clock_is_taken_once),
		cmocka_unit_test(ranges_that_do_not_fit_are_told),
		cmocka_unit_test(a_refusal_of_our_own_repeated_put_is_told_apart),
		cmocka_unit_test(a_match_with_nothing_there_does_not_hold),
		cmocka_unit_test(a_200_with_an_error_is_no_copy),
		cmocka_unit_test(a_server_without_multi_delete_gets_single_ones),
		cmocka_unit_test(pages_are_followed_to_a_true_end),
		cmocka_unit_test(uploads_complete_or_leave_nothing),
		cmocka_unit_test(a_completion_that_fails_with_200_to_the_end_is_a_failure),
		cmocka_unit_test(a_completion_whose_answer_was_lost_is_recognised),
		cmocka_unit_test(a_small_stream_is_one_put),
		cmocka_unit_test(parts_go_out_side_by_side_and_no_more_than_allowed),
		cmocka_unit_test(an_abort_ends_what_is_under_way),
		cmocka_unit_test(parts_grow_so_that_ten_thousand_hold_a_huge_object),
		cmocka_unit_test(a_client_needs_an_endpoint_and_credentials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
