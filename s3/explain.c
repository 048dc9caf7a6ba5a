/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/explain.h"

#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

void s3_explain_tries(const struct s3_op *op, int64_t took_ms, struct err *e)
{
	size_t n = strlen(e->msg);

	if (op->tries < 2)
		return;
	if (took_ms < 10000)
		snprintf(e->msg + n, sizeof(e->msg) - n,
			 " (%u tries, %" PRId64 ".%" PRId64 " s)", op->tries,
			 took_ms / 1000, took_ms % 1000 / 100);
	else
		snprintf(e->msg + n, sizeof(e->msg) - n, " (%u tries, %" PRId64 " s)",
			 op->tries, took_ms / 1000);
}

static bool body_says(const struct s3_op *op, const char *text)
{
	const struct buf *b = &op->call.error_body;

	return b->len && memmem(b->p, b->len, text, strlen(text));
}

/* ---- no answer ---- */

bool s3_plain_http(const struct http_call *call)
{
	return call->fail == HTTP_BROKEN && (strstr(call->why, "wrong version number") ||
					     strstr(call->why, "packet length"));
}

static int unreachable(const struct s3_failure *f, struct err *e)
{
	const struct http_call *call = &f->op->call;

	if (call->fail == HTTP_RESOLVE)
		err_set(e, ERR_AGAIN, "the host %s has no address (%s)", f->host,
			call->why);
	else if (call->fail == HTTP_CONNECT)
		err_set(e, ERR_AGAIN, "cannot connect to %s: %s", f->host, call->why);
	else if (call->fail == HTTP_TIMEOUT)
		err_set(e, ERR_AGAIN, "%s does not answer in time: %s", f->host, call->why);
	else
		err_set(e, ERR_AGAIN, "the connection to %s broke: %s", f->host, call->why);
	if (s3_plain_http(call))
		err_hint(e, "the server seems to speak plain http: write http:// in the "
			    "endpoint");
	else
		err_hint(e, "check the endpoint, the network, and that the server runs");
	return err_slug(e, "unreachable");
}

static void no_answer(const struct s3_failure *f, struct err *e)
{
	const struct http_call *call = &f->op->call;

	switch (call->fail) {
	case HTTP_CANCELED:
		if (stop_check(f->stop, e) == 0)
			err_set(e, ERR_CANCELED, "canceled");
		break;
	case HTTP_TLS:
		err_set(e, ERR_AGAIN, "the certificate of %s is not trusted: %s", f->host,
			call->why);
		err_hint(
			e,
			"install ca-certificates, or set SSL_CERT_FILE to the file of your "
			"certificate authority");
		err_slug(e, "tls_failed");
		break;
	case HTTP_TOO_BIG:
		err_set(e, ERR_CORRUPT, "the answer is larger than the %zu bytes expected",
			call->out ? call->out->max - f->op->out_start : 0);
		break;
	case HTTP_OK:
	case HTTP_RESOLVE:
	case HTTP_CONNECT:
	case HTTP_TIMEOUT:
	case HTTP_BROKEN:
	case HTTP_OTHER:
		unreachable(f, e);
		break;
	}
}

/* ---- an answer that is an error ---- */

struct known {
	const char *code, *slug, *hint; /* hint: %s is the key id's end */
};

static const struct known DENIED[] = {
	{ "SignatureDoesNotMatch", "bad_secret",
	  "the secret access key does not fit the access key id%s, or something between "
	  "changes "
	  "requests" },
	{ "InvalidAccessKeyId", "bad_key_id",
	  "the store does not know the access key id%s" },
	{ "XAdminUserNotFound", "bad_key_id", /* versitygw's word for it, with a 404 */
	  "the store does not know the access key id%s" },
	{ "AccessDenied", "access_denied",
	  "the access key%s lacks the right to do this: its policy must allow "
	  "s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and "
	  "s3:DeleteObject on what is in it" },
	{ "ExpiredToken", "expired_token",
	  "the session token of the access key%s has expired" },
	{ "InvalidToken", "bad_token",
	  "the session token of the access key%s is not valid" },
	{ "RequestTimeTooSkewed", "clock_skew",
	  "set this machine's clock: the store's differs by more than it accepts (access "
	  "key%s)" },
	{ NULL, "access_denied", "check the credentials (access key%s) and their policy" },
};

