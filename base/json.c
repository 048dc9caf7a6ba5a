/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/text.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* jansson's macro of one argument; ours is a function of two. */
#undef json_is_null

enum { JSON_BYTES_MAX = 1 << 20, JSON_DEPTH_MAX = 64 };

/* A handle is jansson's own value seen from outside. */
static const json_t *inner(const struct json *v)
{
	return (const json_t *)v;
}

/* jansson's own limit is 2048 levels of recursion; ours is for documents of people. */
static int check_depth(const char *p, size_t n)
{
	int depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < n; i++) {
		char c = p[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return -1;
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return 0;
}

struct json *json_parse(const void *p, size_t n, const char *what, struct err *e)
{
	json_error_t why;

	if (n > JSON_BYTES_MAX) {
		err_set(e, ERR_CORRUPT, "%s: JSON of %zu bytes is larger than %d", what, n,
			JSON_BYTES_MAX);
		return NULL;
	}
	if (check_depth(p, n)) {
		err_set(e, ERR_CORRUPT, "%s: JSON is nested deeper than %d levels", what,
			JSON_DEPTH_MAX);
		return NULL;
	}
	json_t *root = json_loadb(p, n, JSON_REJECT_DUPLICATES, &why);

	if (!root) {
		err_set(e, ERR_CORRUPT, "%s: line %d: %s", what, why.line, why.text);
		return NULL;
	}
	if (!json_is_object(root)) {
		json_decref(root);
		err_set(e, ERR_CORRUPT, "%s: not a JSON object", what);
		return NULL;
	}
	return (struct json *)root;
}

void json_free(struct json *root)
{
	json_decref((json_t *)root);
}

void json_freep(struct json **root)
{
	json_free(*root);
	*root = NULL;
}

const char *json_str(const struct json *o, const char *key)
{
	return json_string_value(json_object_get(inner(o), key));
}

const struct json *json_obj(const struct json *o, const char *key)
{
	const json_t *v = json_object_get(inner(o), key);

	return json_is_object(v) ? (const struct json *)v : NULL;
}

int json_i64(const struct json *o, const char *key, int64_t *out)
{
	const json_t *v = json_object_get(inner(o), key);

	if (!json_is_integer(v))
		return -1;
	*out = json_integer_value(v);
	return 0;
}

int json_u64(const struct json *o, const char *key, uint64_t *out)
{
	int64_t v = 0;

	if (json_i64(o, key, &v) || v < 0)
		return -1;
	*out = (uint64_t)v;
	return 0;
}

bool json_bool(const struct json *o, const char *key, bool otherwise)
{
	const json_t *v = json_object_get(inner(o), key);

	return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

bool json_is_null(const struct json *o, const char *key)
{
	const json_t *v = json_object_get(inner(o), key);

	return !v || json_typeof(v) == JSON_NULL;
}

size_t json_array_len(const struct json *o, const char *key)
{
	return json_array_size(json_object_get(inner(o), key));
}

const struct json *json_array_obj(const struct json *o, const char *key, size_t i)
{
	const json_t *v = json_array_get(json_object_get(inner(o), key), i);

	return json_is_object(v) ? (const struct json *)v : NULL;
}

const char *json_array_str(const struct json *o, const char *key, size_t i)
{
	return json_string_value(json_array_get(json_object_get(inner(o), key), i));
}
