/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket "bkt" of keys for the scripted server: answers LIST as S3 does, in pages, and a GET
 * of head.json below app/.  Its shortcomings can be chosen.
 */
#ifndef TESTS_UNIT_FAKE_LIST_H
#define TESTS_UNIT_FAKE_LIST_H

#include "base/cleanup.h"
#include "base/text.h"
#include "tests/unit/fake_http.h"

#define FAKE_BODIES 2500

struct fake_bucket {
	const char *const *keys; /* sorted */
	size_t n, page;
	const char *head; /* head.json; NULL: there is none */
	bool ignores_after, ignores_delimiter, refuses_delimiter, endless, backwards;
	size_t fail_at; /* this LIST (from 1) ... */
	int fail_status;
	size_t stall_at;
	int head_status, root_status; /* errors instead of an answer */
	void (*before)(struct fake_bucket *b, size_t list); /* each LIST */

	size_t lists, heads, roots, folded;
	char *body[FAKE_BODIES];
	size_t bodies;
};

/* A parameter of the request, decoded; NULL: not there. */
static inline char *fake_param(const char *request, const char *name)
{
	AUTO_FREE char *line = mem_strn(request, strcspn(request, "\r"));
	AUTO_FREE char *want = mem_fmt("%s=", name);
	struct buf b = BUF(8192);

	for (char *p = strchr(line, '?'); p; p = strchr(p, '&')) {
		if (!text_starts(++p, want))
			continue;
		p += strlen(want);
		buf_adds(&b, "");
		assert_int_equal(text_uri_decode(&b, p, strcspn(p, "& "), false), 0);
		return buf_steal(&b);
	}
	return NULL;
}

static inline void fake_prefixes(struct buf *out, char **prefix, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_addf(out, "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>",
			 prefix[i]);
		free(prefix[i]);
	}
}

static inline char *fake_page(const struct fake_bucket *b, const char *request)
{
	AUTO_FREE char *prefix = fake_param(request, "prefix");
	AUTO_FREE char *start = fake_param(request, "start-after");
	AUTO_FREE char *token = fake_param(request, "continuation-token");
	AUTO_FREE char *delimiter = fake_param(request, "delimiter");
	const char *after = token ? token : start && !b->ignores_after ? start : "";
	struct buf out = BUF(1 << 20);
	char **group = mem_array(b->page + 1, sizeof(*group));
	size_t entries = 0, groups = 0;
	const char *last = "";
	bool more = false;

	buf_adds(&out, "<ListBucketResult>");
	for (size_t i = 0; i < b->n && !more; i++) {
		const char *key = b->keys[b->backwards ? b->n - 1 - i : i];
		const char *cut = NULL;

		if (!text_starts(key, prefix) || (!b->backwards && strcmp(key, after) <= 0))
			continue;
		if (delimiter && !b->ignores_delimiter)
			cut = strstr(key + strlen(prefix), delimiter);
		if (cut && groups && text_starts(key, group[groups - 1]))
			continue;
		more = entries++ == b->page;
		if (!more && cut)
			group[groups++] = mem_strn(key, (size_t)(cut - key) + 1);
		else if (!more)
			buf_addf(&out, "<Contents><Key>%s</Key><Size>%zu</Size></Contents>",
				 key, i % 97);
		last = more ? last : key;
	}
	fake_prefixes(&out, group, groups);
	free(group);
	more = more || b->endless;
	buf_addf(&out, "<IsTruncated>%s</IsTruncated>", more ? "true" : "false");
	if (more)
		buf_addf(&out, "<NextContinuationToken>%s</NextContinuationToken>", last);
	buf_adds(&out, "</ListBucketResult>");
	return buf_steal(&out);
}

static inline void fake_fail(struct fake_step *s, int status)
{
	s->status = status;
	s->body = status == 403 ? "<Error><Code>AccessDenied</Code></Error>"
				: "<Error><Code>InvalidRequest</Code></Error>";
}

static inline void fake_look_list(struct fake_bucket *b, const char *request,
				  struct fake_step *s)
{
	AUTO_FREE char *delimiter = fake_param(request, "delimiter");

	if (delimiter && *delimiter == '/')
		b->roots++;
	else if (b->before)
		b->before(b, b->lists);
	if (delimiter && *delimiter == '/' && b->root_status) {
		fake_fail(s, b->root_status);
		return;
	}
	b->lists++;
	b->folded += delimiter && *delimiter != '/';
	if (b->lists == b->fail_at || (b->refuses_delimiter && delimiter)) {
		fake_fail(s, b->fail_status);
	} else if (b->lists == b->stall_at) {
		s->how = FAKE_STALL;
	} else {
		assert_true(b->bodies < FAKE_BODIES);
		s->body = b->body[b->bodies++] = fake_page(b, request);
	}
}

/* The only step's look; f->arg is the bucket. */
static inline void fake_look(struct fake *f, const char *request, struct fake_step *s)
{
	struct fake_bucket *b = f->arg;

	if (!text_starts(request, "GET /bkt/app/walback/head.json")) {
		fake_look_list(b, request, s);
		return;
	}
	b->heads++;
	s->body = b->head;
	if (b->head_status)
		fake_fail(s, b->head_status);
	else if (!b->head)
		s->status = 404;
}

static const struct fake_step fake_bucket_steps[] = { { 200, NULL, NULL, FAKE_ANSWER,
							fake_look } };

static inline void fake_bucket_free(struct fake_bucket *b)
{
	while (b->bodies)
		free(b->body[--b->bodies]);
}

#endif
