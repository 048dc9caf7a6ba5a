/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/config.h"

#include "agent/config/config_build.h"
#include "agent/config/config_file.h"
#include "agent/config/config_url.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A file of the search path and whose rules it follows. */
struct found {
	char *path; /* NULL: none */
	bool own;   /* walback's: ${NAME:-default} gives the default */
};

/* A name that says so decides; else the variable that led here. */
static bool is_own(const char *path, bool otherwise)
{
	const char *name = file_basename(path);

	if (text_starts(name, "walback"))
		return true;
	return text_starts(name, "litestream") ? false : otherwise;
}

static int named(struct found *out, const char *path, bool own, const char *const *env,
		 struct err *e)
{
	out->path = build_absolute(path, env, e);
	if (!out->path)
		return -1;
	out->own = is_own(out->path, own);
	if (file_exists(out->path) || errno == EACCES)
		return 0; /* reading it says what is wrong */
	err_set(e, ERR_USAGE, "configuration file not found: %s", out->path);
	return err_slug(e, "config_not_found");
}

static int search(struct found *out, const struct config_request *r, const char *const *env,
		  struct err *e)
{
	static const char *const variables[] = { "WALBACK_CONFIG", "LITESTREAM_CONFIG" };
	static const char *const names[] = { "walback.yml", "litestream.yml" };

	if (r->config_path && *r->config_path)
		return named(out, r->config_path, false, env, e);
	for (size_t i = 0; i < 2; i++) {
		const char *path = env_get(env, variables[i]);

		if (path && named(out, path, i == 0, env, e) < 0)
			return err_wrap(e, "%s", variables[i]);
		if (path)
			return 0;
	}
	for (size_t i = 0; i < 2; i++) {
		char *path = file_join(r->system_dir ? r->system_dir : "/etc", names[i]);

		if (file_exists(path)) {
			out->path = path;
			out->own = i == 0;
			return 0;
		}
		free(path);
	}
	return 0;
}

static struct db_config *add_db(struct config *c)
{
	/* Grow at powers of two. */
	if ((c->ndbs & (c->ndbs - 1)) == 0)
		c->dbs = mem_grow(c->dbs, c->ndbs ? c->ndbs * 2 : 1, sizeof(*c->dbs));
	memset(&c->dbs[c->ndbs], 0, sizeof(*c->dbs));
	return &c->dbs[c->ndbs++];
}

static struct replica_config *add_replica(struct db_config *db)
{
	db->replicas = mem_grow(db->replicas, db->nreplicas + 1, sizeof(*db->replicas));
	memset(&db->replicas[db->nreplicas], 0, sizeof(*db->replicas));
	return &db->replicas[db->nreplicas++];
}

static int from_file(const struct builder *b, struct err *e)
{
	for (size_t i = 0; i < b->file->ndbs; i++) {
		const struct file_db *f = &b->file->dbs[i];
		struct build_source db_source = { .values = &f->values, .line = f->line };
		struct db_config *db = add_db(b->c);

		if (build_db(b, db, &db_source, e) < 0)
			return -1;
		for (size_t k = 0; k < f->nreplicas; k++) {
			struct build_source source = { .values = &f->replicas[k].values,
						       .line = f->replicas[k].line };

			if (build_replica(b, add_replica(db), &source, e) < 0)
				return -1;
		}
	}
	return 0;
}

/* The names of replicas from the command line: s3, s3-2, file, ... */
static void number_names(struct db_config *db)
{
	for (size_t i = 1; i < db->nreplicas; i++) {
		size_t same = 1;

		for (size_t k = 0; k < i; k++)
			same += db->replicas[k].type == db->replicas[i].type;
		if (same == 1)
			continue;
		free(db->replicas[i].name);
		db->replicas[i].name =
			mem_fmt("%s-%zu", replica_type_name(db->replicas[i].type), same);
	}
}

static int from_urls(const struct builder *b, struct err *e)
{
	struct db_config *db = add_db(b->c);
	struct build_source source = { .path = b->r->db ? b->r->db : "" };

	if (build_db(b, db, &source, e) < 0)
		return -1;
	for (size_t i = 0; i < b->r->nurls; i++) {
		struct build_source replica = { .url = b->r->urls[i] };

		if (build_replica(b, add_replica(db), &replica, e) < 0)
			return -1;
	}
	number_names(db);
	return 0;
}

static int incomplete(const struct builder *b, const char *what, const char *hint,
		      struct err *e)
{
	if (b->file)
		err_set(e, ERR_USAGE, "%s names no database, and %s", b->file_name, what);
	else
		err_set(e, ERR_USAGE, "no configuration file, and %s", what);
	err_slug(e, "no_configuration");
	return err_hint(e, "%s", hint);
}

