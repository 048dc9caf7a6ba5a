/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of one bucket: signs requests, sends them, judges the answers,
 * repeats what is worth it, and says in one line what went wrong.  The verbs
 * are in s3/object.h and s3/multipart.h.
 *
 * An s3_op is one request with all its tries.  It is the caller's memory, its
 * strings and body live until it is done, and it is used once.  It is tried again
 * until the client's timeout is over; a try that moves bytes may take a second
 * longer for each 32 KiB of them.  A store of which nothing has been heard yet, where connections
 * are refused or whose host is unknown, is given up sooner (contact_ms): more likely the
 * endpoint is wrong.
 *
 * Messages name the operation and the key ("get app/head.json: 403 AccessDenied");
 * of an access key id they show the last four characters, of anything else
 * secret nothing.
 *
 * Error codes: NOT_FOUND (404; slug no_such_bucket when it is the bucket), EXISTS
 * (412), DENIED (403, 401, and requests the store refuses for good), USAGE (wrong
 * region or endpoint), AGAIN (unreachable or failing after all tries), CORRUPT
 * (more bytes than there is room for), CANCELED.
 */
#ifndef S3_CLIENT_H
#define S3_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/stop.h"
#include "s3/creds.h"
#include "s3/endpoint.h"
#include "s3/http.h"
#include "s3/retry.h"
#include "s3/sigv4.h"

#define S3_OP_PAIRS 8
#define S3_OP_LINES 16

struct s3_client;

struct s3_client_options {
	struct http *http; /* outlives the client */
	const struct s3_endpoint_options *endpoint;
	const struct s3_creds *creds;
	const struct stop *stop;
	int64_t timeout_ms; /* 0: 30 s */
	int64_t contact_ms; /* 0: timeout_ms as given, else 8 s */
	bool skip_verify;
};

struct s3_op {
	/* The request. */
	const char *what;   /* "get": for messages */
	const char *method; /* as in http_call */
	const char *key;    /* NULL: the bucket itself */
	struct sigv4_pair query[S3_OP_PAIRS], headers[S3_OP_PAIRS];
	size_t nquery, nheaders;
	const void *body;
	size_t body_len;
	struct buf *out;   /* as in http_call */
	uint64_t moves;	   /* bytes this request moves at the most, body and answer */
	int64_t thinks_ms; /* the server may work that long before it answers */
	bool last_will;	   /* not ended by the stop token, for clearing up; keep it short */
	int64_t timeout_ms; /* 0: the client's */
	/* Judge a 2xx answer: 0 good; -1 with AGAIN: try again; -1 else: failed. */
	int (*check)(struct s3_op *op, struct err *e);
	void (*done)(struct s3_op *op); /* on the loop's thread; must be short */
	void *arg;

	/* The result: rc 0 after a 2xx answer. */
	int rc;
	struct err err;
	int status; /* of the last try, 0 without an answer */
	char code[64];
	bool ambiguous; /* an earlier try may have had its effect */
	unsigned tries;

	/* The client's. */
	struct s3_client *client;
	struct http_call call;
	char *url;
	char *lines[S3_OP_LINES];
	char hash[65], hint_region[64], region[64]; /* the last: what it was signed for */
	int64_t started_ms, deadline_ms, sent_wall_ms;
	size_t out_start;
	bool clock_tried, region_tried;
};

MUST_CHECK struct s3_client *s3_client_new(const struct s3_client_options *o,
					   struct err *e);
/* No op may be out. */
void s3_client_free(struct s3_client *c);
/* "bucket" as given. */
const char *s3_client_bucket(const struct s3_client *c);
bool s3_client_stopped(const struct s3_client *c);

void s3_op_query(struct s3_op *op, const char *name, const char *value);
void s3_op_header(struct s3_op *op, const char *name, const char *value);
/* Begin; done is called in every case, later. */
void s3_start(struct s3_client *c, struct s3_op *op);
/* Hurry it; harmless when it is done. */
void s3_cancel(struct s3_op *op);
/* Begin and wait: op->rc, with *e filled when that is -1. */
MUST_CHECK int s3_run(struct s3_client *c, struct s3_op *op, struct err *e);
void s3_op_free(struct s3_op *op);

#endif
