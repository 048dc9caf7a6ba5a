/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/client.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "s3/explain.h"
#include "s3/xml.h"

#include <ctype.h>
#include <pthread.h>
#include <string.h>

#define TIMEOUT_MS 30000
#define CONTACT_MS 8000
#define CONTACT_PAUSE_MS 1000
#define CONNECT_MS 10000
#define STALL_MS 20000
#define MOVES_PER_MS 32 /* a link of 32 KiB/s still makes it */
#define LAST_TRY_MS 1000
#define DAY_CHARS 8
#define CLOCK_SAME_MS 5000
#define SAY_AFTER_MS 3000 /* of trying in vain */
#define SAY_AGAIN_MS 30000

struct s3_client {
	struct http *http;
	const struct stop *stop;
	int64_t timeout_ms, contact_ms;
	bool skip_verify, dualstack, path_style, path_style_set;
	char *bucket;
	struct s3_creds creds;

	pthread_mutex_t lock; /* of what follows */
	bool answered;	      /* once, whatever it was */
	struct s3_endpoint endpoint;
	int64_t clock_offset_ms; /* the store's clock less ours */
	struct retry_budget budget;
	uint8_t signing_key[32];
	char signing_day[DAY_CHARS + 1];
	bool said; /* that the store does not answer; no success since */
	int64_t said_ms;
};

/* What one try is signed with, copied out under the lock. */
struct place {
	char *scheme, *host, *base, *region;
	uint8_t signing_key[32];
	int64_t now_ms;
};

static void place_free(struct place *p)
{
	free(p->scheme);
	free(p->host);
	free(p->base);
	free(p->region);
	explicit_bzero(p->signing_key, sizeof(p->signing_key));
}

static void place_take(struct s3_client *c, struct place *p)
{
	char date[SIGV4_DATE_MAX];

	pthread_mutex_lock(&c->lock);
	*p = (struct place){ .scheme = mem_str(c->endpoint.scheme),
			     .host = mem_str(c->endpoint.host),
			     .base = mem_str(c->endpoint.base),
			     .region = mem_str(c->endpoint.region),
			     .now_ms = clock_wall_ms() + c->clock_offset_ms };
	text_format_time_compact(p->now_ms, date);
	if (strncmp(date, c->signing_day, DAY_CHARS) != 0) {
		const struct sigv4_request r = { .region = p->region,
						 .service = "s3",
						 .now_ms = p->now_ms };

		sigv4_signing_key(&r, &c->creds.secret, c->signing_key);
		memcpy(c->signing_day, date, DAY_CHARS);
	}
	memcpy(p->signing_key, c->signing_key, sizeof(p->signing_key));
	pthread_mutex_unlock(&c->lock);
}

/* ---- one try ---- */

static void free_try(struct s3_op *op)
{
	for (size_t i = 0; i < S3_OP_LINES && op->lines[i]; i++) {
		explicit_bzero(op->lines[i], strlen(op->lines[i])); /* may hold a token */
		free(STEAL(op->lines[i]));
	}
	free(STEAL(op->url));
}

static char *url_path(const struct place *p, const char *key)
{
	struct buf b = BUF(16384);

	buf_addf(&b, "%s", p->base);
	if (key || !p->base[0])
		buf_addf(&b, "/");
	if (key)
		text_uri_encode(&b, key, strlen(key), true);
	return (char *)b.p;
}

/* Build and sign the request anew: a signature is good for some minutes only. */
static void prepare(struct s3_client *c, struct s3_op *op, const struct place *p)
{
	struct sigv4_pair h[S3_OP_PAIRS + 4];
	struct buf auth = BUF(8192), url = BUF(65536);
	AUTO_FREE char *path = url_path(p, op->key);
	char date[SIGV4_DATE_MAX];
	size_t n = 0, line = 0;
	bool typed = false;

	text_format_time_compact(p->now_ms, date);
	h[n++] = (struct sigv4_pair){ "Host", p->host };
	h[n++] = (struct sigv4_pair){ "x-amz-date", date };
	h[n++] = (struct sigv4_pair){ "x-amz-content-sha256", op->hash };
	if (c->creds.token.n)
		h[n++] = (struct sigv4_pair){ "x-amz-security-token", c->creds.token.p };
	for (size_t i = 0; i < op->nheaders; i++)
		h[n++] = op->headers[i];
	const struct sigv4_request r = { .method = op->method,
					 .path = path,
					 .query = op->query,
					 .nquery = op->nquery,
					 .headers = h,
					 .nheaders = n,
					 .payload_hash = op->hash,
					 .region = p->region,
					 .service = "s3",
					 .now_ms = p->now_ms };

	sigv4_authorize(&r, c->creds.id, p->signing_key, &auth);
	buf_addf(&url, "%s://%s%s", p->scheme, p->host, path);
	if (op->nquery) {
		buf_addf(&url, "?");
		sigv4_query(&url, op->query, op->nquery);
	}
	free_try(op);
	for (size_t i = 0; i < n; i++) {
		typed = typed || strcmp(h[i].name, "Content-Type") == 0;
		op->lines[line++] = mem_fmt("%s: %s", h[i].name, h[i].value);
	}
	op->lines[line++] = mem_fmt("Authorization: %s", (char *)auth.p);
	if (!typed) /* libcurl would make one up */
		op->lines[line++] = mem_str("Content-Type:");
	op->url = (char *)url.p;
	op->call.nheaders = line;
	buf_free(&auth);
}

