/* SPDX-License-Identifier: Apache-2.0 */
/* Replicas: type, URL, credentials and the names that an object's address is made of. */
#include "agent/config/config_build.h"
#include "agent/config/config_url.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "s3/creds.h"

#include <ctype.h>
#include <string.h>

/* The access key and its secret come from one place, never half and half. */
static int keys_from_level(const struct builder *b, const struct setting_values *level,
			   struct replica_config *out, bool *found, struct err *e)
{
	static const char *const names[] = { "access-key-id", "secret-access-key",
					     "session-token" };
	struct setting_value v[3] = { { 0 }, { 0 }, { 0 } };
	bool bare;
	int r = 0;

	for (size_t i = 0; i < 3; i++) {
		v[i].s = build_row(SCOPE_REPLICA, names[i]);
		build_take(&v[i], level, v[i].s);
	}
	if (!v[0].text != !v[1].text) {
		const struct setting_value *there = v[0].text ? &v[0] : &v[1];

		err_set(e, ERR_USAGE, "%s without %s", there->s->key,
			v[0].text ? names[1] : names[0]);
		err_hint(e, "set both, or neither to take them from the environment");
		r = build_blame(b, there, e);
	}
	*found = v[0].text != NULL;
	for (size_t i = 0; i < 3; i++) {
		if (!r && v[i].text)
			r = setting_store(v[i].s, v[i].text, out, &bare, e);
		if (v[i].text)
			build_explain(&out->explain, b, &v[i]);
	}
	return r;
}

/* One family of variables: WALBACK_, LITESTREAM_, AWS_ and the old AWS names. */
static int keys_from_family(const struct builder *b, const char *const names[3],
			    struct replica_config *out, bool *found, struct err *e)
{
	static const char *const keys[] = { "access-key-id", "secret-access-key",
					    "session-token" };
	struct setting_value v[3] = { { 0 }, { 0 }, { 0 } };
	bool bare;
	int r = 0;

	for (size_t i = 0; !r && i < 3; i++) {
		v[i].s = build_row(SCOPE_REPLICA, keys[i]);
		r = setting_env_name(b->env, names[i], &v[i], e);
		v[i].env = strstr(v[i].s->env, names[i]);
	}
	*found = !r && v[0].text && v[1].text;
	for (size_t i = 0; i < 3; i++) {
		if (!r && *found && v[i].text)
			r = setting_store(v[i].s, v[i].text, out, &bare, e);
		if (*found && v[i].text)
			build_explain(&out->explain, b, &v[i]);
		setting_value_free(&v[i]);
	}
	return r;
}

static int read_keys(const struct builder *b, const struct levels *l,
		     struct replica_config *out, struct err *e)
{
	bool found = false;

	if (l->own && keys_from_level(b, l->own, out, &found, e) < 0)
		return -1;
	if (!found && l->top && keys_from_level(b, l->top, out, &found, e) < 0)
		return -1;
	for (size_t i = 0; !found && i < S3_CREDS_FAMILIES; i++)
		if (keys_from_family(b, s3_creds_names[i], out, &found, e) < 0)
			return -1;
	if (!found)
		build_explain_final(out->explain, build_row(SCOPE_REPLICA, "access-key-id"),
				    NULL);
	return 0;
}

/* What the URL says, as a level between the file's own words and the inherited ones. */
static int url_level(const char *url, struct setting_values *out, enum replica_type *type,
		     struct err *e)
{
	struct replica_url u;
	const struct {
		const char *key;
		char **text;
	} fields[] = {
		{ "path", &u.path },
		{ "bucket", &u.bucket },
		{ "region", &u.region },
		{ "endpoint", &u.endpoint },
		{ "force-path-style", &u.path_style },
		{ "skip-verify", &u.skip_verify },
	};

	if (replica_url_parse(&u, url, e) < 0)
		return -1;
	*type = u.type;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!*fields[i].text)
			continue;
		/* Only "no path" is a statement; an empty region of a provider is not. */
		if (**fields[i].text || !strcmp(fields[i].key, "path"))
			setting_values_put(
				out, (struct setting_value){
					     .s = build_row(SCOPE_REPLICA, fields[i].key),
					     .text = STEAL(*fields[i].text),
					     .origin = ORIGIN_URL });
	}
	replica_url_free(&u);
	return 0;
}

static const char *own_text(const struct levels *l, const char *key)
{
	const struct setting_value *v =
		l->own ? setting_values_get(l->own, build_row(SCOPE_REPLICA, key)) : NULL;

	return v && v->text && *v->text ? v->text : NULL;
}

