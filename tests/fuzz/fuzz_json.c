/* SPDX-License-Identifier: Apache-2.0 */
/* Documents from the store: parse, read by key, write what was read, parse that. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void copy(const struct json *in, struct json_out *out)
{
	uint64_t u = 0;
	const char *s = json_str(in, "generation");

	json_open(out, NULL, '{');
	json_put_str(out, "generation", s);
	if (!json_u64(in, "n", &u))
		json_put_u64(out, "n", u);
	json_open(out, "list", '[');
	for (size_t i = 0; i < json_array_len(in, "list"); i++) {
		const struct json *o = json_array_obj(in, "list", i);

		json_put_str(out, NULL,
			     o ? json_str(o, "k") : json_array_str(in, "list", i));
	}
	json_close(out, ']');
	json_close(out, '}');
}

static bool same_text(const struct json *a, const struct json *b)
{
	const char *s = json_str(a, "generation"), *t = json_str(b, "generation");

	return s && t ? !strcmp(s, t) : s == t;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf b = BUF(1 << 20);
	struct json_out out = { .b = &b };
	struct err e = ERR_INIT;
	struct json *first = json_parse(p, n, "fuzz", &e);

	if (!first)
		return 0;
	copy(first, &out);
	struct json *second = buf_ok(&b) ? json_parse(b.p, b.len, "fuzz", &e) : NULL;

	if (buf_ok(&b) && (!second || !same_text(first, second)))
		abort();
	json_free(first);
	json_free(second);
	buf_free(&b);
	return 0;
}