static bool is_denial(const char *code)
{
	for (const struct known *k = DENIED; k->code; k++)
		if (strcmp(k->code, code) == 0)
			return true;
	return false;
}

static void denied(const struct s3_failure *f, struct err *e)
{
	const struct known *k = DENIED;
	char id[8], shown[16] = "", hint[sizeof(e->hint)];

	while (k->code && strcmp(k->code, f->op->code) != 0)
		k++;
	s3_creds_hint(f->key_id, id);
	if (id[0])
		snprintf(shown, sizeof(shown), " %s", id);
	const char *mark = strstr(k->hint, "%s");

	snprintf(hint, sizeof(hint), "%.*s%s%s", (int)(mark - k->hint), k->hint, shown,
		 mark + 2);
	e->code = ERR_DENIED;
	err_hint(e, "%s", hint);
	err_slug(e, k->slug);
}

static void missing(const struct s3_failure *f, struct err *e)
{
	e->code = ERR_NOT_FOUND;
	if (!f->op->key && strcmp(f->op->code, "NoSuchBucket") != 0)
		err_hint(e,
			 "what answers at %.80s knows no bucket %.100s: check the "
			 "endpoint and the bucket's name",
			 f->host, f->bucket);
	if (strcmp(f->op->code, "NoSuchBucket") != 0)
		return;
	err_hint(e, "there is no bucket %.100s at %.80s: create it or correct its name",
		 f->bucket, f->host);
	err_slug(e, "no_such_bucket");
}

static void wrong_place(const struct s3_failure *f, struct err *e)
{
	e->code = ERR_USAGE;
	if (f->op->hint_region[0])
		err_hint(e, "the bucket is in the region %s: set region to it",
			 f->op->hint_region);
	else
		err_hint(e, "the store sends this request elsewhere: check region and "
			    "endpoint");
	err_slug(e, "wrong_region");
}

static void refused(const struct s3_failure *f, struct err *e)
{
	e->code = ERR_DENIED;
	e->exit = 1;
	if (body_says(f->op, "HTTPS server") || body_says(f->op, "https port")) {
		e->code = ERR_USAGE;
		e->exit = 0;
		err_hint(e, "the server speaks https: write https:// in the endpoint");
	} else if (strcmp(f->op->code, "InvalidBucketName") == 0) {
		e->code = ERR_USAGE;
		e->exit = 0;
		err_hint(e, "%.100s is no name that a bucket can have: correct it",
			 f->bucket);
	} else if (f->op->status == 501) {
		err_slug(e, "not_implemented");
	}
}

static void bad_answer(const struct s3_failure *f, struct err *e)
{
	const struct s3_op *op = f->op;

	if (op->code[0])
		err_set(e, ERR_AGAIN, "%d %s", op->status, op->code);
	else
		err_set(e, ERR_AGAIN, "%d", op->status);
	switch (retry_classify(HTTP_OK, op->status, op->code)) {
	case RETRY_YES:
	case RETRY_THROTTLED:
		err_hint(e, "the store is overloaded or failing: try again later");
		err_slug(e, "store_failing");
		return;
	case RETRY_CLOCK:
		denied(f, e);
		return;
	case RETRY_REGION:
		wrong_place(f, e);
		return;
	case RETRY_NO:
		break;
	}
	if (op->status == 401 || op->status == 403 || is_denial(op->code))
		denied(f, e);
	else if (op->status == 404)
		missing(f, e);
	else if (op->status == 412)
		e->code = ERR_EXISTS;
	else if (op->status >= 300 && op->status < 400)
		wrong_place(f, e);
	else
		refused(f, e);
}

void s3_explain(const struct s3_failure *f, struct err *e)
{
	*e = (struct err)ERR_INIT;
	if (f->op->call.fail == HTTP_OK)
		bad_answer(f, e);
	else
		no_answer(f, e);
	if (e->code == ERR_CANCELED)
		return;
	s3_explain_tries(f->op, f->took_ms, e);
	err_wrap(e, "%s %s", f->op->what, f->op->key ? f->op->key : f->bucket);
}
