/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canonical request = METHOD \n path \n query \n headers \n signed headers \n payload hash,
 * where each header is "name:value\n"
 * string to sign    = AWS4-HMAC-SHA256 \n date \n scope \n hex(sha256(canonical request))
 * scope             = day/region/service/aws4_request
 * key               = HMAC chain from "AWS4"+secret over the four parts of the scope
 */
#include "s3/sigv4.h"

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define CANONICAL_MAX ((size_t)256 << 10)

/* One line of a sorted list: "key" orders first, then `value`. */
struct line {
	char *key, *value;
	size_t at; /* keeps equal keys in their order */
};

static int cmp_key(const struct line *a, const struct line *b)
{
	return strcmp(a->key, b->key);
}

static int cmp_header(const void *pa, const void *pb)
{
	const struct line *a = pa, *b = pb;
	int c = cmp_key(a, b);

	return c ? c : (a->at > b->at) - (a->at < b->at);
}

static int cmp_param(const void *pa, const void *pb)
{
	const struct line *a = pa, *b = pb;
	int c = cmp_key(a, b);

	return c ? c : strcmp(a->value, b->value);
}

static void lines_free(struct line *l, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(l[i].key);
		free(l[i].value);
	}
	free(l);
}

static char *encoded(const char *s)
{
	struct buf b = BUF(CANONICAL_MAX);

	buf_add(&b, "", 0);
	text_uri_encode(&b, s, strlen(s), false);
	return (char *)b.p;
}

void sigv4_query(struct buf *out, const struct sigv4_pair *query, size_t n)
{
	struct line *l = mem_array(n, sizeof(*l));

	for (size_t i = 0; i < n; i++)
		l[i] = (struct line){ .key = encoded(query[i].name),
				      .value = encoded(query[i].value ? query[i].value
								      : "") };
	if (n)
		qsort(l, n, sizeof(*l), cmp_param);
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%s%s=%s", i ? "&" : "", l[i].key, l[i].value);
	lines_free(l, n);
}

/* Lower case. */
static char *header_name(const char *name)
{
	char *s = mem_str(name);

	for (char *p = s; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return s;
}

/* Ends trimmed, inner runs of white space become one blank (in quotes too). */
static char *header_value(const char *value)
{
	char *s = mem_alloc(strlen(value) + 1), *w = s;

	for (const char *p = value; *p; p++) {
		bool blank = isspace((unsigned char)*p);

		if (blank && (w == s || w[-1] == ' '))
			continue;
		*w++ = blank ? ' ' : *p;
	}
	if (w > s && w[-1] == ' ')
		w--;
	*w = 0;
	return s;
}

static void add_headers(const struct sigv4_request *r, struct buf *out,
			struct buf *signed_headers)
{
	size_t n = r->nheaders;
	struct line *l = mem_array(n, sizeof(*l));

	for (size_t i = 0; i < n; i++) {
		const struct sigv4_pair *h = &r->headers[i];

		l[i] = (struct line){ header_name(h->name),
				      header_value(h->value ? h->value : ""), i };
	}
	if (n)
		qsort(l, n, sizeof(*l), cmp_header);
	for (size_t i = 0; i < n; i++) {
		bool more = i > 0 && strcmp(l[i].key, l[i - 1].key) == 0;

		if (more)
			buf_addf(out, ",%s", l[i].value);
		else
			buf_addf(out, "%s%s:%s", i ? "\n" : "", l[i].key, l[i].value);
		if (!more)
			buf_addf(signed_headers, "%s%s", i ? ";" : "", l[i].key);
	}
	buf_addf(out, "\n");
	lines_free(l, n);
}

/* RFC 3986, 5.2.4, and runs of slashes become one. */
static void normalized(const char *path, struct buf *out)
{
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		bool last = !p[n];

		if (n == 2 && p[0] == '.' && p[1] == '.') {
			while (out->len && out->p[out->len - 1] == '/')
				out->len--;
			while (out->len && out->p[out->len - 1] != '/')
				out->len--;
			if (!out->len)
				buf_addf(out, "/");
		} else if (n && !(n == 1 && p[0] == '.')) {
			buf_add(out, p, n);
			if (!last)
				buf_addf(out, "/");
		} else if (!out->len) {
			buf_addf(out, "/");
		}
		p += last ? n : n + 1;
	}
}

static void add_path(const struct sigv4_request *r, struct buf *out)
{
	struct buf b = BUF(CANONICAL_MAX);

	if (!r->general) {
		buf_addf(out, "%s", r->path);
		return;
	}
	if (r->normalize)
		normalized(r->path, &b);
	else
		buf_addf(&b, "%s", r->path);
	text_uri_encode(out, (const char *)b.p, b.len, true);
	buf_free(&b);
}

static void canonical_with(const struct sigv4_request *r, const struct sigv4_pair *query,
			   size_t nquery, struct buf *out, struct buf *signed_headers)
{
	buf_addf(out, "%s\n", r->method);
	add_path(r, out);
	buf_addf(out, "\n");
	sigv4_query(out, query, nquery);
	buf_addf(out, "\n");
	add_headers(r, out, signed_headers);
	buf_addf(out, "\n%s\n%s", signed_headers->p ? (char *)signed_headers->p : "",
		 r->payload_hash);
}

