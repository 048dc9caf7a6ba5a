/* SPDX-License-Identifier: Apache-2.0 */
/* No two databases of one path, no two replicas of one name or one place. */
#include "agent/config/config_build.h"
#include "agent/config/config_url.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"
#include "s3/endpoint.h"

#include <limits.h>
#include <string.h>

/* Something that may exist once, and whom it belongs to. */
struct claim {
	char *what;
	const struct db_config *db;
	const struct replica_config *replica;
};

struct claims {
	struct claim *v;
	size_t n;
};

static void claims_free(struct claims *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->v[i].what);
	free(c->v);
}

static int by_what(const void *a, const void *b)
{
	return strcmp(((const struct claim *)a)->what, ((const struct claim *)b)->what);
}

/* Two neighbours that claim the same thing, or NULL. */
static const struct claim *twice(struct claims *c)
{
	if (c->n)
		qsort(c->v, c->n, sizeof(*c->v), by_what);
	for (size_t i = 1; i < c->n; i++)
		if (!strcmp(c->v[i - 1].what, c->v[i].what))
			return &c->v[i - 1];
	return NULL;
}

/* Two names of one file are one file, as far as there are folders to tell. */
static char *real(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && n < PATH_MAX) {
		struct err ignored = ERR_INIT;
		AUTO_FREE char *there = mem_strn(path, n);
		AUTO_FREE char *found = file_realpath(there, &ignored);

		if (found)
			return mem_fmt("%s%s", found, path + n);
		n = (size_t)(strrchr(there, '/') - there);
	}
	return mem_str(path);
}

static int check_paths(const struct config *c, bool meta, struct err *e)
{
	CLEANUP(claims_free)
	struct claims all = { .v = mem_array(c->ndbs, sizeof(struct claim)) };
	const struct claim *two;

	for (size_t i = 0; i < c->ndbs; i++)
		if (*c->dbs[i].path)
			all.v[all.n++] = (struct claim){
				.what = real(meta ? c->dbs[i].meta_path : c->dbs[i].path),
				.db = &c->dbs[i]
			};
	two = twice(&all);
	if (!two)
		return 0;
	if (meta) {
		err_set(e, ERR_USAGE, "two databases with the meta-path %s: %s and %s",
			two[0].what, two[0].db->path, two[1].db->path);
		err_slug(e, "duplicate_meta_path");
		return err_hint(e, "give each database a meta-path of its own, or none");
	}
	if (!strcmp(two[0].db->path, two[1].db->path))
		err_set(e, ERR_USAGE, "the database %s is there twice", two[0].db->path);
	else
		err_set(e, ERR_USAGE, "%s and %s are the same file", two[0].db->path,
			two[1].db->path);
	err_slug(e, "duplicate_database");
	return err_hint(e, "list its replicas under one entry");
}

static int check_names(const struct db_config *db, struct err *e)
{
	for (size_t i = 0; i < db->nreplicas; i++)
		for (size_t k = i + 1; k < db->nreplicas; k++)
			if (!strcmp(db->replicas[i].name, db->replicas[k].name)) {
				err_set(e, ERR_USAGE,
					"two replicas of %s have the name '%s'", db->path,
					db->replicas[i].name);
				err_slug(e, "duplicate_replica_name");
				return err_hint(e, "give one of them another name:");
			}
	return 0;
}

/* For people. */
static char *place_of(const struct replica_config *r)
{
	if (r->type == REPLICA_S3)
		return mem_fmt("s3://%s/%s at %s", r->bucket, r->path,
			       *r->endpoint ? r->endpoint : "AWS");
	return mem_fmt("file://%s", r->path);
}

/* The same for all names of one place: where requests go, or the folder without links. */
static char *true_place(const struct replica_config *r)
{
	const struct s3_endpoint_options o = { .bucket = r->bucket,
					       .region = r->region,
					       .endpoint = r->endpoint,
					       .path_style = true,
					       .path_style_set = true };
	CLEANUP(s3_endpoint_free) struct s3_endpoint ep = { 0 };
	struct err ignored = ERR_INIT;

	if (r->type == REPLICA_FILE)
		return real(r->path);
	if (s3_endpoint_resolve(&ep, &o, &ignored) < 0)
		return place_of(r); /* opening it will tell what is wrong */
	return mem_fmt("%s://%s%s/%s", ep.scheme, ep.host, ep.base, r->path);
}

static int check_places(const struct config *c, struct err *e)
{
	CLEANUP(claims_free) struct claims all = { 0 };
	const struct claim *two;
	size_t n = 0;

	for (size_t i = 0; i < c->ndbs; i++)
		n += c->dbs[i].nreplicas;
	all.v = mem_array(n, sizeof(*all.v));
	for (size_t i = 0; i < c->ndbs; i++)
		for (size_t k = 0; k < c->dbs[i].nreplicas; k++)
			all.v[all.n++] =
				(struct claim){ .what = true_place(&c->dbs[i].replicas[k]),
						.db = &c->dbs[i],
						.replica = &c->dbs[i].replicas[k] };
	two = twice(&all);
	if (!two)
		return 0;
	AUTO_FREE char *place = place_of(two[0].replica);

	if (two[0].db == two[1].db)
		err_set(e, ERR_USAGE,
			"the replicas '%s' and '%s' of %s have the same place: %s",
			two[0].replica->name, two[1].replica->name, two[0].db->path, place);
	else
		err_set(e, ERR_USAGE, "replicas of %s and of %s have the same place: %s",
			two[0].db->path, two[1].db->path, place);
	err_slug(e, "duplicate_replica_place");
	return err_hint(e, "give each replica a path of its own");
}

int build_check_unique(const struct builder *b, struct err *e)
{
	if (check_paths(b->c, false, e) < 0 || check_paths(b->c, true, e) < 0)
		return -1;
	for (size_t i = 0; i < b->c->ndbs; i++)
		if (check_names(&b->c->dbs[i], e) < 0)
			return -1;
	return check_places(b->c, e);
}