static int from_env(const struct builder *b, struct err *e)
{
	const struct build_source source = { .path = NULL };
	struct build_source db_source = { .path = NULL };
	bool replica, has_db;
	struct db_config *db;

	if (build_env_has(b, &replica, &has_db, e) < 0)
		return -1;
	if (!has_db)
		db_source.path = b->r->db;
	has_db |= b->r->db != NULL;
	/* An empty file is an answer, no file and nothing in the environment is none. */
	if (b->file && !replica)
		return 0;
	if (!replica && !has_db)
		return incomplete(b,
				  "the environment names neither a database nor a replica",
				  "set DATABASE_PATH and LITESTREAM_REPLICA_URL, or write "
				  "/etc/walback.yml",
				  e);
	if (!replica)
		return incomplete(b, "the environment names no replica",
				  "set LITESTREAM_REPLICA_URL, or LITESTREAM_BUCKET", e);
	if (!has_db && !b->r->replica_only)
		return incomplete(b, "the environment names no database",
				  "set DATABASE_PATH", e);
	db = add_db(b->c);
	if (build_db(b, db, &db_source, e) < 0)
		return -1;
	return build_replica(b, add_replica(db), &source, e);
}

static int build(struct builder *b, struct err *e)
{
	if (build_top(b, e) < 0)
		return -1;
	if (b->r->nurls)
		return from_urls(b, e);
	if (b->file && b->file->ndbs)
		return from_file(b, e);
	return from_env(b, e);
}

struct config *config_load(const struct config_request *r, struct err *e)
{
	CLEANUP(config_freep) struct config *c = mem_alloc(sizeof(*c));
	CLEANUP(config_file_freep) struct config_file *file = NULL;
	struct found found = { 0 };
	struct builder b = { .r = r, .c = c };
	struct config_file_options o = { .no_expand_env = r->no_expand_env,
					 .strict = r->strict,
					 .quiet = r->quiet };

	b.env = o.env = r->env ? r->env : (const char *const *)environ;
	if (r->nurls && r->config_path) {
		err_set(e, ERR_USAGE, "a replica URL and -config exclude each other");
		err_hint(e, "leave out -config, or name the database by its path");
		return NULL;
	}
	if (!r->nurls) {
		if (search(&found, r, b.env, e) < 0) {
			free(found.path);
			return NULL;
		}
		c->file = found.path;
		b.file_name = found.path;
		o.own = found.own;
		file = found.path ? config_file_read(found.path, &o, e) : NULL;
		if (found.path && !file)
			return NULL;
		b.file = file;
	}
	b.env_where = !file || !file->ndbs;
	if (build(&b, e) < 0 || build_check_unique(&b, e) < 0)
		return NULL;
	return STEAL(c);
}

static void free_explain(struct setting_values *x)
{
	if (x)
		setting_values_free(x);
	free(x);
}

void replica_config_free(struct replica_config *r)
{
	free(r->name);
	free(r->path);
	free(r->bucket);
	free(r->region);
	free(r->endpoint);
	free(r->access_key_id);
	secret_free(&r->secret_access_key);
	secret_free(&r->session_token);
	free_explain(r->explain);
	*r = (struct replica_config){ 0 };
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->ndbs; i++) {
		struct db_config *db = &c->dbs[i];

		for (size_t k = 0; k < db->nreplicas; k++)
			replica_config_free(&db->replicas[k]);
		free(db->replicas);
		free(db->path);
		free(db->meta_path);
		free_explain(db->explain);
	}
	free(c->dbs);
	free(c->file);
	free(c->addr);
	free(c->exec);
	free_explain(c->explain);
	free(c);
}

void config_freep(struct config **c)
{
	config_free(*c);
	*c = NULL;
}

int replica_from_url(struct replica_config *out, const char *url, struct err *e)
{
	static const char *const no_env[] = { NULL };
	static const struct config_request r = { 0 };
	struct config c = { 0 };
	const struct builder b = { .r = &r, .env = no_env, .c = &c };
	const struct build_source from = { .url = url };

	*out = (struct replica_config){ 0 };
	if (build_replica(&b, out, &from, e) < 0) {
		replica_config_free(out);
		return -1;
	}
	return 0;
}

const struct db_config *config_db(const struct config *c, const char *path, struct err *e)
{
	AUTO_FREE char *full = build_absolute(path, (const char *const *)environ, e);
	CLEANUP(buf_free) struct buf known = BUF(256);

	if (!full)
		return NULL;
	for (size_t i = 0; i < c->ndbs; i++) {
		if (!strcmp(c->dbs[i].path, full))
			return &c->dbs[i];
		buf_addf(&known, "%s%s", i ? ", " : "", c->dbs[i].path);
	}
	err_set(e, ERR_USAGE, "database not found in the configuration: %s", full);
	err_slug(e, "unknown_database");
	err_hint(e, "known: %s%s", known.p ? (const char *)known.p : "none",
		 buf_ok(&known) ? "" : ", ...");
	return NULL;
}

const struct replica_config *config_replica(const struct db_config *db, const char *name,
					    struct err *e)
{
	CLEANUP(buf_free) struct buf known = BUF(256);

	for (size_t i = 0; i < db->nreplicas; i++) {
		if (!strcmp(db->replicas[i].name, name))
			return &db->replicas[i];
		buf_addf(&known, "%s%s", i ? ", " : "", db->replicas[i].name);
	}
	err_set(e, ERR_USAGE, "%s has no replica '%s'",
		db->path && *db->path ? db->path : "the URL", name);
	err_slug(e, "unknown_replica");
	err_hint(e, "known: %s%s", known.p ? (const char *)known.p : "none",
		 buf_ok(&known) ? "" : ", ...");
	return NULL;
}
