/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/settings.h"

#include "agent/config/config.h"
#include "base/nearest.h"

#include <stdlib.h>
#include <string.h>

#define TOP(f) offsetof(struct config, f)
#define DB(f) offsetof(struct db_config, f)
#define REP(f) offsetof(struct replica_config, f)

/* clang-format off */
const struct setting settings[] = {
	/* The file's top level. */
	{ "dbs", SCOPE_TOP, SETTING_PART, 0, 0, NULL, NULL,
	  "the databases" },
	{ "logging", SCOPE_TOP, SETTING_PART, 0, 0, NULL, NULL,
	  "what is logged and how" },
	{ "snapshot", SCOPE_TOP, SETTING_PART, 0, 0, NULL, NULL,
	  "interval and retention of snapshots, as Litestream 0.5 writes them" },
	{ "addr", SCOPE_TOP, SETTING_STRING, TOP(addr), 0, "WALBACK_ADDR", NULL,
	  "address of the metrics server" },
	{ "exec", SCOPE_TOP, SETTING_STRING, TOP(exec), 0, "WALBACK_EXEC", NULL,
	  "command that replicate runs as its child" },
	{ "store-wait", SCOPE_TOP, SETTING_DURATION, TOP(store_wait_ms), 0,
	  "WALBACK_STORE_WAIT", "10s",
	  "a store that is silent for so long counts as unreachable at the start" },
	{ "shutdown-timeout", SCOPE_TOP, SETTING_DURATION, TOP(shutdown_timeout_ms), 0,
	  "WALBACK_SHUTDOWN_TIMEOUT", "9s",
	  "time for the last sync after SIGTERM" },
	{ "shutdown-sync-timeout", SCOPE_TOP, SETTING_ALIAS, 0, 0, NULL, "shutdown-timeout",
	  "Litestream 0.5's name of shutdown-timeout" },
	{ "shutdown-sync-interval", SCOPE_TOP, SETTING_NOTE, 0, 0, NULL, NULL, "" },
	{ "levels", SCOPE_TOP, SETTING_NOTE, 0, 0, NULL, NULL, "" },
	{ "l0-retention", SCOPE_TOP, SETTING_NOTE, 0, 0, NULL, NULL, "" },
	{ "l0-retention-check-interval", SCOPE_TOP, SETTING_NOTE, 0, 0, NULL, NULL, "" },
	{ "validation", SCOPE_TOP, SETTING_NOTE, 0, 0, NULL, NULL, "" },
	{ "verify-compaction", SCOPE_TOP, SETTING_NOTE, 0, 0, NULL, NULL, "" },
	{ "socket", SCOPE_TOP, SETTING_NOTE, 0, 0, NULL, NULL, "" },
	{ "mcp-addr", SCOPE_TOP, SETTING_NOTE, 0, 0, NULL, NULL, "" },
	{ "heartbeat-url", SCOPE_TOP, SETTING_NOTE, 0, 0, NULL, NULL, "" },
	{ "heartbeat-interval", SCOPE_TOP, SETTING_NOTE, 0, 0, NULL, NULL, "" },

	{ "level", SCOPE_LOGGING, SETTING_LEVEL, TOP(log_level), 0, "WALBACK_LOG_LEVEL", "info",
	  "error, warn, info or debug" },
	{ "type", SCOPE_LOGGING, SETTING_JSON, TOP(log_json), 0, "WALBACK_LOG_TYPE", "text",
	  "text (logfmt) or json" },
	{ "stderr", SCOPE_LOGGING, SETTING_BOOL, TOP(log_stderr), 0, "WALBACK_LOG_STDERR", "true",
	  "log on standard error; false: on standard output" },

	{ "interval", SCOPE_SNAPSHOT, SETTING_ALIAS, 0, 0, NULL, "snapshot-interval",
	  "Litestream 0.5's name of snapshot-interval" },
	{ "retention", SCOPE_SNAPSHOT, SETTING_ALIAS, 0, 0, NULL, "retention",
	  "Litestream 0.5's name of retention" },
	{ "enabled", SCOPE_RETENTION, SETTING_PART, 0, 0, NULL, NULL,
	  "false: nothing is deleted, as retention: 0s" },
	{ "check-interval", SCOPE_RETENTION, SETTING_ALIAS, 0, 0, NULL, "retention-check-interval",
	  "another name of retention-check-interval" },

	/* A database. */
	{ "path", SCOPE_DB, SETTING_STRING, DB(path), SETTING_WHERE,
	  "WALBACK_DATABASE_PATH DATABASE_PATH DB_PATH", NULL,
	  "the database file" },
	{ "meta-path", SCOPE_DB, SETTING_STRING, DB(meta_path), SETTING_WHERE,
	  "WALBACK_META_PATH", NULL,
	  "folder of walback's own files; else .NAME-walback beside the database" },
	{ "monitor-interval", SCOPE_DB, SETTING_DURATION, DB(monitor_interval_ms),
	  SETTING_INHERIT, "WALBACK_MONITOR_INTERVAL", "1s",
	  "how often to look for changes where the system does not tell" },
	{ "checkpoint-interval", SCOPE_DB, SETTING_DURATION, DB(checkpoint_interval_ms),
	  SETTING_INHERIT, "WALBACK_CHECKPOINT_INTERVAL", "1m",
	  "checkpoint at least so often; 0s: by size alone" },
	{ "busy-timeout", SCOPE_DB, SETTING_DURATION, DB(busy_timeout_ms),
	  SETTING_INHERIT, "WALBACK_BUSY_TIMEOUT", "1s",
	  "how long to wait for the app's locks" },
	{ "min-checkpoint-page-count", SCOPE_DB, SETTING_COUNT, DB(min_checkpoint_pages),
	  SETTING_INHERIT, "WALBACK_MIN_CHECKPOINT_PAGE_COUNT", "1000",
	  "checkpoint when the WAL has so many pages" },
	{ "max-checkpoint-page-count", SCOPE_DB, SETTING_COUNT, DB(max_checkpoint_pages),
	  SETTING_INHERIT, "WALBACK_MAX_CHECKPOINT_PAGE_COUNT", "10000",
	  "press for a checkpoint when the WAL has so many pages; 0: never" },
	{ "spool-limit", SCOPE_DB, SETTING_SIZE, DB(spool_limit_bytes),
	  SETTING_INHERIT, "WALBACK_SPOOL_LIMIT", "256MiB",
	  "local disk for changes that the store has not taken yet" },
	{ "snapshot-copy-limit", SCOPE_DB, SETTING_SIZE, DB(snapshot_copy_limit_bytes),
	  SETTING_INHERIT, "WALBACK_SNAPSHOT_COPY_LIMIT", "0",
	  "largest local copy for an lz4 snapshot; 0: half of the free space" },
	{ "replicas", SCOPE_DB, SETTING_PART, 0, 0, NULL, NULL,
	  "where the database is kept, a list" },
	{ "replica", SCOPE_DB, SETTING_PART, 0, 0, NULL, NULL,
	  "where the database is kept, when there is one place" },
	{ "truncate-page-n", SCOPE_DB, SETTING_NOTE, 0, 0, NULL, NULL, "" },
	{ "restore-if-db-not-exists", SCOPE_DB, SETTING_NOTE, 0, 0, NULL, NULL, "" },
	{ "dir", SCOPE_DB, SETTING_REFUSE, 0, 0, NULL, NULL,
	  "name each database by its own path" },
	{ "pattern", SCOPE_DB, SETTING_REFUSE, 0, 0, NULL, NULL,
	  "name each database by its own path" },
	{ "recursive", SCOPE_DB, SETTING_NOTE, 0, 0, NULL, NULL, "" },
	{ "watch", SCOPE_DB, SETTING_NOTE, 0, 0, NULL, NULL, "" },

	/* A replica. */
	{ "name", SCOPE_REPLICA, SETTING_STRING, REP(name), 0, NULL, NULL,
	  "name of the replica; else its type" },
	{ "type", SCOPE_REPLICA, SETTING_PART, 0, 0, NULL, NULL,
	  "file or s3; not needed with a url" },
	{ "url", SCOPE_REPLICA, SETTING_PART, 0, SETTING_WHERE,
	  "WALBACK_REPLICA_URL LITESTREAM_REPLICA_URL REPLICA_URL", NULL,
	  "s3://BUCKET/PATH or file:///FOLDER" },
	{ "path", SCOPE_REPLICA, SETTING_STRING, REP(path), SETTING_WHERE,
	  "WALBACK_REPLICA_PATH LITESTREAM_REPLICA_PATH LITESTREAM_PATH", NULL,
	  "folder, or prefix in the bucket; else the bucket's root" },
	{ "bucket", SCOPE_REPLICA, SETTING_STRING, REP(bucket), SETTING_WHERE | SETTING_INHERIT,
	  "WALBACK_BUCKET LITESTREAM_BUCKET LITESTREAM_REPLICA_BUCKET LITESTREAM_S3_BUCKET "
	  "S3_BUCKET BUCKET_NAME", NULL,
	  "S3 bucket" },
	{ "region", SCOPE_REPLICA, SETTING_STRING, REP(region), SETTING_WHERE | SETTING_INHERIT,
	  "WALBACK_REGION LITESTREAM_REGION LITESTREAM_REPLICA_REGION LITESTREAM_S3_REGION "
	  "S3_REGION AWS_REGION AWS_DEFAULT_REGION", NULL,
	  "S3 region; else the store is asked" },
	{ "endpoint", SCOPE_REPLICA, SETTING_STRING, REP(endpoint), SETTING_WHERE | SETTING_INHERIT,
	  "WALBACK_ENDPOINT LITESTREAM_ENDPOINT LITESTREAM_REPLICA_ENDPOINT "
	  "LITESTREAM_S3_ENDPOINT S3_ENDPOINT AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL", NULL,
	  "URL of the S3 server; else AWS" },
	{ "force-path-style", SCOPE_REPLICA, SETTING_BOOL, REP(path_style),
	  SETTING_WHERE | SETTING_INHERIT,
	  "WALBACK_FORCE_PATH_STYLE LITESTREAM_FORCE_PATH_STYLE", NULL,
	  "the bucket stands in the path of URLs; else only with an endpoint" },
	{ "skip-verify", SCOPE_REPLICA, SETTING_BOOL, REP(skip_verify),
	  SETTING_WHERE | SETTING_INHERIT,
	  "WALBACK_SKIP_VERIFY", "false",
	  "accept any TLS certificate" },
	{ "access-key-id", SCOPE_REPLICA, SETTING_STRING, REP(access_key_id),
	  SETTING_INHERIT | SETTING_KEYS,
	  "WALBACK_ACCESS_KEY_ID LITESTREAM_ACCESS_KEY_ID AWS_ACCESS_KEY_ID AWS_ACCESS_KEY", NULL,
	  "S3 access key" },
	{ "secret-access-key", SCOPE_REPLICA, SETTING_SECRET, REP(secret_access_key),
	  SETTING_INHERIT | SETTING_KEYS,
	  "WALBACK_SECRET_ACCESS_KEY LITESTREAM_SECRET_ACCESS_KEY AWS_SECRET_ACCESS_KEY "
	  "AWS_SECRET_KEY", NULL,
	  "S3 secret key" },
	{ "session-token", SCOPE_REPLICA, SETTING_SECRET, REP(session_token),
	  SETTING_INHERIT | SETTING_KEYS,
	  "WALBACK_SESSION_TOKEN LITESTREAM_SESSION_TOKEN AWS_SESSION_TOKEN", NULL,
	  "token of temporary credentials" },
	{ "compression", SCOPE_REPLICA, SETTING_COMPRESSION, REP(compression),
	  SETTING_INHERIT, "WALBACK_COMPRESSION", "auto",
	  "zst, lz4 (Litestream can restore it), or auto: what the replica has, else zst" },
	{ "sync-interval", SCOPE_REPLICA, SETTING_DURATION, REP(sync_interval_ms),
	  SETTING_INHERIT, "WALBACK_SYNC_INTERVAL LITESTREAM_SYNC_INTERVAL", "1s",
	  "the most that a commit waits, and the shortest time between two uploads" },
	{ "snapshot-interval", SCOPE_REPLICA, SETTING_DURATION, REP(snapshot_interval_ms),
	  SETTING_INHERIT, "WALBACK_SNAPSHOT_INTERVAL LITESTREAM_SNAPSHOT_INTERVAL", "24h",
	  "a new snapshot so often; 0s: by size alone" },
	{ "retention", SCOPE_REPLICA, SETTING_DURATION, REP(retention_ms),
	  SETTING_INHERIT, "WALBACK_RETENTION LITESTREAM_RETENTION", "24h",
	  "how long history is kept; 0s: for ever" },
	{ "retention-check-interval", SCOPE_REPLICA, SETTING_DURATION,
	  REP(retention_check_interval_ms), SETTING_INHERIT,
	  "WALBACK_RETENTION_CHECK_INTERVAL LITESTREAM_RETENTION_CHECK_INTERVAL", "1h",
	  "how often to look for what is older" },
	{ "validation-interval", SCOPE_REPLICA, SETTING_DURATION, REP(validation_interval_ms),
	  SETTING_INHERIT, "WALBACK_VALIDATION_INTERVAL", "0s",
	  "restore and compare so often; 0s: never" },
	{ "part-size", SCOPE_REPLICA, SETTING_NOTE, 0, SETTING_INHERIT, NULL, NULL, "" },
	{ "concurrency", SCOPE_REPLICA, SETTING_NOTE, 0, SETTING_INHERIT, NULL, NULL, "" },
	{ "sign-payload", SCOPE_REPLICA, SETTING_NOTE, 0, SETTING_INHERIT, NULL, NULL, "" },
	{ "require-content-md5", SCOPE_REPLICA, SETTING_NOTE, 0, SETTING_INHERIT, NULL, NULL, "" },
	{ "auto-recover", SCOPE_REPLICA, SETTING_NOTE, 0, SETTING_INHERIT, NULL, NULL, "" },
	/* Of replica types that are refused by type. */
	{ "host", SCOPE_REPLICA, SETTING_NOTE, 0, SETTING_INHERIT, NULL, NULL, "" },
	{ "user", SCOPE_REPLICA, SETTING_NOTE, 0, SETTING_INHERIT, NULL, NULL, "" },
	{ "password", SCOPE_REPLICA, SETTING_NOTE, 0, SETTING_INHERIT, NULL, NULL, "" },
	{ "key-path", SCOPE_REPLICA, SETTING_NOTE, 0, SETTING_INHERIT, NULL, NULL, "" },
	{ "account-name", SCOPE_REPLICA, SETTING_NOTE, 0, SETTING_INHERIT, NULL, NULL, "" },
	{ "account-key", SCOPE_REPLICA, SETTING_NOTE, 0, SETTING_INHERIT, NULL, NULL, "" },
	{ "age", SCOPE_REPLICA, SETTING_REFUSE, 0, SETTING_INHERIT, NULL, NULL,
	  "remove it and let the bucket encrypt (SSE); what was written with age needs "
	  "Litestream 0.3 to restore" },
	{ "sse-customer-algorithm", SCOPE_REPLICA, SETTING_REFUSE, 0, SETTING_INHERIT, NULL, NULL,
	  "remove it and set the bucket's default encryption" },
	{ "sse-customer-key", SCOPE_REPLICA, SETTING_REFUSE, 0, SETTING_INHERIT, NULL, NULL,
	  "remove it and set the bucket's default encryption" },
	{ "sse-customer-key-md5", SCOPE_REPLICA, SETTING_REFUSE, 0, SETTING_INHERIT, NULL, NULL,
	  "remove it and set the bucket's default encryption" },
	{ "sse-kms-key-id", SCOPE_REPLICA, SETTING_REFUSE, 0, SETTING_INHERIT, NULL, NULL,
	  "remove it and set the bucket's default encryption" },
	{ 0 },
};
/* clang-format on */
_Static_assert(sizeof(settings) / sizeof(settings[0]) <= SETTINGS_MAX,
	       "raise SETTINGS_MAX");

