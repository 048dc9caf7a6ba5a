/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Signature Version 4: pure functions from a request, a key and a time to
 * an Authorization header or a presigned query.  No clock, no I/O.
 *
 * Rules: docs.aws.amazon.com "Signature Version 4 signing process".  S3 differs
 * from other services: its path is encoded once and never normalised, so the
 * bytes signed are the bytes sent.  `general` gives the other services' rule.
 */
#ifndef S3_SIGV4_H
#define S3_SIGV4_H

#include "base/buf.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGV4_DATE_MAX 17 /* "20150830T123600Z" and a NUL */
#define SIGV4_EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"

struct sigv4_pair {
	const char *name, *value; /* value NULL is "" */
};

struct sigv4_request {
	const char *method;
	const char *path; /* starts with '/'; S3: already encoded, as on the wire */
	const struct sigv4_pair *query; /* not encoded, any order */
	size_t nquery;
	const struct sigv4_pair *headers; /* all that are signed: host, every x-amz-* */
	size_t nheaders;
	const char *payload_hash; /* hex SHA-256 or SIGV4_UNSIGNED */
	const char *region, *service;
	int64_t now_ms;
	bool general;	/* not S3: encode the path (once more) */
	bool normalize; /* with general: remove dot segments and double slashes */
};

struct sigv4_key {
	const char *id;
	const struct secret *secret;
};

/* "a=1&b=": encoded and sorted, as it is signed; send it like this. */
void sigv4_query(struct buf *out, const struct sigv4_pair *query, size_t n);

/* The canonical request; signed_headers gets "host;x-amz-date". */
void sigv4_canonical(const struct sigv4_request *r, struct buf *out,
		     struct buf *signed_headers);
void sigv4_string_to_sign(const struct sigv4_request *r, const struct buf *canonical,
			  struct buf *out);

/* The key derived from the secret for the day of now_ms; may be kept for that day. */
void sigv4_signing_key(const struct sigv4_request *r, const struct secret *secret,
		       uint8_t out[32]);
/* The value of the Authorization header.  The x-amz-date header of now_ms must be among r->headers. */
void sigv4_authorize(const struct sigv4_request *r, const char *key_id,
		     const uint8_t signing_key[32], struct buf *out);

struct sigv4_presign {
	uint32_t expires_s;
	const char *token;	/* session token or NULL */
	bool token_is_unsigned; /* append it after signing */
};
/* The whole query of a presigned URL; r->headers must not name x-amz-date. */
void sigv4_presign(const struct sigv4_request *r, const struct sigv4_key *key,
		   const struct sigv4_presign *p, struct buf *out);

#endif
