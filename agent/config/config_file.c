/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/config_file.h"

#include "agent/config/config_expand.h"
#include "agent/config/config_yaml.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#include <string.h>

enum {
	FILE_MAX = 16 << 20,
	EXPANDED_MAX = 32 << 20,
	MERGE_DEPTH_MAX = 8,
	MAP_KEYS_MAX = 10000
};

struct reader {
	struct config_file *f;
	const struct config_file_options *o;
};

/* Where the pairs of a map go. */
struct level {
	enum setting_scope scope;
	struct setting_values *values;
	struct file_db *db; /* SCOPE_DB */
};

static int read_map(struct reader *r, const struct yaml *y, const struct level *l,
		    unsigned depth, struct err *e);

static int at(const struct reader *r, int line, struct err *e)
{
	return err_wrap(e, "%s:%d", r->f->path, line);
}

static int expect(const struct reader *r, const struct yaml *y, enum yaml_kind kind,
		  const char *key, struct err *e)
{
	static const char *const names[] = { "a value", "a list", "a map" };

	if (y->kind == kind)
		return 0;
	err_set(e, ERR_USAGE, "%s: %s is expected here, this is %s", key, names[kind],
		names[y->kind]);
	return at(r, y->line, e);
}

static int unknown_key(const struct reader *r, const struct yaml *key,
		       const struct level *l, struct err *e)
{
	const char *near = setting_nearest(l->scope, key->text);

	if (text_starts(key->text, "x-"))
		return 0;
	if (r->o->strict) {
		err_set(e, ERR_USAGE, "unknown key '%.60s'%s%s%s", key->text,
			near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
		err_slug(e, "unknown_key");
		return at(r, key->line, e);
	}
	if (!r->o->quiet)
		log_warn("unknown key in the configuration", LOGS("file", r->f->path),
			 LOGI("line", key->line), LOGS("key", key->text),
			 LOGS("nearest", near));
	return 0;
}

static void put(const struct level *l, const struct setting *s, const struct yaml *y)
{
	setting_values_put(l->values,
			   (struct setting_value){ .s = s,
						   .text = mem_str(y->null ? "" : y->text),
						   .origin = ORIGIN_FILE,
						   .line = y->line });
}

/* Numbers of the table's kinds that a map under another name sets. */
static int put_alias(struct reader *r, const struct setting *s, const struct yaml *y,
		     const struct level *l, struct err *e)
{
	enum setting_scope scope = s->scope == SCOPE_TOP ? SCOPE_TOP : SCOPE_REPLICA;
	const struct setting *target = setting_find(scope, s->fallback);

	if (expect(r, y, YAML_TEXT, s->key, e) < 0)
		return -1;
	/* The plain name wins over Litestream 0.5's. */
	if (target && !setting_values_get(l->values, target))
		put(l, target, y);
	return 0;
}

static int refuse(const struct reader *r, const struct setting *s, const struct yaml *y,
		  struct err *e)
{
	bool empty = y->kind == YAML_TEXT ? !*y->text || y->null : y->n == 0;

	if (empty)
		return 0;
	err_set(e, ERR_USAGE, "%s is not supported", s->key);
	err_slug(e, "unsupported_key");
	err_hint(e, "%s", s->help);
	return at(r, y->line, e);
}

static void note(const struct reader *r, const struct setting *s, const struct yaml *y)
{
	bool on;

	if (!strcmp(s->key, "restore-if-db-not-exists") && y->kind == YAML_TEXT &&
	    text_bool(y->text, &on) == 0 && on && !r->o->quiet)
		log_warn("replicate does not restore; `walback run` does",
			 LOGS("file", r->f->path), LOGI("line", y->line),
			 LOGS("key", s->key));
	else
		log_debug("key of Litestream's that is not needed",
			  LOGS("file", r->f->path), LOGI("line", y->line),
			  LOGS("key", s->key));
}

static void drop_replicas(struct file_db *db)
{
	for (size_t i = 0; i < db->nreplicas; i++)
		setting_values_free(&db->replicas[i].values);
	free(db->replicas);
	db->replicas = NULL;
	db->nreplicas = 0;
}

static int read_replica(struct reader *r, const struct yaml *y, struct file_db *db,
			struct err *e)
{
	struct file_replica *replica;
	struct level l = { .scope = SCOPE_REPLICA };

	if (expect(r, y, YAML_MAP, "replica", e) < 0)
		return -1;
	db->replicas = mem_grow(db->replicas, db->nreplicas + 1, sizeof(*db->replicas));
	replica = &db->replicas[db->nreplicas++];
	*replica = (struct file_replica){ .line = y->line };
	l.values = &replica->values;
	return read_map(r, y, &l, 0, e);
}

static int read_db(struct reader *r, const struct yaml *y, struct err *e)
{
	struct config_file *f = r->f;
	struct level l = { .scope = SCOPE_DB };

	if (expect(r, y, YAML_MAP, "dbs", e) < 0)
		return -1;
	/* Grow at powers of two. */
	if ((f->ndbs & (f->ndbs - 1)) == 0)
		f->dbs = mem_grow(f->dbs, f->ndbs ? f->ndbs * 2 : 1, sizeof(*f->dbs));
	l.db = &f->dbs[f->ndbs++];
	*l.db = (struct file_db){ .line = y->line };
	l.values = &l.db->values;
	return read_map(r, y, &l, 0, e);
}

static int read_enabled(struct reader *r, const struct yaml *y, const struct level *l,
			struct err *e)
{
	bool on = true;

	if (expect(r, y, YAML_TEXT, "retention.enabled", e) < 0)
		return -1;
	if (!y->null && *y->text && text_bool(y->text, &on) < 0) {
		err_set(e, ERR_USAGE, "retention.enabled: neither true nor false: '%.40s'",
			y->text);
		return at(r, y->line, e);
	}
	if (!on)
		setting_values_put(l->values,
				   (struct setting_value){
					   .s = setting_find(SCOPE_REPLICA, "retention"),
					   .text = mem_str("0s"),
					   .origin = ORIGIN_FILE,
					   .line = y->line });
	return 0;
}

static int read_dbs(struct reader *r, const struct yaml *y, struct err *e)
{
	if (y->kind == YAML_TEXT && (y->null || !*y->text))
		return 0;
	if (expect(r, y, YAML_LIST, "dbs", e) < 0)
		return -1;
	for (size_t i = 0; i < y->n; i++)
		if (read_db(r, y->items[i].value, e) < 0)
			return -1;
	return 0;
}

static int read_replicas(struct reader *r, const struct yaml *y, struct file_db *db,
			 struct err *e)
{
	drop_replicas(db); /* a merged map's */
	if (y->kind == YAML_TEXT && (y->null || !*y->text))
		return 0;
	if (expect(r, y, YAML_LIST, "replicas", e) < 0)
		return -1;
	for (size_t i = 0; i < y->n; i++)
		if (read_replica(r, y->items[i].value, db, e) < 0)
			return -1;
	return 0;
}

/* The keys that are maps, lists or words with rules of their own. */
static int read_part(struct reader *r, const struct setting *s, const struct yaml *y,
		     const struct level *l, struct err *e)
{
	struct level below = { .values = l->values };

	if (!strcmp(s->key, "dbs"))
		return read_dbs(r, y, e);
	if (!strcmp(s->key, "replicas"))
		return read_replicas(r, y, l->db, e);
	if (!strcmp(s->key, "enabled"))
		return read_enabled(r, y, l, e);
	if (y->kind == YAML_TEXT && (y->null || !*y->text))
		return 0;
	if (!strcmp(s->key, "replica")) {
		drop_replicas(l->db);
		return read_replica(r, y, l->db, e);
	}
	if (!strcmp(s->key, "logging") || !strcmp(s->key, "snapshot")) {
		below.scope = *s->key == 'l' ? SCOPE_LOGGING : SCOPE_SNAPSHOT;
		return expect(r, y, YAML_MAP, s->key, e) < 0 ? -1
							     : read_map(r, y, &below, 0, e);
	}
	/* type, url: words that the caller reads. */
	if (expect(r, y, YAML_TEXT, s->key, e) < 0)
		return -1;
	put(l, s, y);
	return 0;
}

static int read_pair(struct reader *r, const struct yaml *key, const struct yaml *y,
		     const struct level *l, struct err *e)
{
	const struct setting *s = setting_find(l->scope, key->text);
	struct level below = { .scope = SCOPE_RETENTION, .values = l->values };

	if (!s)
		return unknown_key(r, key, l, e);
	switch ((int)s->type) {
	case SETTING_PART:
		return read_part(r, s, y, l, e);
	case SETTING_ALIAS:
		return put_alias(r, s, y, l, e);
	case SETTING_NOTE:
		note(r, s, y);
		return 0;
	case SETTING_REFUSE:
		return refuse(r, s, y, e);
	default:
		break;
	}
	if (y->kind == YAML_MAP && !strcmp(s->key, "retention"))
		return read_map(r, y, &below, 0, e);
	if (expect(r, y, YAML_TEXT, s->key, e) < 0)
		return -1;
	put(l, s, y);
	return 0;
}

/* "<<: *base" or "<<: [*a, *b]": what is there already, the map's own or an earlier one's, stays. */
static int merge(struct reader *r, const struct yaml *y, const struct level *l,
		 unsigned depth, struct err *e)
{
	if (depth >= MERGE_DEPTH_MAX) {
		err_set(e, ERR_USAGE, "more than %d merges in each other",
			(int)MERGE_DEPTH_MAX);
		return at(r, y->line, e);
	}
	if (y->kind == YAML_MAP)
		return read_map(r, y, l, depth + 1, e);
	if (expect(r, y, YAML_LIST, "<<", e) < 0)
		return -1;
	for (size_t i = y->n; i-- > 0;)
		if (expect(r, y->items[i].value, YAML_MAP, "<<", e) < 0 ||
		    read_map(r, y->items[i].value, l, depth + 1, e) < 0)
			return -1;
	return 0;
}

static bool said_again(const struct yaml *map, size_t i)
{
	for (size_t k = i + 1; k < map->n; k++)
		if (map->items[k].key &&
		    !strcmp(map->items[k].key->text, map->items[i].key->text))
			return true;
	return false;
}

static bool has_key(const struct yaml *map, const char *key)
{
	for (size_t i = 0; i < map->n; i++)
		if (map->items[i].key && !strcmp(map->items[i].key->text, key))
			return true;
	return false;
}

static int check_map(const struct reader *r, const struct yaml *y, const struct level *l,
		     struct err *e)
{
	if (y->n > MAP_KEYS_MAX) {
		err_set(e, ERR_USAGE, "a map of more than %d keys", (int)MAP_KEYS_MAX);
		return at(r, y->line, e);
	}
	if (l->scope == SCOPE_DB && has_key(y, "replica") && has_key(y, "replicas")) {
		err_set(e, ERR_USAGE, "replica and replicas exclude each other");
		return at(r, y->line, e);
	}
	return 0;
}

static int read_map(struct reader *r, const struct yaml *y, const struct level *l,
		    unsigned depth, struct err *e)
{
	if (check_map(r, y, l, e) < 0)
		return -1;
	/* Merged maps first, so that the map's own keys overwrite theirs. */
	for (size_t i = 0; i < y->n; i++)
		if (y->items[i].key && !strcmp(y->items[i].key->text, "<<") &&
		    merge(r, y->items[i].value, l, depth, e) < 0)
			return -1;
	for (size_t i = 0; i < y->n; i++) {
		const struct yaml *key = y->items[i].key;

		if (!key) {
			err_set(e, ERR_USAGE, "a key must be a word");
			return at(r, y->items[i].value->line, e);
		}
		if (!strcmp(key->text, "<<"))
			continue;
		if (said_again(y, i)) {
			if (!r->o->quiet)
				log_warn("key set twice in the configuration, the last one "
					 "counts",
					 LOGS("file", r->f->path), LOGI("line", key->line),
					 LOGS("key", key->text));
			continue;
		}
		if (read_pair(r, key, y->items[i].value, l, e) < 0)
			return -1;
	}
	return 0;
}

static void expand_note(void *arg, const struct expand_note *n)
{
	const struct reader *r = arg;

	if (r->o->quiet)
		return;
	if (n->what == EXPAND_DEFAULT_LOST)
		log_warn("${NAME:-default} expands to nothing in Litestream's files",
			 LOGS("file", r->f->path), LOGI("line", n->line),
			 LOGS("name", n->name),
			 LOGS("hint", "write ${NAME}, or use walback.yml, where the "
				      "default counts"));
	else if (n->what == EXPAND_UNSET)
		log_warn("a variable in the configuration is not set: it expands to "
			 "nothing",
			 LOGS("file", r->f->path), LOGI("line", n->line),
			 LOGS("name", *n->name ? n->name : NULL));
	else
		log_warn("a $ and the character after it expand to nothing",
			 LOGS("file", r->f->path), LOGI("line", n->line),
			 LOGS("hint", "-no-expand-env leaves every $ as it stands"));
}

static int read_root(struct reader *r, const struct yaml_doc *doc, struct err *e)
{
	const struct yaml *root = yaml_root(doc);
	struct level l = { .scope = SCOPE_TOP, .values = &r->f->top };
	int second = yaml_second_document(doc);

	if (second && !r->o->quiet)
		log_warn("only the first document of the configuration counts",
			 LOGS("file", r->f->path), LOGI("line", second));
	if (!root || (root->kind == YAML_TEXT && (root->null || !*root->text)))
		return 0;
	if (expect(r, root, YAML_MAP, "the configuration", e) < 0)
		return -1;
	return read_map(r, root, &l, 0, e);
}

static void wipe(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->cap);
	buf_free(b);
}

