/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/config_build.h"

#include "agent/config/config_url.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

const struct setting *build_row(enum setting_scope scope, const char *key)
{
	return setting_find(scope, key);
}

/* Empty text counts as not set; a URL's empty text (no path) is meant. */
bool build_take(struct setting_value *out, const struct setting_values *level,
		const struct setting *s)
{
	const struct setting_value *v = level ? setting_values_get(level, s) : NULL;

	if (!v || !v->text || (!*v->text && v->origin != ORIGIN_URL))
		return false;
	*out = *v;
	out->text = mem_str(v->text);
	return true;
}

static int take_env(const struct builder *b, const struct setting *s, enum env_names which,
		    struct setting_value *out, struct err *e)
{
	if ((s->flags & SETTING_KEYS) || ((s->flags & SETTING_WHERE) && !b->env_where))
		return 0;
	if (setting_from_env(s, b->env, which, out, e) < 0)
		return -1;
	return out->text != NULL;
}

/* The text in force and its origin, by the precedence of agent/config/settings.h. */
int build_resolve(const struct builder *b, const struct setting *s, const struct levels *l,
		  struct setting_value *out, struct err *e)
{
	bool where = s->flags & SETTING_WHERE;
	int r;

	*out = (struct setting_value){ .s = s };
	r = where ? 0 : take_env(b, s, ENV_OWN, out, e);
	if (r)
		return r < 0 ? -1 : 0;
	if (build_take(out, l->own, s) || build_take(out, l->url, s) ||
	    ((s->flags & SETTING_INHERIT) && build_take(out, l->top, s)))
		return 0;
	r = where ? take_env(b, s, ENV_OWN, out, e) : 0;
	if (!r)
		r = take_env(b, s, ENV_OTHER, out, e);
	if (r)
		return r < 0 ? -1 : 0;
	out->text = mem_str(s->fallback);
	out->origin = ORIGIN_DEFAULT;
	return 0;
}

/* "FILE:LINE: " or "NAME: " in front of what is wrong with a value. */
int build_blame(const struct builder *b, const struct setting_value *v, struct err *e)
{
	char from[512];

	if (v->origin != ORIGIN_FILE && v->origin != ORIGIN_ENV)
		return -1;
	setting_origin_format(v, b->file_name, from);
	return err_wrap(e, "%s", from);
}

int build_blame_line(const struct builder *b, const struct build_source *from,
		     struct err *e)
{
	return from->line ? err_wrap(e, "%s:%d", b->file_name, from->line) : -1;
}

static void redact(struct setting_value *v)
{
	size_t n = v->text ? strlen(v->text) : 0;
	char *shown;

	if (!n)
		return;
	/* An access key's end tells which one it is; a short one would be given away. */
	if (v->s->type == SETTING_SECRET || n < 12)
		shown = mem_str("redacted");
	else
		shown = mem_fmt("…%s", v->text + n - 4);
	explicit_bzero(v->text, n);
	free(v->text);
	v->text = shown;
}

/* Keep what is in force for `walback config`; takes v over. */
void build_explain(struct setting_values **keep, const struct builder *b,
		   struct setting_value *v)
{
	if (!b->r->explain) {
		setting_value_free(v);
		return;
	}
	if (!*keep)
		*keep = mem_alloc(sizeof(**keep));
	if (v->s->flags & SETTING_KEYS)
		redact(v);
	setting_values_put(*keep, *v);
	v->text = NULL;
}

/* What a field became in the end, where that is more than the text given. */
void build_explain_final(struct setting_values *keep, const struct setting *s,
			 const char *text)
{
	const struct setting_value *old = keep ? setting_values_get(keep, s) : NULL;
	struct setting_value v = { .s = s };

	if (!keep)
		return;
	if (old)
		v = *old;
	v.text = mem_str(text);
	setting_values_put(keep, v);
}

/* Resolve and store one row. */
static int apply(const struct builder *b, const struct setting *s, const struct levels *l,
		 void *base, struct setting_values **keep, struct err *e)
{
	struct setting_value v;
	bool bare = false;

	if (build_resolve(b, s, l, &v, e) < 0)
		return -1;
	if (setting_store(s, v.text, base, &bare, e) < 0) {
		build_blame(b, &v, e);
		setting_value_free(&v);
		return -1;
	}
	if (bare && !b->r->quiet) {
		char from[512];

		setting_origin_format(&v, b->file_name, from);
		log_warn("a duration without a unit means nanoseconds", LOGS("from", from),
			 LOGS("key", s->key), LOGS("value", v.text),
			 LOGS("hint", "write a unit, for instance 10s"));
	}
	if (base != b->c && !strcmp(s->key, "sync-interval"))
		((struct replica_config *)base)->sync_interval_set =
			v.origin != ORIGIN_DEFAULT;
	if (base != b->c && !strcmp(s->key, "force-path-style"))
		((struct replica_config *)base)->path_style_set = v.text != NULL;
	build_explain(keep, b, &v);
	return 0;
}

