/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: reading small documents from outside (a ceiling on size and depth,
 * duplicate keys refused, strings free of NUL), and writing by appending.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json; /* a parsed document or a value inside one */

/* Top level must be an object.  `what` names the document in errors (ERR_CORRUPT).
 * At most 1 MiB and 64 levels.  Free the root with json_free; values inside live as long. */
MUST_CHECK struct json *json_parse(const void *p, size_t n, const char *what,
				   struct err *e);
void json_free(struct json *root);
void json_freep(struct json **root); /* for CLEANUP */

/* The value of a key, or NULL (absent, null, or another type). */
const char *json_str(const struct json *o, const char *key);
const struct json *json_obj(const struct json *o, const char *key);
MUST_CHECK int json_i64(const struct json *o, const char *key,
			int64_t *out); /* -1: absent or not an integer */
MUST_CHECK int json_u64(const struct json *o, const char *key,
			uint64_t *out); /* -1: absent, negative or not an integer */
bool json_bool(const struct json *o, const char *key, bool otherwise);
bool json_is_null(const struct json *o, const char *key);     /* absent or null */
size_t json_array_len(const struct json *o, const char *key); /* 0: absent or no array */
const struct json *json_array_obj(const struct json *o, const char *key, size_t i);
const char *json_array_str(const struct json *o, const char *key, size_t i);

/* Writing.  Commas are put by themselves; strings are escaped, and bytes that are
 * not UTF-8 become U+FFFD.  key NULL inside arrays and at the top. */
struct json_out {
	struct buf *b;
	bool comma;
	bool pretty; /* two-space indent */
	int depth;
};
void json_open(struct json_out *j, const char *key, char bracket);     /* '{' or '[' */
void json_close(struct json_out *j, char bracket);		       /* '}' or ']' */
void json_put_str(struct json_out *j, const char *key, const char *s); /* NULL: null */
void json_put_i64(struct json_out *j, const char *key, int64_t v);
void json_put_u64(struct json_out *j, const char *key, uint64_t v);
void json_put_bool(struct json_out *j, const char *key, bool v);
void json_put_null(struct json_out *j, const char *key);
void json_put_time(struct json_out *j, const char *key, int64_t ms); /* RFC 3339 ms */
void json_put_hex(struct json_out *j, const char *key, uint64_t v, int digits); /* string */

#endif
