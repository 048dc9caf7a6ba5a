/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration in force: databases and their replicas, from the file,
 * the environment or a URL, with defaults filled in.  Const after loading.
 */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct setting_values;

enum replica_type { REPLICA_FILE, REPLICA_S3 };
enum compression { COMPRESSION_AUTO, COMPRESSION_ZST, COMPRESSION_LZ4 };

struct replica_config {
	char *name; /* default: the type's name; unique in its database */
	enum replica_type type;
	char *path; /* file: absolute folder; s3: key prefix without slashes at the ends, may be "" */

	char *bucket;
	char *region;	/* "" until known: us-east-1 */
	char *endpoint; /* URL with scheme, "" for AWS */
	bool path_style, path_style_set;
	bool skip_verify;
	/* From the file or the environment (also NAME_FILE); NULL when neither has them, which
	 * leaves the other providers.  Always both or none. */
	char *access_key_id;
	struct secret secret_access_key, session_token;

	enum compression compression;
	int64_t sync_interval_ms;
	bool sync_interval_set;
	int64_t snapshot_interval_ms;
	int64_t retention_ms, retention_check_interval_ms, validation_interval_ms;

	struct setting_values *explain; /* NULL unless config_request.explain */
};

struct db_config {
	char *path;	 /* absolute; "" when only a replica was named (config_request) */
	char *meta_path; /* absolute; default /d/.app.db-walback */
	int64_t monitor_interval_ms, checkpoint_interval_ms, busy_timeout_ms;
	uint32_t min_checkpoint_pages, max_checkpoint_pages;
	uint64_t spool_limit_bytes,
		snapshot_copy_limit_bytes; /* the latter 0: half of the free space */
	struct replica_config *replicas;
	size_t nreplicas;

	struct setting_values *explain;
};

struct config {
	char *file; /* NULL when there was none */
	char *addr, *exec;
	enum log_level log_level;
	bool log_json, log_stderr;
	int64_t store_wait_ms, shutdown_timeout_ms;
	struct db_config *dbs;
	size_t ndbs;

	struct setting_values *explain;
};

struct config_request {
	const char *config_path; /* -config, or NULL for the search path */
	bool no_expand_env;
	bool strict;
	/* What the operands say (may all be NULL/0): */
	const char *db;		 /* a path: selected from the file, or with urls */
	const char *const *urls; /* replica URLs given on the command line */
	size_t nurls;
	const char *const *env; /* NULL: environ; tests pass their own, "NAME=value" */
	bool quiet;		/* no warnings on the log */
	bool replica_only;	/* with no database named, one whose path is "" will do:
				 * listing and restoring need only its replicas.  URLs without
				 * a database always give such a one */
	const char *system_dir; /* NULL: /etc */
	bool explain;		/* keep where each setting came from */
};

/* Load by the precedence flag > environment > file > default.  Warnings (unknown keys with line and
 * nearest key, ...) go to the log.  ERR_USAGE with file and line.  Free with config_free. */
MUST_CHECK struct config *config_load(const struct config_request *r, struct err *e);
void config_free(struct config *c);
void config_freep(struct config **c);

/* The database of that path (made absolute); ERR_USAGE naming the configured ones. */
MUST_CHECK const struct db_config *config_db(const struct config *c, const char *path,
					     struct err *e);
/* The replica of that name; ERR_USAGE naming the ones there are. */
MUST_CHECK const struct replica_config *config_replica(const struct db_config *db,
						       const char *name, struct err *e);

/* A replica from a URL alone (s3://bucket/path?endpoint=..&region=..&force-path-style=true, file:///dir). */
MUST_CHECK int replica_from_url(struct replica_config *out, const char *url, struct err *e);
void replica_config_free(struct replica_config *r);
bool config_is_url(const char *s); /* ^\w+:// */

#endif
