/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests over kept-alive connections: one thread with one event loop
 * drives any number of them.  No word about S3 here, and no retries.
 *
 * A struct http_call is the caller's: filled in, submitted, and valid until its
 * done function ran.  done runs on the loop's thread and must be short; it may
 * submit calls, also the same one again.  The request's strings and body are
 * not copied and live as long as the call is out, so that it can be sent again.
 *
 * The thread starts with the first call.  A call ends early when its stop token
 * is set, when it is canceled, and when no byte moves for stall_ms.
 */
#ifndef S3_HTTP_H
#define S3_HTTP_H

#include "base/buf.h"
#include "base/err.h"
#include "base/stop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why there is no complete answer. */
enum http_fail {
	HTTP_OK,       /* there is one; see .status */
	HTTP_RESOLVE,  /* the host has no address */
	HTTP_CONNECT,  /* no connection; nothing was sent */
	HTTP_TIMEOUT,  /* too long, or nothing moved for too long */
	HTTP_BROKEN,   /* reset, truncated, not HTTP */
	HTTP_TLS,      /* certificate or handshake refused */
	HTTP_TOO_BIG,  /* the body exceeds out's ceiling */
	HTTP_CANCELED, /* stop token or http_cancel */
	HTTP_OTHER,
};

struct http;

struct http_call {
	/* The request. */
	const char *method;	    /* "GET" "PUT" "POST" "DELETE" "HEAD" */
	const char *url;	    /* complete and encoded; sent as it is */
	const char *const *headers; /* "Name: value" */
	size_t nheaders;
	const void *body; /* for PUT and POST; may be empty */
	size_t body_len;
	struct buf *out; /* a 2xx answer's body is appended; NULL: dropped */
	const struct stop *stop;
	int64_t connect_ms, stall_ms, timeout_ms; /* 0: 10 s, 30 s, none */
	bool skip_verify;			  /* accept any certificate */

	void (*done)(struct http_call *c);
	void *arg;

	/* The answer. */
	enum http_fail fail;
	int status; /* 0 without an answer */
	struct buf headers_in;
	struct buf error_body; /* of an answer that is not 2xx, cut at 64 KiB */
	char why[256];	       /* one line about the failure */
	bool resent; /* it went out twice: first on a kept connection that had died, or so it seemed */

	/* The loop's. */
	struct http_call *next, *prev;
	void *easy, *list;
	size_t out_start;
	int64_t due_ms;
	unsigned sends;
	bool canceled, overflow;
};

struct http_options {
	const char *ca_file, *ca_path; /* NULL: the system's */
};

struct http *http_new(const struct http_options *o);
/* No call may be out. */
void http_destroy(struct http *h);

/* Once before the first submit; free after the last done. */
void http_call_init(struct http_call *c);
void http_call_free(struct http_call *c);
/* Send after delay_ms.  done is called in every case, never from inside. */
void http_submit(struct http *h, struct http_call *c, int64_t delay_ms);
/* Hurry done with HTTP_CANCELED, also of later submits.  Any thread; harmless when it is done already. */
void http_cancel(struct http *h, struct http_call *c);

/* Value of an answer's header (any case), cut to n - 1 bytes; false and "" if there is none. */
bool http_header(const struct http_call *c, const char *name, char *out, size_t n);
/* Date, Last-Modified: Unix time in ms, -1 if it makes no sense. */
int64_t http_date_ms(const char *text);

#endif
