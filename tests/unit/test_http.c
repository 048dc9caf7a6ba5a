/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "s3/http.h"
#include "tests/unit/fake_http.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

struct waited {
	struct http_call call;
	struct buf out;
	char *url;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	int done;
};

static void on_done(struct http_call *c)
{
	struct waited *w = c->arg;

	pthread_mutex_lock(&w->lock);
	w->done++;
	pthread_cond_signal(&w->ended);
	pthread_mutex_unlock(&w->lock);
}

static void prepare(struct waited *w, unsigned port, const char *method)
{
	*w = (struct waited){ .lock = PTHREAD_MUTEX_INITIALIZER,
			      .ended = PTHREAD_COND_INITIALIZER,
			      .out = BUF(1000) };
	w->url = mem_fmt("http://127.0.0.1:%u/a//b/../c?x=%%20", port);
	http_call_init(&w->call);
	w->call.method = method;
	w->call.url = w->url;
	w->call.out = &w->out;
	w->call.done = on_done;
	w->call.arg = w;
	w->call.stall_ms = 1000;
	buf_add(&w->out, "before:", 7);
}

static void finish(struct waited *w)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 20;
	pthread_mutex_lock(&w->lock);
	while (!w->done)
		if (pthread_cond_timedwait(&w->ended, &w->lock, &end) != 0)
			fail_msg("no end");
	pthread_mutex_unlock(&w->lock);
}

static void release(struct waited *w)
{
	http_call_free(&w->call);
	buf_free(&w->out);
	free(w->url);
}

static void an_answer_comes_with_headers_and_body(void **state)
{
	static const struct fake_step steps[] = { { 200, "ETag:  \"x\" \r\nX-Other: 1\r\n",
						    "body", FAKE_ANSWER, NULL } };
	const char *headers[] = { "Host: example.com", "X-Mine: 1" };
	struct fake *f = fake_start(steps, 1);
	struct http *h = http_new(NULL);
	struct waited w;
	char value[32];

	(void)state;
	prepare(&w, f->port, "GET");
	w.call.headers = headers;
	w.call.nheaders = 2;
	http_submit(h, &w.call, 0);
	finish(&w);
	assert_int_equal(w.call.fail, HTTP_OK);
	assert_int_equal(w.call.status, 200);
	assert_string_equal((char *)w.out.p, "before:body");
	assert_true(http_header(&w.call, "etag", value, sizeof(value)));
	assert_string_equal(value, "\"x\"");
	assert_true(http_header(&w.call, "ETAG", value, 3));
	assert_string_equal(value, "\"x");
	assert_false(http_header(&w.call, "Other", value, sizeof(value)));
	assert_string_equal(value, "");
	/* Sent as it was signed: no dots resolved, only the headers asked for. */
	assert_string_equal(f->request[0],
			    "GET /a//b/../c?x=%20 HTTP/1.1\r\nHost: example.com\r\n"
			    "User-Agent: walback\r\nX-Mine: 1\r\n\r\n");
	release(&w);
	http_destroy(h);
	fake_stop(f);
}

static void each_method_sends_its_body(void **state)
{
	static const struct fake_step steps[] = { { 200, NULL, "ok", FAKE_ANSWER, NULL } };
	static const struct {
		const char *method, *body, *want;
	} cases[] = {
		{ "PUT", "12345", "Content-Length: 5\r\n\r\n12345" },
		{ "PUT", "", "Content-Length: 0\r\n\r\n" },
		{ "POST", "<x/>", "Content-Length: 4\r\n\r\n<x/>" },
		{ "POST", "", "Content-Length: 0\r\n\r\n" },
		{ "DELETE", NULL, "User-Agent: walback\r\n\r\n" },
		{ "HEAD", NULL, "User-Agent: walback\r\n\r\n" },
	};
	struct fake *f = fake_start(steps, 1);
	struct http *h = http_new(NULL);
	const char *none[] = { "Content-Type:" };

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct waited w;

		prepare(&w, f->port, cases[i].method);
		w.call.body = cases[i].body;
		w.call.body_len = cases[i].body ? strlen(cases[i].body) : 0;
		w.call.headers = none;
		w.call.nheaders = 1;
		http_submit(h, &w.call, 0);
		finish(&w);
		assert_int_equal(w.call.fail, HTTP_OK);
		if (!strstr(f->request[i], cases[i].want) ||
		    strncmp(f->request[i], cases[i].method, strlen(cases[i].method)) != 0)
			fail_msg("%s", f->request[i]);
		release(&w);
	}
	assert_int_equal(f->conns, 1); /* kept alive */
	http_destroy(h);
	fake_stop(f);
}