/* Litestream's rules for what excludes what. */
static int check_words(const struct levels *l, const char *url, bool url_has_scheme,
		       const struct build_source *from, struct err *e)
{
	const char *path = own_text(l, "path");

	if (path && config_is_url(path)) {
		err_set(e, ERR_USAGE, "the path of a replica is a %.*s:// URL",
			(int)strcspn(path, ":"), path);
		return err_hint(e, "use url: instead of path:");
	}
	if (url && url_has_scheme && path) {
		err_set(e, ERR_USAGE, "url and path of a replica exclude each other");
		return err_hint(e, "put the path into the url");
	}
	if (url && url_has_scheme && own_text(l, "bucket")) {
		err_set(e, ERR_USAGE, "url and bucket of a replica exclude each other");
		return err_hint(e, "put the bucket into the url, or leave the url out");
	}
	if (!url && from->line && !own_text(l, "type") && own_text(l, "bucket")) {
		err_set(e, ERR_USAGE,
			"a replica with a bucket but without a type is a file replica");
		return err_hint(e, "add type: s3");
	}
	return 0;
}

static int s3_names(struct replica_config *out, struct err *e)
{
	size_t n = out->bucket ? strlen(out->bucket) : 0;

	if (!n) {
		err_set(e, ERR_USAGE, "an s3 replica without a bucket");
		return err_hint(e, "set bucket:, or url: s3://BUCKET/PATH");
	}
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)out->bucket[i]) &&
		    !strchr("._-", out->bucket[i])) {
			err_set(e, ERR_USAGE, "not the name of a bucket: '%.100s'",
				out->bucket);
			return err_hint(e, "a prefix in the bucket goes into path:");
		}
	for (const char *p = out->region; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
			return err_set(e, ERR_USAGE, "not the name of a region: '%.100s'",
				       out->region);
	return 0;
}

static void replace(char **field, char *text)
{
	free(*field);
	*field = text;
}

static int finish_s3(const struct builder *b, struct replica_config *out, struct err *e)
{
	const char *path;
	size_t n;

	if (!out->region)
		out->region = mem_str("");
	if (!out->endpoint)
		out->endpoint = mem_str("");
	if (s3_names(out, e) < 0)
		return -1;
	if (*out->endpoint) {
		bool stripped = false;
		char *clean = endpoint_clean(out->endpoint, out->bucket, &stripped, e);

		if (!clean)
			return -1;
		if (stripped && !b->r->quiet)
			log_warn("the endpoint ends with the bucket, which is not part of "
				 "it",
				 LOGS("endpoint", out->endpoint), LOGS("used", clean));
		replace(&out->endpoint, clean);
	}
	if (!out->path_style_set)
		out->path_style = *out->endpoint != 0;
	path = out->path ? out->path : "";
	replace(&out->path, path_clean(path));
	path = out->path + strspn(out->path, "/");
	n = strlen(path);
	memmove(out->path, path, n + 1);
	return 0;
}

static int finish_file(const struct builder *b, struct replica_config *out, struct err *e)
{
	if (!out->path || !*out->path) {
		err_set(e, ERR_USAGE, "a file replica without a path");
		return err_hint(e, "set path: to the folder, or url: file:///FOLDER");
	}
	out->bucket = out->bucket ? out->bucket : mem_str("");
	out->region = out->region ? out->region : mem_str("");
	out->endpoint = out->endpoint ? out->endpoint : mem_str("");
	return build_make_absolute(b, &out->path, e);
}

/* The name is a folder beside the database and a word in tables. */
static int check_name(const char *name, struct err *e)
{
	bool bad = !*name || *name == '.' || strlen(name) > 200 || !strcmp(name, "lock") ||
		   !strcmp(name, "swap.json");

	for (const char *p = name; !bad && *p; p++)
		bad = *p == '/' || *p == ' ' || text_is_control(*p);
	if (!bad)
		return 0;
	err_set(e, ERR_USAGE, "not usable as the name of a replica: '%.60s'", name);
	return err_hint(e, "a word without blanks, slashes and a leading dot");
}

static int check_path_text(const struct replica_config *out, struct err *e)
{
	for (const char *p = out->path; *p; p++)
		if (text_is_control(*p))
			return err_set(e, ERR_USAGE,
				       "a control character in the path of a replica");
	return 0;
}