static int64_t at_most(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool has_answered(struct s3_client *c)
{
	pthread_mutex_lock(&c->lock);
	bool yes = c->answered;

	pthread_mutex_unlock(&c->lock);
	return yes;
}

static void send_try(struct s3_op *op, int64_t delay_ms)
{
	struct s3_client *c = op->client;
	CLEANUP(place_free) struct place p;
	int64_t left = op->deadline_ms - clock_mono_ms() - delay_ms;
	int64_t third = c->timeout_ms / 3;

	place_take(c, &p);
	snprintf(op->region, sizeof(op->region), "%s", p.region);
	prepare(c, op, &p);
	op->tries++;
	op->sent_wall_ms = clock_wall_ms();
	op->call.method = op->method;
	op->call.url = op->url;
	op->call.headers = (const char *const *)op->lines;
	op->call.timeout_ms = (left > LAST_TRY_MS ? left : LAST_TRY_MS) + op->thinks_ms +
			      (int64_t)(op->moves / MOVES_PER_MS);
	op->call.connect_ms = at_most(CONNECT_MS, third);
	if (!has_answered(c))
		op->call.connect_ms = at_most(op->call.connect_ms, c->contact_ms / 2);
	op->call.stall_ms = at_most(STALL_MS, third) + op->thinks_ms;
	http_submit(c->http, &op->call, delay_ms);
}

/* ---- after a try ---- */

static void complete(struct s3_op *op, int rc)
{
	op->rc = rc;
	free_try(op);
	op->done(op);
}

static void fail(struct s3_op *op)
{
	char host[300];

	pthread_mutex_lock(&op->client->lock);
	snprintf(host, sizeof(host), "%s", op->client->endpoint.host);
	pthread_mutex_unlock(&op->client->lock);
	const struct s3_failure f = {
		.op = op,
		.host = host,
		.bucket = op->client->bucket,
		.key_id = op->client->creds.id,
		.stop = op->last_will ? NULL : op->client->stop,
		.took_ms = clock_mono_ms() - op->started_ms,
	};

	s3_explain(&f, &op->err);
	complete(op, -1);
}

/* The store's clock, from the Date of its answer.  False if that tells nothing. */
static bool learn_clock(struct s3_op *op)
{
	struct s3_client *c = op->client;
	char date[64];
	int64_t at;

	if (op->clock_tried || !http_header(&op->call, "Date", date, sizeof(date)) ||
	    (at = http_date_ms(date)) < 0)
		return false;
	op->clock_tried = true;
	int64_t offset = at - clock_wall_ms();

	pthread_mutex_lock(&c->lock);
	bool news = llabs(offset - c->clock_offset_ms) > CLOCK_SAME_MS;

	c->clock_offset_ms = offset;
	pthread_mutex_unlock(&c->lock);
	if (news) /* not to requests that were out beside the first that learned it */
		log_warn("the store's clock differs; signing with its time",
			 LOGI("offset_s", offset / 1000));
	return true;
}

static bool region_ok(const char *r)
{
	size_t n = strlen(r);

	for (size_t i = 0; i < n; i++)
		if (!islower((unsigned char)r[i]) && !isdigit((unsigned char)r[i]) &&
		    r[i] != '-')
			return false;
	return n > 0 && n < 64;
}

/* The bucket's region, as the answer tells it.  True if it is news. */
static bool learn_region(struct s3_op *op, const char *from_body)
{
	struct s3_client *c = op->client;
	char region[64];

	if (!http_header(&op->call, "x-amz-bucket-region", region, sizeof(region)))
		snprintf(region, sizeof(region), "%s", from_body);
	if (!region_ok(region))
		return false;
	snprintf(op->hint_region, sizeof(op->hint_region), "%s", region);
	if (op->region_tried)
		return false;
	op->region_tried = true;
	pthread_mutex_lock(&c->lock);
	/* Another request may have learned it while this one was out. */
	bool news = strcmp(region, op->region) != 0;
	bool learn = news && strcmp(region, c->endpoint.region) != 0;

	if (learn && c->endpoint.aws) {
		const struct s3_endpoint_options o = { .bucket = c->bucket,
						       .region = region,
						       .path_style = c->path_style,
						       .path_style_set = c->path_style_set,
						       .dualstack = c->dualstack };
		struct s3_endpoint next;
		struct err e = ERR_INIT;

		if (s3_endpoint_resolve(&next, &o, &e) == 0) {
			s3_endpoint_free(&c->endpoint);
			c->endpoint = next;
		} else {
			s3_endpoint_free(&next);
			news = false;
		}
	} else if (learn) {
		free(c->endpoint.region);
		c->endpoint.region = mem_str(region);
	}
	c->signing_day[0] = 0; /* the key depends on the region */
	pthread_mutex_unlock(&c->lock);
	return news;
}

static int64_t retry_after_ms(const struct s3_op *op)
{
	char text[32];
	uint32_t s;

	if (!http_header(&op->call, "Retry-After", text, sizeof(text)) ||
	    text_u32(text, &s) < 0)
		return 0;
	return (int64_t)s * 1000;
}

/* Someone may be waiting before a terminal: one line that it goes on. */
static void say_trying(const struct s3_op *op, int64_t now, int64_t until)
{
	struct s3_client *c = op->client;

	if (now - op->started_ms < SAY_AFTER_MS)
		return;
	pthread_mutex_lock(&c->lock);
	bool due = !c->said && (!c->said_ms || now - c->said_ms >= SAY_AGAIN_MS);

	if (due) {
		c->said = true;
		c->said_ms = now;
	}
	pthread_mutex_unlock(&c->lock);
	if (due)
		log_info("no usable answer from the store yet, still trying",
			 LOGS("what", op->what), LOGS("key", op->key),
			 LOGI("status", op->status),
			 LOGS("error", op->code[0] ? op->code : op->call.why),
			 LOGI("give_up_in_s", (until - now) / 1000));
}

/* Try again after a pause, if there is time left. */
static bool try_later(struct s3_op *op, bool throttled)
{
	struct s3_client *c = op->client;
	int64_t now = clock_mono_ms();
	int64_t until = op->deadline_ms;
	int64_t wait =
		retry_delay_ms(op->tries, throttled, retry_after_ms(op), random_u64());

	if ((op->call.fail == HTTP_RESOLVE || op->call.fail == HTTP_CONNECT) &&
	    !has_answered(c)) {
		until = at_most(until, op->started_ms + c->contact_ms);
		wait = at_most(wait, CONTACT_PAUSE_MS);
	}
	pthread_mutex_lock(&c->lock);
	wait += retry_budget_take(&c->budget, now);
	pthread_mutex_unlock(&c->lock);
	if (now + wait >= until)
		return false;
	say_trying(op, now, until);
	log_debug("request failed, trying again", LOGS("what", op->what),
		  LOGS("key", op->key), LOGI("status", op->status), LOGS("code", op->code),
		  LOGI("wait_ms", wait));
	send_try(op, wait);
	return true;
}

static bool try_again(struct s3_op *op, const char *region)
{
	enum http_fail f = op->call.fail;
	enum retry_verdict v = retry_classify(f, op->status, op->code);
	char header[64];

	if (f == HTTP_TIMEOUT || f == HTTP_BROKEN || op->status >= 500 || op->call.resent)
		op->ambiguous = true;
	/* The answer to a HEAD has no body that could say so. */
	if (op->status == 400 && !op->code[0] &&
	    http_header(&op->call, "x-amz-bucket-region", header, sizeof(header)))
		v = RETRY_REGION;
	if (s3_plain_http(&op->call))
		v = RETRY_NO;
	switch (v) {
	case RETRY_NO:
		return false;
	case RETRY_CLOCK:
		return learn_clock(op) && try_later(op, false);
	case RETRY_REGION:
		return learn_region(op, region) && try_later(op, false);
	case RETRY_YES:
	case RETRY_THROTTLED:
		return try_later(op, v == RETRY_THROTTLED);
	}
	return false;
}

/* A 2xx answer.  False: it was none in truth, and the op goes on. */
static bool accept(struct s3_op *op)
{
	struct s3_client *c = op->client;

	op->err = (struct err)ERR_INIT;
	if (!op->check || op->check(op, &op->err) == 0) {
		pthread_mutex_lock(&c->lock);
		retry_budget_success(&c->budget);
		c->said = false;
		pthread_mutex_unlock(&c->lock);
		complete(op, 0);
		return true;
	}
	if (op->out)
		buf_cut(op->out, op->out_start);
	if (op->err.code == ERR_AGAIN) {
		op->ambiguous = true;
		if (try_later(op, false))
			return false;
	}
	s3_explain_tries(op, clock_mono_ms() - op->started_ms, &op->err);
	err_wrap(&op->err, "%s %s", op->what, op->key ? op->key : op->client->bucket);
	complete(op, -1);
	return false;
}

static void note_answer(struct s3_client *c)
{
	pthread_mutex_lock(&c->lock);
	c->answered = true;
	pthread_mutex_unlock(&c->lock);
}

static void on_done(struct http_call *call)
{
	struct s3_op *op = call->arg;
	struct s3_xml_error x = { .code = "" };

	op->status = call->fail == HTTP_OK ? call->status : 0;
	op->code[0] = 0;
	if (op->status)
		note_answer(op->client);
	if (op->status >= 200 && op->status < 300) {
		(void)accept(op);
		return;
	}
	if (call->fail == HTTP_OK) {
		s3_xml_error(call->error_body.p, call->error_body.len, &x);
		snprintf(op->code, sizeof(op->code), "%s", x.code);
	}
	if (!try_again(op, x.region))
		fail(op);
}

/* ---- the public side ---- */

struct s3_client *s3_client_new(const struct s3_client_options *o, struct err *e)
{
	struct s3_client *c = mem_alloc(sizeof(*c));

	pthread_mutex_init(&c->lock, NULL);
	c->http = o->http;
	c->stop = o->stop;
	c->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : TIMEOUT_MS;
	c->contact_ms = o->contact_ms > 0   ? o->contact_ms
			: o->timeout_ms > 0 ? o->timeout_ms
					    : CONTACT_MS;
	c->skip_verify = o->skip_verify;
	c->dualstack = o->endpoint->dualstack;
	c->path_style = o->endpoint->path_style;
	c->path_style_set = o->endpoint->path_style_set;
	c->bucket = mem_str(o->endpoint->bucket);
	retry_budget_init(&c->budget, clock_mono_ms());
	if (s3_endpoint_resolve(&c->endpoint, o->endpoint, e) < 0 ||
	    s3_creds_set(&c->creds, o->creds->id, &o->creds->secret, &o->creds->token, e) <
		    0) {
		s3_client_free(c);
		return NULL;
	}
	return c;
}

void s3_client_free(struct s3_client *c)
{
	if (!c)
		return;
	s3_endpoint_free(&c->endpoint);
	s3_creds_free(&c->creds);
	explicit_bzero(c->signing_key, sizeof(c->signing_key));
	free(c->bucket);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

const char *s3_client_bucket(const struct s3_client *c)
{
	return c->bucket;
}

bool s3_client_stopped(const struct s3_client *c)
{
	return stop_is_set(c->stop);
}

void s3_op_query(struct s3_op *op, const char *name, const char *value)
{
	op->query[op->nquery++] = (struct sigv4_pair){ name, value };
}

void s3_op_header(struct s3_op *op, const char *name, const char *value)
{
	op->headers[op->nheaders++] = (struct sigv4_pair){ name, value };
}

void s3_start(struct s3_client *c, struct s3_op *op)
{
	int64_t total = op->timeout_ms ? op->timeout_ms : c->timeout_ms;

	op->client = c;
	op->rc = 0;
	op->tries = 0;
	op->err = (struct err)ERR_INIT;
	op->started_ms = clock_mono_ms();
	op->deadline_ms = op->started_ms + total;
	op->out_start = op->out ? op->out->len : 0;
	if (op->body_len)
		hash_sha256_hex(op->body, op->body_len, op->hash);
	else
		memcpy(op->hash, SIGV4_EMPTY_HASH, sizeof(op->hash));
	http_call_init(&op->call);
	op->call.body = op->body;
	op->call.body_len = op->body_len;
	op->call.out = op->out;
	op->call.stop = op->last_will ? NULL : c->stop;
	op->call.skip_verify = c->skip_verify;
	op->call.done = on_done;
	op->call.arg = op;
	send_try(op, 0);
}

void s3_cancel(struct s3_op *op)
{
	http_cancel(op->client->http, &op->call);
}

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done;
};

static void on_waited(struct s3_op *op)
{
	struct waiter *w = op->arg;

	pthread_mutex_lock(&w->lock);
	w->done = true;
	pthread_cond_signal(&w->ended);
	pthread_mutex_unlock(&w->lock);
}

int s3_run(struct s3_client *c, struct s3_op *op, struct err *e)
{
	struct waiter w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };

	op->done = on_waited;
	op->arg = &w;
	s3_start(c, op);
	/* Ends by itself: the loop keeps the op's deadline and the stop token. */
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.ended, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.ended);
	pthread_mutex_destroy(&w.lock);
	if (op->rc < 0)
		*e = op->err;
	return op->rc;
}

void s3_op_free(struct s3_op *op)
{
	if (op->client)
		free_try(op);
	http_call_free(&op->call);
}