static void a_large_body_goes_out_whole(void **state)
{
	static const struct fake_step steps[] = { { 200, NULL, "ok", FAKE_ANSWER, NULL } };
	struct fake *f = fake_start(steps, 1);
	struct http *h = http_new(NULL);
	size_t n = 3 << 20;
	AUTO_FREE char *body = mem_alloc(n + 1);
	struct waited w;

	(void)state;
	memset(body, 'x', n);
	body[n - 1] = 'y';
	prepare(&w, f->port, "PUT");
	w.call.body = body;
	w.call.body_len = n;
	http_submit(h, &w.call, 0);
	finish(&w);
	assert_int_equal(w.call.fail, HTTP_OK);
	assert_null(strstr(f->request[0], "Expect"));
	assert_string_equal(strstr(f->request[0], "\r\n\r\n") + 4, body);
	release(&w);
	http_destroy(h);
	fake_stop(f);
}

static void what_goes_wrong_is_told_apart(void **state)
{
	static const struct {
		struct fake_step step;
		enum http_fail fail;
		int status;
	} cases[] = {
		{ { 404, NULL, "not there", FAKE_ANSWER, NULL }, HTTP_OK, 404 },
		{ { 200, NULL, "body", FAKE_RESET, NULL }, HTTP_BROKEN, 0 },
		{ { 200, NULL, "body", FAKE_CLOSE, NULL }, HTTP_BROKEN, 0 },
		{ { 200, NULL, "body", FAKE_CUT, NULL }, HTTP_BROKEN, 200 },
		{ { 200, NULL, "body", FAKE_GARBAGE, NULL }, HTTP_BROKEN, 0 },
		{ { 200, NULL, "body", FAKE_STALL, NULL }, HTTP_TIMEOUT, 0 },
		{ { 200, NULL, "body", FAKE_TRICKLE, NULL }, HTTP_TIMEOUT, 200 },
		{ { 302, "Location: http://127.0.0.1:1/\r\n", "", FAKE_ANSWER, NULL },
		  HTTP_OK,
		  302 },
	};
	struct http *h = http_new(NULL);

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct fake *f = fake_start(&cases[i].step, 1);
		struct waited w;

		prepare(&w, f->port, "GET");
		w.call.timeout_ms = 1500;
		http_submit(h, &w.call, 0);
		finish(&w);
		if (w.call.fail != cases[i].fail || w.call.status != cases[i].status)
			fail_msg("case %zu: %d %d %s", i, w.call.fail, w.call.status,
				 w.call.why);
		assert_string_equal((char *)w.out.p, "before:");
		assert_int_equal(w.out.len, 7);
		if (w.call.status == 404)
			assert_string_equal((char *)w.call.error_body.p, "not there");
		if (w.call.fail != HTTP_OK)
			assert_true(w.call.why[0] != 0);
		release(&w);
		fake_stop(f);
	}
	http_destroy(h);
}

static void a_body_beyond_the_ceiling_is_too_big(void **state)
{
	static const struct fake_step steps[] = { { 200, NULL, "0123456789", FAKE_ANSWER,
						    NULL } };
	struct fake *f = fake_start(steps, 1);
	struct http *h = http_new(NULL);
	struct waited w;

	(void)state;
	prepare(&w, f->port, "GET");
	w.out.max = 16;
	http_submit(h, &w.call, 0);
	finish(&w);
	assert_int_equal(w.call.fail, HTTP_TOO_BIG);
	assert_int_equal(w.out.len, 7);
	assert_false(w.out.overflow);
	release(&w);
	prepare(&w, f->port, "GET");
	w.call.out = NULL; /* dropped */
	http_submit(h, &w.call, 0);
	finish(&w);
	assert_int_equal(w.call.fail, HTTP_OK);
	release(&w);
	http_destroy(h);
	fake_stop(f);
}

static void a_dead_port_and_a_bad_name_are_named(void **state)
{
	struct http *h = http_new(NULL);
	struct waited w;

	(void)state;
	prepare(&w, fake_dead_port(), "GET");
	http_submit(h, &w.call, 0);
	finish(&w);
	assert_int_equal(w.call.fail, HTTP_CONNECT);
	assert_string_equal(w.call.why, "Connection refused");
	release(&w);
	prepare(&w, 1, "GET");
	w.call.url = "http://a..b/";
	http_submit(h, &w.call, 0);
	finish(&w);
	assert_int_equal(w.call.fail, HTTP_RESOLVE);
	release(&w);
	prepare(&w, 1, "GET");
	w.call.url = "http://127.0.0.1:99999/";
	http_submit(h, &w.call, 0);
	finish(&w);
	assert_int_equal(w.call.fail, HTTP_OTHER);
	release(&w);
	http_destroy(h);
}

/* A port whose queue of connections is full: what comes on top is dropped without a word. */
static unsigned full_port(int *listener, int *fillers, int n)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	*listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(*listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(*listener, 0), 0);
	assert_int_equal(getsockname(*listener, (struct sockaddr *)&a, &len), 0);
	for (int i = 0; i < n; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fillers[i], (struct sockaddr *)&a, sizeof(a));
	}
	return ntohs(a.sin_port);
}