static int finish_replica(const struct builder *b, struct replica_config *out,
			  struct err *e)
{
	if ((out->type == REPLICA_S3 ? finish_s3(b, out, e) : finish_file(b, out, e)) < 0 ||
	    check_path_text(out, e) < 0)
		return -1;
	if (!out->name)
		out->name = mem_str(replica_type_name(out->type));
	if (check_name(out->name, e) < 0)
		return -1;
	if (out->retention_ms > 0 && out->retention_check_interval_ms > out->retention_ms)
		out->retention_check_interval_ms = out->retention_ms;
	return 0;
}

static void explain_replica(struct replica_config *out, const struct setting_value *url,
			    const struct builder *b)
{
	struct setting_value u = { 0 };

	if (!b->r->explain)
		return;
	build_explain_final(out->explain, build_row(SCOPE_REPLICA, "name"), out->name);
	build_explain_final(out->explain, build_row(SCOPE_REPLICA, "type"),
			    replica_type_name(out->type));
	build_explain_final(out->explain, build_row(SCOPE_REPLICA, "path"), out->path);
	build_explain_final(out->explain, build_row(SCOPE_REPLICA, "endpoint"),
			    out->endpoint);
	if (out->type == REPLICA_S3)
		build_explain_final(out->explain,
				    build_row(SCOPE_REPLICA, "force-path-style"),
				    out->path_style ? "true" : "false");
	if (!url->text)
		return;
	/* Without the query: its fields show as settings, and what is unknown may be secret. */
	u = *url;
	u.text = mem_strn(url->text, strcspn(url->text, "?"));
	build_explain(&out->explain, b, &u);
}

static int replica_type(const struct builder *b, const struct levels *l, bool has_scheme,
			bool from_env, struct replica_config *out, struct err *e)
{
	const struct setting *s = build_row(SCOPE_REPLICA, "type");
	const char *word = own_text(l, "type");

	if (has_scheme)
		return 0; /* the URL said */
	if (!word) {
		out->type = from_env ? REPLICA_S3 : REPLICA_FILE;
		return 0;
	}
	if (replica_type_parse(word, &out->type, e) < 0)
		return build_blame(b, setting_values_get(l->own, s), e);
	return 0;
}

/* The replica with its URL, if any, already a level of l. */
static int fill_replica(const struct builder *b, struct replica_config *out,
			const struct levels *l, const struct setting_value *url,
			const struct build_source *from, struct err *e)
{
	bool has_scheme = url->text && config_is_url(url->text);
	const struct setting_value *forced =
		setting_values_get(l->url, build_row(SCOPE_REPLICA, "force-path-style"));

	if (url->text && !has_scheme && url->origin != ORIGIN_FILE) {
		err_set(e, ERR_USAGE, "not a replica's URL: '%.100s'", url->text);
		err_hint(e, "s3://BUCKET/PATH or file:///FOLDER");
		return build_blame(b, url, e);
	}
	if (check_words(l, url->text, has_scheme, from, e) < 0)
		return build_blame_line(b, from, e);
	if (replica_type(b, l, has_scheme, !from->line, out, e) < 0 ||
	    build_apply_scope(b, SCOPE_REPLICA, l, out, &out->explain, e) < 0)
		return -1;
	/* A provider's URL or the file: path style if either says so. */
	if (forced && !strcmp(forced->text, "true"))
		out->path_style = true;
	if (out->type == REPLICA_S3 && read_keys(b, l, out, e) < 0)
		return -1;
	if (url->text && !has_scheme && !out->path)
		out->path = mem_str(url->text);
	if (finish_replica(b, out, e) < 0)
		return build_blame_line(b, from, e);
	explain_replica(out, url, b);
	return 0;
}

int build_replica(const struct builder *b, struct replica_config *out,
		  const struct build_source *from, struct err *e)
{
	CLEANUP(setting_values_free) struct setting_values says = { 0 };
	CLEANUP(setting_value_free) struct setting_value url = { 0 };
	const struct levels l = { .own = from->values,
				  .url = &says,
				  .top = b->file ? &b->file->top : NULL };

	if (from->url)
		url = (struct setting_value){ .s = build_row(SCOPE_REPLICA, "url"),
					      .text = mem_str(from->url),
					      .origin = ORIGIN_FLAG };
	else if (build_resolve(b, build_row(SCOPE_REPLICA, "url"), &l, &url, e) < 0)
		return -1;
	if (url.text && config_is_url(url.text) &&
	    url_level(url.text, &says, &out->type, e) < 0)
		return build_blame(b, &url, e);
	return fill_replica(b, out, &l, &url, from, e);
}
