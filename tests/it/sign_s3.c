/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signs what tests/it/test_sigv4.py asks for: one JSON object a line on stdin,
 * one Authorization value a line on stdout.
 *   {"method", "path" (not encoded), "qn": [], "qv": [], "hn": [], "hv": [],
 *    "hash", "region", "id", "secret", "now_ms"}
 */
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "s3/sigv4.h"

#include <stdio.h>
#include <string.h>

#define PAIRS_MAX 32

static size_t pairs(const struct json *j, const char *names, const char *values,
		    struct sigv4_pair *out)
{
	size_t n = json_array_len(j, names);

	for (size_t i = 0; i < n && i < PAIRS_MAX; i++)
		out[i] = (struct sigv4_pair){ json_array_str(j, names, i),
					      json_array_str(j, values, i) };
	return n < PAIRS_MAX ? n : PAIRS_MAX;
}

static int sign(const char *line, size_t n)
{
	struct err e = ERR_INIT;
	struct sigv4_pair query[PAIRS_MAX], headers[PAIRS_MAX];
	struct buf path = BUF(65536), out = BUF(8192);
	uint8_t key[32];
	CLEANUP(json_freep) struct json *j = json_parse(line, n, "request", &e);

	if (!j) {
		fprintf(stderr, "%s\n", e.msg);
		return -1;
	}
	const char *raw = json_str(j, "path");
	struct secret secret = secret_from(json_str(j, "secret"));
	struct sigv4_request r = { .method = json_str(j, "method"),
				   .query = query,
				   .nquery = pairs(j, "qn", "qv", query),
				   .headers = headers,
				   .nheaders = pairs(j, "hn", "hv", headers),
				   .payload_hash = json_str(j, "hash"),
				   .region = json_str(j, "region"),
				   .service = "s3" };

	if (json_i64(j, "now_ms", &r.now_ms) < 0)
		return -1;
	text_uri_encode(&path, raw, strlen(raw), true);
	r.path = (char *)path.p;
	sigv4_signing_key(&r, &secret, key);
	sigv4_authorize(&r, json_str(j, "id"), key, &out);
	printf("%s\n", (char *)out.p);
	secret_free(&secret);
	buf_free(&path);
	buf_free(&out);
	return 0;
}

int main(void)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = getline(&line, &cap, stdin)) > 0)
		rc = sign(line, (size_t)n);
	free(line);
	return rc < 0;
}