static void a_connection_that_does_not_come_is_no_slow_answer(void **state)
{
	struct http *h = http_new(NULL);
	struct waited w;
	int listener, fillers[8];

	(void)state;
	prepare(&w, full_port(&listener, fillers, 8), "GET");
	w.call.connect_ms = 300;
	http_submit(h, &w.call, 0);
	finish(&w);
	assert_int_equal(w.call.fail, HTTP_CONNECT);
	assert_string_equal(w.call.why, "Connection timed out");
	release(&w);
	http_destroy(h);
	for (int i = 0; i < 8; i++)
		close(fillers[i]);
	close(listener);
}

static void a_stop_token_ends_what_waits(void **state)
{
	static const struct fake_step steps[] = { { 200, NULL, "body", FAKE_STALL, NULL } };
	enum { CALLS = 12 }; /* more tokens than the loop has places for */
	struct fake *f = fake_start(steps, 1);
	struct http *h = http_new(NULL);
	struct waited w[CALLS], other;
	struct stop *stop[CALLS];
	int64_t start = clock_mono_ms();

	(void)state;
	for (int i = 0; i < CALLS; i++) {
		stop[i] = stop_new();
		prepare(&w[i], f->port, "GET");
		w[i].call.stop = stop[i];
		w[i].call.stall_ms = 15000;
		http_submit(h, &w[i].call, i % 2 ? 0 : 15000);
	}
	prepare(&other, f->port, "GET");
	other.call.stop = stop[0];
	http_submit(h, &other.call, 0);
	clock_sleep_ms(50);
	for (int i = 0; i < CALLS; i++)
		stop_set(stop[i], 0);
	finish(&other);
	for (int i = 0; i < CALLS; i++) {
		finish(&w[i]);
		assert_int_equal(w[i].call.fail, HTTP_CANCELED);
		assert_int_equal(w[i].out.len, 7);
		release(&w[i]);
	}
	assert_true(clock_mono_ms() - start < 5000);
	/* Set already: ends at once. */
	release(&other);
	prepare(&other, f->port, "GET");
	other.call.stop = stop[0];
	http_submit(h, &other.call, 0);
	finish(&other);
	assert_int_equal(other.call.fail, HTTP_CANCELED);
	release(&other);
	http_destroy(h);
	for (int i = 0; i < CALLS; i++)
		stop_destroy(stop[i]);
	fake_stop(f);
}

static void a_canceled_call_ends_and_stays_canceled(void **state)
{
	static const struct fake_step steps[] = { { 200, NULL, "body", FAKE_STALL, NULL } };
	struct fake *f = fake_start(steps, 1);
	struct http *h = http_new(NULL);
	struct waited w;

	(void)state;
	prepare(&w, f->port, "GET");
	http_cancel(h, &w.call); /* before anything was started */
	w.call.canceled = false;
	w.call.stall_ms = 15000;
	http_submit(h, &w.call, 0);
	clock_sleep_ms(30);
	http_cancel(h, &w.call);
	finish(&w);
	assert_int_equal(w.call.fail, HTTP_CANCELED);
	w.done = 0;
	w.call.stop = NULL;
	http_submit(h, &w.call, 0);
	finish(&w);
	assert_int_equal(w.call.fail, HTTP_CANCELED);
	release(&w);
	http_destroy(h);
	fake_stop(f);
}

static void many_calls_share_the_loop(void **state)
{
	static const struct fake_step steps[] = { { 200, NULL, "body", FAKE_ANSWER,
						    NULL } };
	enum { CALLS = 200 };
	struct fake *f = fake_start(steps, 1);
	struct http *h = http_new(NULL);
	struct waited *w = mem_array(CALLS, sizeof(*w));

	(void)state;
	for (size_t i = 0; i < CALLS; i++) {
		prepare(&w[i], f->port, "GET");
		http_submit(h, &w[i].call, (int64_t)(i % 3) * 10);
	}
	for (size_t i = 0; i < CALLS; i++) {
		finish(&w[i]);
		assert_int_equal(w[i].call.fail, HTTP_OK);
		assert_string_equal((char *)w[i].out.p, "before:body");
		release(&w[i]);
	}
	assert_true(f->conns <= 96);
	assert_int_equal(f->requests, CALLS);
	free(w);
	http_destroy(h);
	fake_stop(f);
}

static void dates_are_read(void **state)
{
	(void)state;
	assert_int_equal(http_date_ms("Sat, 21 Nov 2026 03:02:11 GMT"), 1795230131000);
	assert_int_equal(http_date_ms("no date"), -1);
	http_destroy(http_new(NULL)); /* never used: no thread */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_comes_with_headers_and_body),
		cmocka_unit_test(each_method_sends_its_body),
		cmocka_unit_test(a_large_body_goes_out_whole),
		cmocka_unit_test(what_goes_wrong_is_told_apart),
		cmocka_unit_test(a_body_beyond_the_ceiling_is_too_big),
		cmocka_unit_test(a_dead_port_and_a_bad_name_are_named),
		cmocka_unit_test(a_connection_that_does_not_come_is_no_slow_answer),
		cmocka_unit_test(a_stop_token_ends_what_waits),
		cmocka_unit_test(a_canceled_call_ends_and_stays_canceled),
		cmocka_unit_test(many_calls_share_the_loop),
		cmocka_unit_test(dates_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