void sigv4_canonical(const struct sigv4_request *r, struct buf *out,
		     struct buf *signed_headers)
{
	canonical_with(r, r->query, r->nquery, out, signed_headers);
}

static void scope(const struct sigv4_request *r, struct buf *out)
{
	char date[SIGV4_DATE_MAX];

	text_format_time_compact(r->now_ms, date);
	buf_addf(out, "%.8s/%s/%s/aws4_request", date, r->region, r->service);
}

void sigv4_string_to_sign(const struct sigv4_request *r, const struct buf *canonical,
			  struct buf *out)
{
	char date[SIGV4_DATE_MAX], hash[65];

	text_format_time_compact(r->now_ms, date);
	hash_sha256_hex(canonical->p, canonical->len, hash);
	buf_addf(out, ALGORITHM "\n%s\n", date);
	scope(r, out);
	buf_addf(out, "\n%s", hash);
}

void sigv4_signing_key(const struct sigv4_request *r, const struct secret *secret,
		       uint8_t out[32])
{
	static const char prefix[4] = { 'A', 'W', 'S', '4' };
	const char *parts[] = { r->region, r->service, "aws4_request" };
	char date[SIGV4_DATE_MAX];
	size_t n = secret->p ? secret->n : 0;
	char *seed = mem_alloc(n + 5);

	text_format_time_compact(r->now_ms, date);
	memcpy(seed, prefix, sizeof(prefix));
	if (n)
		memcpy(seed + 4, secret->p, n);
	hash_hmac_sha256(seed, n + 4, date, 8, out);
	explicit_bzero(seed, n + 5);
	free(seed);
	for (size_t i = 0; i < 3; i++) {
		uint8_t next[32];

		hash_hmac_sha256(out, 32, parts[i], strlen(parts[i]), next);
		memcpy(out, next, 32);
	}
}

static void signature(const struct sigv4_request *r, const struct buf *canonical,
		      const uint8_t signing_key[32], char out[65])
{
	struct buf text = BUF(4096);
	uint8_t mac[32];

	sigv4_string_to_sign(r, canonical, &text);
	hash_hmac_sha256(signing_key, 32, text.p, text.len, mac);
	text_hex(mac, 32, out);
	buf_free(&text);
}

void sigv4_authorize(const struct sigv4_request *r, const char *key_id,
		     const uint8_t signing_key[32], struct buf *out)
{
	struct buf canonical = BUF(CANONICAL_MAX), names = BUF(4096);
	char hex[65];

	sigv4_canonical(r, &canonical, &names);
	signature(r, &canonical, signing_key, hex);
	buf_addf(out, ALGORITHM " Credential=%s/", key_id);
	scope(r, out);
	buf_addf(out, ", SignedHeaders=%s, Signature=%s", names.p ? (char *)names.p : "",
		 hex);
	buf_free(&canonical);
	buf_free(&names);
}

void sigv4_presign(const struct sigv4_request *r, const struct sigv4_key *key,
		   const struct sigv4_presign *p, struct buf *out)
{
	struct buf canonical = BUF(CANONICAL_MAX), cred = BUF(1024);
	struct buf names = BUF(4096), again = BUF(4096);
	struct sigv4_pair *q = mem_array(r->nquery + 6, sizeof(*q));
	char date[SIGV4_DATE_MAX], expires[16], hex[65];
	size_t n = r->nquery;
	uint8_t signing_key[32];

	text_format_time_compact(r->now_ms, date);
	snprintf(expires, sizeof(expires), "%u", p->expires_s);
	buf_addf(&cred, "%s/", key->id);
	scope(r, &cred);
	add_headers(r, &canonical, &names);
	buf_reset(&canonical);
	if (n)
		memcpy(q, r->query, n * sizeof(*q));
	q[n++] = (struct sigv4_pair){ "X-Amz-Algorithm", ALGORITHM };
	q[n++] = (struct sigv4_pair){ "X-Amz-Credential", (char *)cred.p };
	q[n++] = (struct sigv4_pair){ "X-Amz-Date", date };
	q[n++] = (struct sigv4_pair){ "X-Amz-Expires", expires };
	q[n++] = (struct sigv4_pair){ "X-Amz-SignedHeaders", (char *)names.p };
	if (p->token && !p->token_is_unsigned)
		q[n++] = (struct sigv4_pair){ "X-Amz-Security-Token", p->token };
	canonical_with(r, q, n, &canonical, &again);
	sigv4_signing_key(r, key->secret, signing_key);
	signature(r, &canonical, signing_key, hex);
	explicit_bzero(signing_key, sizeof(signing_key));
	sigv4_query(out, q, n);
	if (p->token && p->token_is_unsigned) {
		buf_addf(out, "&X-Amz-Security-Token=");
		text_uri_encode(out, p->token, strlen(p->token), false);
	}
	buf_addf(out, "&X-Amz-Signature=%s", hex);
	free(q);
	buf_free(&canonical);
	buf_free(&names);
	buf_free(&again);
	buf_free(&cred);
}