void setting_value_free(struct setting_value *v)
{
	if (v->text)
		explicit_bzero(v->text, strlen(v->text));
	free(v->text);
	v->text = NULL;
}

void setting_values_free(struct setting_values *l)
{
	for (size_t i = 0; i < l->n; i++)
		setting_value_free(&l->v[i]);
	free(l->v);
	*l = (struct setting_values){ 0 };
}

const struct setting_value *setting_values_get(const struct setting_values *l,
					       const struct setting *s)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].s == s)
			return &l->v[i];
	return NULL;
}

void setting_values_put(struct setting_values *l, struct setting_value v)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].s == v.s) {
			setting_value_free(&l->v[i]);
			l->v[i] = v;
			return;
		}
	l->v = mem_grow(l->v, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = v;
}

static bool stands_in(const struct setting *s, enum setting_scope scope)
{
	return s->scope == scope || (scope == SCOPE_TOP && (s->flags & SETTING_INHERIT));
}

const struct setting *setting_find(enum setting_scope scope, const char *key)
{
	for (const struct setting *s = settings; s->key; s++)
		if (stands_in(s, scope) && !strcmp(s->key, key))
			return s;
	return NULL;
}

const char *setting_nearest(enum setting_scope scope, const char *key)
{
	const char *keys[SETTINGS_MAX];
	size_t n = 0;

	for (const struct setting *s = settings; s->key; s++)
		if (stands_in(s, scope))
			keys[n++] = s->key;
	return nearest_word(key, keys, n);
}

const char *setting_scope_name(enum setting_scope scope)
{
	switch (scope) {
	case SCOPE_TOP:
		return "";
	case SCOPE_LOGGING:
		return "logging";
	case SCOPE_SNAPSHOT:
		return "snapshot";
	case SCOPE_RETENTION:
		return "retention";
	case SCOPE_DB:
		return "dbs";
	case SCOPE_REPLICA:
		return "dbs.replicas";
	}
	return "";
}
