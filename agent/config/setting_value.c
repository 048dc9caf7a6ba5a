/* SPDX-License-Identifier: Apache-2.0 */
/* Text to the field of a setting, and the environment's text. */
#include "agent/config/config.h"
#include "agent/config/settings.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

enum { ENV_FILE_MAX = 64 << 10 };

static int bad(const struct setting *s, const char *what, const char *text,
	       const char *hint, struct err *e)
{
	err_set(e, ERR_USAGE, "%s: %s: '%.80s'", s->key, what, text);
	return err_hint(e, "%s", hint);
}

static int store_duration(const struct setting *s, const char *text, int64_t *out,
			  bool *bare, struct err *e)
{
	static const char *const hint = "for instance 500ms, 10s, 1h30m, 7d";
	uint64_t ns;

	if (text_u64(text, &ns) == 0) {
		*bare = ns != 0;
		*out = (int64_t)(ns / 1000000);
		return 0;
	}
	if (text_duration_ms(text, out) < 0)
		return bad(s, "not a duration", text, hint, e);
	if (*out < 0)
		return bad(s, "a negative duration", text, hint, e);
	return 0;
}

static int store_level(const struct setting *s, const char *text, enum log_level *out,
		       struct err *e)
{
	int level = log_level_parse(text);

	if (level < 0)
		return bad(s, "unknown log level", text, "one of error, warn, info, debug",
			   e);
	*out = (enum log_level)level;
	return 0;
}

static int store_compression(const struct setting *s, const char *text,
			     enum compression *out, struct err *e)
{
	static const char *const words[] = { "auto", "zst", "lz4" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(text, words[i])) {
			*out = (enum compression)i;
			return 0;
		}
	return bad(s, "unknown compression", text, "one of auto, zst, lz4", e);
}

static void store_string(char **field, const char *text)
{
	free(*field);
	*field = mem_str(text);
}

int setting_store(const struct setting *s, const char *text, void *base, bool *bare,
		  struct err *e)
{
	void *field = (char *)base + s->offset;

	if (!text || !*text)
		text = s->fallback;
	if (!text)
		return 0;
	switch (s->type) {
	case SETTING_STRING:
		store_string(field, text);
		return 0;
	case SETTING_SECRET:
		secret_free(field);
		*(struct secret *)field = secret_from(text);
		return 0;
	case SETTING_BOOL:
		if (text_bool(text, field) < 0)
			return bad(s, "neither true nor false", text, "true or false", e);
		return 0;
	case SETTING_DURATION:
		return store_duration(s, text, field, bare, e);
	case SETTING_SIZE:
		if (text_size(text, field) < 0)
			return bad(s, "not a size", text, "for instance 4096, 16MiB, 2GB",
				   e);
		return 0;
	case SETTING_COUNT:
		if (text_u32(text, field) < 0)
			return bad(s, "not a number", text, "a number of pages", e);
		return 0;
	case SETTING_LEVEL:
		return store_level(s, text, field, e);
	case SETTING_JSON:
		if (strcasecmp(text, "text") != 0 && strcasecmp(text, "json") != 0)
			return bad(s, "unknown log type", text, "text or json", e);
		*(bool *)field = !strcasecmp(text, "json");
		return 0;
	case SETTING_COMPRESSION:
		return store_compression(s, text, field, e);
	case SETTING_PART:
	case SETTING_ALIAS:
	case SETTING_NOTE:
	case SETTING_REFUSE:
		return 0;
	}
	return err_set(e, ERR_BUG, "setting %s has type %d", s->key, (int)s->type);
}

const char *env_get(const char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; env && *env; env++)
		if (!strncmp(*env, name, n) && (*env)[n] == '=')
			return (*env)[n + 1] ? *env + n + 1 : NULL;
	return NULL;
}

static char *read_value(const char *name, const char *path, struct err *e)
{
	CLEANUP(buf_free) struct buf b = BUF(ENV_FILE_MAX);
	char *text;

	if (file_read(path, &b, e) < 0) {
		err_wrap(e, "%s_FILE", name);
		e->code = ERR_USAGE;
		return NULL;
	}
	if (b.len && memchr(b.p, 0, b.len)) {
		err_set(e, ERR_USAGE, "%s_FILE: %s holds a zero byte", name, path);
		return NULL;
	}
	text = mem_strn(b.p ? (const char *)b.p : "", b.len);
	if (b.p)
		explicit_bzero(b.p, b.cap);
	return text;
}

int setting_env_name(const char *const *env, const char *name, struct setting_value *out,
		     struct err *e)
{
	AUTO_FREE char *file_name = mem_fmt("%s_FILE", name);
	const char *value = env_get(env, name);
	const char *path = env_get(env, file_name);
	char *text;

	if (!value && !path)
		return 0;
	if (value && path) {
		err_set(e, ERR_USAGE, "both %s and %s are set", name, file_name);
		return err_hint(e, "unset one of them");
	}
	text = value ? mem_str(value) : read_value(name, path, e);
	if (!text)
		return -1;
	/* A line end that a secret store or an `echo` put there is not part of the value. */
	for (size_t n = strlen(text); n && (text[n - 1] == '\n' || text[n - 1] == '\r');)
		text[--n] = 0;
	if (!*text) {
		free(text);
		return 0;
	}
	*out = (struct setting_value){
		.s = out->s, .text = text, .origin = ORIGIN_ENV, .env_file = !value
	};
	return 0;
}

int setting_from_env(const struct setting *s, const char *const *env, enum env_names which,
		     struct setting_value *out, struct err *e)
{
	for (const char *w = s->env; w && *w;) {
		size_t n = strcspn(w, " ");
		AUTO_FREE char *name = mem_strn(w, n);
		bool own = text_starts(name, "WALBACK_");

		if (own == (which == ENV_OWN)) {
			if (setting_env_name(env, name, out, e) < 0)
				return -1;
			out->env = w;
			if (out->text)
				return 0;
		}
		w += n;
		w += *w == ' ';
	}
	return 0;
}

void setting_origin_format(const struct setting_value *v, const char *file, char out[512])
{
	switch (v->origin) {
	case ORIGIN_DEFAULT:
		snprintf(out, 512, "default");
		return;
	case ORIGIN_ENV:
		snprintf(out, 512, "%.*s%s", (int)strcspn(v->env, " "), v->env,
			 v->env_file ? "_FILE" : "");
		return;
	case ORIGIN_FILE:
		snprintf(out, 512, "%s:%d", file ? file : "", v->line);
		return;
	case ORIGIN_URL:
		snprintf(out, 512, "url");
		return;
	case ORIGIN_FLAG:
		snprintf(out, 512, "command line");
		return;
	}
}