static bool is_stored(const struct setting *s)
{
	return s->type != SETTING_PART && s->type != SETTING_ALIAS &&
	       s->type != SETTING_NOTE && s->type != SETTING_REFUSE;
}

int build_apply_scope(const struct builder *b, enum setting_scope scope,
		      const struct levels *l, void *base, struct setting_values **keep,
		      struct err *e)
{
	for (const struct setting *s = settings; s->key; s++)
		if (s->scope == scope && is_stored(s) && !(s->flags & SETTING_KEYS) &&
		    apply(b, s, l, base, keep, e) < 0)
			return -1;
	return 0;
}

int build_top(const struct builder *b, struct err *e)
{
	const struct levels l = { .own = b->file ? &b->file->top : NULL };

	if (build_apply_scope(b, SCOPE_TOP, &l, b->c, &b->c->explain, e) < 0)
		return -1;
	return build_apply_scope(b, SCOPE_LOGGING, &l, b->c, &b->c->explain, e);
}

char *build_absolute(const char *path, const char *const *env, struct err *e)
{
	AUTO_FREE char *full = NULL;
	char cwd[PATH_MAX];

	if (path[0] == '~' && (!path[1] || path[1] == '/')) {
		const char *home = env_get(env, "HOME");

		if (!home) {
			err_set(e, ERR_USAGE, "%s: HOME is not set", path);
			return NULL;
		}
		full = mem_fmt("%s%s", home, path + 1);
	} else if (path[0] == '/') {
		full = mem_str(path);
	} else {
		if (!getcwd(cwd, sizeof(cwd))) {
			err_errno(e, "working folder");
			return NULL;
		}
		full = mem_fmt("%s/%s", cwd, path);
	}
	return path_clean(full);
}

int build_make_absolute(const struct builder *b, char **path, struct err *e)
{
	char *full = build_absolute(*path, b->env, e);

	if (!full)
		return -1;
	free(*path);
	*path = full;
	return 0;
}

static int db_path(const struct builder *b, struct db_config *db,
		   const struct build_source *from, struct err *e)
{
	if (from->path || (!db->path && !from->line)) {
		free(db->path);
		db->path = mem_str(from->path ? from->path : "");
		if (!*db->path)
			return 0;
	}
	if (!db->path) {
		err_set(e, ERR_USAGE, "a database without a path");
		return build_blame_line(b, from, e);
	}
	if (config_is_url(db->path)) {
		err_set(e, ERR_USAGE, "the path of a database is a file, not a %.*s:// URL",
			(int)strcspn(db->path, ":"), db->path);
		return build_blame_line(b, from, e);
	}
	if (build_make_absolute(b, &db->path, e) < 0)
		return -1;
	if (!db->path[1]) {
		err_set(e, ERR_USAGE, "the path of a database is a file, not '/'");
		return build_blame_line(b, from, e);
	}
	return 0;
}

int build_db(const struct builder *b, struct db_config *db, const struct build_source *from,
	     struct err *e)
{
	const struct levels l = { .own = from->values,
				  .top = b->file ? &b->file->top : NULL };

	if (build_apply_scope(b, SCOPE_DB, &l, db, &db->explain, e) < 0 ||
	    db_path(b, db, from, e) < 0)
		return -1;
	if (db->meta_path) {
		if (build_make_absolute(b, &db->meta_path, e) < 0)
			return -1;
	} else if (*db->path) {
		AUTO_FREE char *dir = file_dirname(db->path);
		AUTO_FREE char *name = mem_fmt(".%s-walback", file_basename(db->path));

		db->meta_path = file_join(dir, name);
	} else {
		db->meta_path = mem_str("");
	}
	if (!db->min_checkpoint_pages) {
		err_set(e, ERR_USAGE, "min-checkpoint-page-count: must be larger than 0");
		return build_blame_line(b, from, e);
	}
	build_explain_final(db->explain, build_row(SCOPE_DB, "path"), db->path);
	build_explain_final(db->explain, build_row(SCOPE_DB, "meta-path"), db->meta_path);
	return 0;
}

int build_env_has(const struct builder *b, bool *replica, bool *db, struct err *e)
{
	static const char *const keys[] = { "url", "bucket", "path" };
	bool has[3] = { false, false, false };

	for (size_t i = 0; i < 3; i++) {
		CLEANUP(setting_value_free) struct setting_value v = { 0 };
		const struct setting *s =
			build_row(i < 2 ? SCOPE_REPLICA : SCOPE_DB, keys[i]);

		if (setting_from_env(s, b->env, ENV_OWN, &v, e) < 0)
			return -1;
		if (!v.text && setting_from_env(s, b->env, ENV_OTHER, &v, e) < 0)
			return -1;
		has[i] = v.text != NULL;
	}
	*replica = has[0] || has[1];
	*db = has[2];
	return 0;
}