struct config_file *config_file_parse(const char *text, size_t n, const char *name,
				      const struct config_file_options *o, struct err *e)
{
	CLEANUP(config_file_freep) struct config_file *f = mem_alloc(sizeof(*f));
	CLEANUP(yaml_doc_freep) struct yaml_doc *doc = NULL;
	CLEANUP(wipe) struct buf expanded = BUF(EXPANDED_MAX);
	struct reader r = { .f = f, .o = o };
	const struct expand_options x = {
		.env = o->env, .defaults = o->own, .note = expand_note, .arg = &r
	};

	f->path = mem_str(name);
	if (!o->no_expand_env) {
		config_expand(text, n, &x, &expanded);
		if (!buf_ok(&expanded)) {
			err_set(e, ERR_USAGE, "%s: larger than %d bytes after expansion",
				name, (int)EXPANDED_MAX);
			return NULL;
		}
		text = expanded.p ? (const char *)expanded.p : "";
		n = expanded.len;
	}
	doc = yaml_parse(text, n, name, e);
	if (!doc || read_root(&r, doc, e) < 0)
		return NULL;
	return STEAL(f);
}

struct config_file *config_file_read(const char *path, const struct config_file_options *o,
				     struct err *e)
{
	CLEANUP(wipe) struct buf text = BUF(FILE_MAX);

	if (file_read(path, &text, e) < 0) {
		e->code = ERR_USAGE;
		err_wrap(e, "configuration");
		return NULL;
	}
	return config_file_parse(text.p ? (const char *)text.p : "", text.len, path, o, e);
}

void config_file_free(struct config_file *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->ndbs; i++) {
		drop_replicas(&f->dbs[i]);
		setting_values_free(&f->dbs[i].values);
	}
	setting_values_free(&f->top);
	free(f->dbs);
	free(f->path);
	free(f);
}

void config_file_freep(struct config_file **f)
{
	config_file_free(*f);
	*f = NULL;
}
