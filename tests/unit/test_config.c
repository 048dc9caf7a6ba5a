/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/config.h"
#include "agent/config/settings.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char *dir;
static int log_fd = -1;

static int set_up(void **state)
{
	(void)state;
	log_fd = memfd_create("log", 0);
	log_to(log_fd);
	dir = tmpdir_new();
	return log_fd >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	log_to(2);
	close(log_fd);
	tmpdir_remove(dir);
	return 0;
}

static char *place(const char *name)
{
	return file_join(dir, name);
}

static void write_file(const char *name, const char *text)
{
	char *path = place(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	free(path);
}

/* What was logged since the last call, without times. */
static char *logged(char out[4096])
{
	char raw[4096] = "";
	ssize_t n = pread(log_fd, raw, sizeof(raw) - 1, 0);
	size_t k = 0;

	assert_true(n >= 0);
	for (char *line = raw; *line;) {
		char *end = strchr(line, '\n');
		char *level = strstr(line, "level=");

		assert_non_null(end);
		assert_non_null(level);
		k += (size_t)snprintf(out + k, 4096 - k, "%.*s\n", (int)(end - level),
				      level);
		line = end + 1;
	}
	out[k] = 0;
	assert_int_equal(ftruncate(log_fd, 0), 0);
	assert_int_equal(lseek(log_fd, 0, SEEK_SET), 0);
	return out;
}

static const char *const no_env[] = { "HOME=/home/u", NULL };

static struct config *load_file(const char *name, const char *yaml, const char *const *env,
				struct err *e)
{
	char *path = place(name);
	struct config_request r = { .config_path = path, .env = env ? env : no_env };
	struct config *c;

	write_file(name, yaml);
	c = config_load(&r, e);
	free(path);
	return c;
}

/* "PATH [name type bucket/path region endpoint style key]..." of each database. */
static void dump(const struct config *c, struct buf *out)
{
	for (size_t i = 0; i < c->ndbs; i++) {
		const struct db_config *db = &c->dbs[i];

		buf_addf(out, "%s%s", i ? "\n" : "", db->path);
		for (size_t k = 0; k < db->nreplicas; k++) {
			const struct replica_config *r = &db->replicas[k];

			buf_addf(out, " [%s %s", r->name,
				 r->type == REPLICA_S3 ? "s3 " : "file ");
			if (r->type == REPLICA_S3)
				buf_addf(out, "%s|", r->bucket);
			buf_addf(out, "%s", r->path);
			if (r->type == REPLICA_S3)
				buf_addf(out, " %s|%s|%s", r->region, r->endpoint,
					 r->path_style ? "path" : "host");
			if (r->access_key_id)
				buf_addf(out, " %s/%s", r->access_key_id,
					 r->secret_access_key.p);
			if (r->session_token.p)
				buf_addf(out, "/%s", r->session_token.p);
			buf_addf(out, "]");
		}
	}
}

static void assert_dump(const struct config *c, const char *want)
{
	struct buf out = BUF(1 << 16);

	dump(c, &out);
	assert_string_equal(out.p ? (char *)out.p : "", want);
	buf_free(&out);
}

static void files_of_the_wild_are_read(void **state)
{
	static const struct {
		const char *yaml, *want;
	} cases[] = {
		{ "dbs:\n  - path: /data/app.db\n    replicas:\n      - url: "
		  "s3://bkt/app\n",
		  "/data/app.db [s3 s3 bkt|app ||host]" },
		{ "---\ndbs:\n- path: /d/a.db\n  replicas:\n  - path: /backup/a\n",
		  "/d/a.db [file file /backup/a]" },
		{ "dbs:\n- path: ~/a.db\n  replica:\n    type: s3\n    bucket: bkt\n",
		  "/home/u/a.db [s3 s3 bkt| ||host]" },
		{ "dbs:\n- path: /a\n  replicas:\n  - type: s3\n    bucket: bkt\n    path: "
		  "/x//y/\n"
		  "    endpoint: minio.example.org/\n    region: auto\n",
		  "/a [s3 s3 bkt|x/y auto|https://minio.example.org|path]" },
		{ "dbs:\n- path: /a\n  replicas:\n  - type: s3\n    bucket: bkt\n"
		  "    endpoint: http://127.0.0.1:9000\n    force-path-style: false\n    "
		  "name: n1\n"
		  "  - url: file:///b\n",
		  "/a [n1 s3 bkt| |http://127.0.0.1:9000|host] [file file /b]" },
		/* Empty values are defaults. */
		{ "addr:\nexec: ''\ndbs:\n- path: /a\n  meta-path:\n  replicas:\n  - url: "
		  "s3://bkt\n"
		  "    path:\n    endpoint: ''\n    region:\n    sync-interval:\n"
		  "    force-path-style: ''\n    access-key-id:\n    secret-access-key: "
		  "''\n",
		  "/a [s3 s3 bkt| ||host]" },
		/* Keys of the top level are every replica's. */
		{ "access-key-id: K\nsecret-access-key: S\nregion: r1\ndbs:\n- path: /a\n"
		  "  replicas:\n  - url: s3://bkt/a\n  - url: s3://bkt/b\n    name: two\n"
		  "    access-key-id: K2\n    secret-access-key: S2\n    region: r2\n",
		  "/a [s3 s3 bkt|a r1||host K/S] [two s3 bkt|b r2||host K2/S2]" },
		/* Config wins over the URL, field by field; path style if either says so. */
		{ "dbs:\n- path: /a\n  replicas:\n  - url: "
		  "s3://b.nyc3.digitaloceanspaces.com/p\n"
		  "    region: other\n    force-path-style: false\n",
		  "/a [s3 s3 b|p other|https://nyc3.digitaloceanspaces.com|path]" },
		{ "dbs:\n- path: /a\n  replicas:\n  - url: /plain/folder\n",
		  "/a [file file /plain/folder]" },
		/* Anchors, merges, duplicates. */
		{ "x-r: &r\n  type: s3\n  bucket: bkt\n  region: r1\ndbs:\n- path: /a\n  "
		  "replicas:\n"
		  "  - <<: *r\n    path: a\n- path: /b\n  replicas:\n  - <<: *r\n    path: "
		  "b\n"
		  "    region: r2\n",
		  "/a [s3 s3 bkt|a r1||host]\n/b [s3 s3 bkt|b r2||host]" },
		{ "x-d: &d\n  path: /z\n  replicas: [{url: 's3://bkt/z'}]\ndbs:\n- <<: *d\n"
		  "  path: /a\n  replicas: [{url: 's3://bkt/a'}]\n",
		  "/a [s3 s3 bkt|a ||host]" },
		{ "dbs:\n- path: /x\n  path: /a\n  replicas: []\n", "/a" },
		{ "# all comments\n#dbs:\n", "" },
		{ "", "" },
		{ "dbs:\n", "" },
		{ "dbs: []\nlogging:\nsnapshot:\n", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = ERR_INIT;
		struct config *c = load_file("litestream.yml", cases[i].yaml, NULL, &e);

		assert_string_equal(e.msg, "");
		assert_non_null(c);
		assert_dump(c, cases[i].want);
		config_free(c);
	}
}

static void what_cannot_work_names_file_line_and_remedy(void **state)
{
#define DB(replica) "dbs:\n- path: /a\n  replicas:\n  - " replica
	static const struct {
		const char *yaml, *msg, *hint; /* msg without the file */
	} cases[] = {
		{ DB("url: gs://b/p\n"), ":4: replicas of type gs are not supported",
		  "type s3 with endpoint https://storage.googleapis.com and an HMAC key" },
		{ DB("type: gcs\n    bucket: b\n"),
		  ":4: replicas of type gcs are not supported",
		  "type s3 with endpoint https://storage.googleapis.com and an HMAC key" },
		{ DB("type: abs\n    account-name: x\n"),
		  ":4: replicas of type abs are not supported",
		  "use an S3-compatible store, or type file on a mounted share" },
		{ DB("type: sftp\n    host: h\n"),
		  ":4: replicas of type sftp are not supported",
		  "use an S3-compatible store, or type file on a mounted folder" },
		{ DB("type: nats\n"), ":4: replicas of type nats are not supported",
		  "use an S3-compatible store" },
		{ DB("type: s4\n"), ":4: unknown replica type 's4'", "one of file, s3" },
		{ DB("url: s3://b\n    age:\n      recipients: [age1]\n"),
		  ":6: age is not supported",
		  "remove it and let the bucket encrypt (SSE); what was written with age "
		  "needs "
		  "Litestream 0.3 to restore" },
		{ DB("url: s3://b\n    sse-kms-key-id: k\n"),
		  ":5: sse-kms-key-id is not supported",
		  "remove it and set the bucket's default encryption" },
		{ "dbs:\n- dir: /data\n", ":2: dir is not supported",
		  "name each database by its own path" },
		{ DB("path: s3://b/p\n"), ":4: the path of a replica is a s3:// URL",
		  "use url: instead of path:" },
		{ DB("url: s3://b/p\n    path: x\n"),
		  ":4: url and path of a replica exclude each other",
		  "put the path into the url" },
		{ DB("url: s3://b/p\n    bucket: x\n"),
		  ":4: url and bucket of a replica exclude each other",
		  "put the bucket into the url, or leave the url out" },
		{ DB("type: s3\n"), ":4: an s3 replica without a bucket",
		  "set bucket:, or url: s3://BUCKET/PATH" },
		{ DB("type: file\n"), ":4: a file replica without a path",
		  "set path: to the folder, or url: file:///FOLDER" },
		{ DB("bucket: b\n    path: p\n"),
		  ":4: a replica with a bucket but without a type is a file replica",
		  "add type: s3" },
		{ DB("type: s3\n    bucket: b/p\n"), ":4: not the name of a bucket: 'b/p'",
		  "a prefix in the bucket goes into path:" },
		{ DB("url: s3://b\n    region: a/b\n"),
		  ":4: not the name of a region: 'a/b'", "" },
		{ DB("url: s3://b\n    endpoint: ftp://x\n"),
		  ":4: endpoint: neither http nor https: 'ftp://x'", "" },
		{ DB("url: s3://b\n    access-key-id: K\n"),
		  ":5: access-key-id without secret-access-key",
		  "set both, or neither to take them from the environment" },
		{ DB("url: s3://b\n    secret-access-key: K\n"),
		  ":5: secret-access-key without access-key-id",
		  "set both, or neither to take them from the environment" },
		{ DB("url: s3://b\n    sync-interval: fast\n"),
		  ":5: sync-interval: not a duration: 'fast'",
		  "for instance 500ms, 10s, 1h30m, 7d" },
		{ DB("url: s3://b\n    retention: -1h\n"),
		  ":5: retention: a negative duration: '-1h'",
		  "for instance 500ms, 10s, 1h30m, 7d" },
		{ DB("url: s3://b\n    compression: gzip\n"),
		  ":5: compression: unknown compression: 'gzip'", "one of auto, zst, lz4" },
		{ DB("url: s3://b\n    skip-verify: maybe\n"),
		  ":5: skip-verify: neither true nor false: 'maybe'", "true or false" },
		{ DB("url: s3://b\n    name: a/b\n"),
		  ":4: not usable as the name of a replica: 'a/b'",
		  "a word without blanks, slashes and a leading dot" },
		{ DB("url: s3://b\n    name: lock\n"),
		  ":4: not usable as the name of a replica: 'lock'",
		  "a word without blanks, slashes and a leading dot" },
		{ DB("path: \"/b\\tc\"\n"),
		  ":4: a control character in the path of a replica", "" },
		{ "dbs:\n- path: /a\n  replica: {url: s3://b}\n  replicas: []\n",
		  ":2: replica and replicas exclude each other", "" },
		{ "dbs:\n- replicas: []\n", ":2: a database without a path", "" },
		{ "dbs:\n- path: s3://b\n",
		  ":2: the path of a database is a file, not a s3:// URL", "" },
		{ "dbs:\n- path: /\n", ":2: the path of a database is a file, not '/'",
		  "" },
		{ "dbs:\n- path: /a\n  min-checkpoint-page-count: 0\n",
		  ":2: min-checkpoint-page-count: must be larger than 0", "" },
		{ "dbs:\n- path: /a\n  max-checkpoint-page-count: many\n",
		  ":3: max-checkpoint-page-count: not a number: 'many'",
		  "a number of pages" },
		{ "dbs:\n- path: /a\n  spool-limit: lots\n",
		  ":3: spool-limit: not a size: 'lots'", "for instance 4096, 16MiB, 2GB" },
		{ "dbs:\n  path: /a\n", ":2: dbs: a list is expected here, this is a map",
		  "" },
		{ "dbs:\n- /a\n", ":2: dbs: a map is expected here, this is a value", "" },
		{ "dbs:\n- path: [/a]\n",
		  ":2: path: a value is expected here, this is a list", "" },
		{ "- a\n", ":1: the configuration: a map is expected here, this is a list",
		  "" },
		{ "logging: {type: xml}\n", ":1: type: unknown log type: 'xml'",
		  "text or json" },
		{ "dbs: [\n", ":2: not YAML: did not find expected node content", "" },
		{ "retention: {enabled: maybe}\n",
		  ":1: retention.enabled: neither true nor false: 'maybe'", "" },
		{ "a: &a\n  <<: *a\n", ":2: the anchor 'a' contains itself", "" },
		{ "[1]: 2\n", ":1: a key must be a word", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = ERR_INIT;
		char *path = place("litestream.yml");
		char want[512];

		snprintf(want, sizeof(want), "%s%s", path, cases[i].msg);
		assert_null(load_file("litestream.yml", cases[i].yaml, NULL, &e));
		assert_int_equal(e.code, ERR_USAGE);
		assert_string_equal(e.msg, want);
		assert_string_equal(e.hint, cases[i].hint);
		free(path);
	}
}

static void nothing_may_be_there_twice(void **state)
{
	static const struct {
		const char *yaml, *msg, *slug;
	} cases[] = {
		{ "dbs:\n- path: /a\n- path: /x/../a\n", "the database /a is there twice",
		  "duplicate_database" },
		{ "dbs:\n- path: /a\n  meta-path: /m\n- path: /b\n  meta-path: /m\n",
		  "two databases with the meta-path /m: /a and /b", "duplicate_meta_path" },
		{ "dbs:\n- path: /a\n  replicas:\n  - url: s3://b/1\n  - url: s3://b/2\n",
		  "two replicas of /a have the name 's3'", "duplicate_replica_name" },
		{ "dbs:\n- path: /a\n  replicas:\n  - url: s3://b/1\n  - url: s3://b/1/\n"
		  "    name: n\n",
		  "the replicas 's3' and 'n' of /a have the same place: s3://b/1 at AWS",
		  "duplicate_replica_place" },
		{ "dbs:\n- path: /a\n  replicas:\n  - {type: s3, bucket: b, path: p, "
		  "endpoint: "
		  "'http://h'}\n  - {name: n, type: s3, bucket: b, path: p, endpoint: "
		  "'http://h:80/'}\n",
		  "the replicas 's3' and 'n' of /a have the same place: s3://b/p at "
		  "http://h",
		  "duplicate_replica_place" },
		{ "dbs:\n- path: /a\n  replicas:\n  - {url: 's3://b/p', region: "
		  "eu-west-1}\n"
		  "  - {name: n, url: 's3://b/p', region: eu-west-1, endpoint: "
		  "s3.eu-west-1.amazonaws.com}\n",
		  "the replicas 's3' and 'n' of /a have the same place: s3://b/p at AWS",
		  "duplicate_replica_place" },
		{ "dbs:\n- path: /a\n  replicas:\n  - path: /r\n- path: /b\n  replicas:\n"
		  "  - path: /r/\n",
		  "replicas of /a and of /b have the same place: file:///r",
		  "duplicate_replica_place" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = ERR_INIT;

		assert_null(load_file("c.yml", cases[i].yaml, NULL, &e));
		assert_string_equal(e.msg, cases[i].msg);
		assert_string_equal(e.slug, cases[i].slug);
		assert_int_equal(e.code, ERR_USAGE);
		assert_true(e.hint[0] != 0);
	}
}

static void two_names_of_one_file_are_one_file(void **state)
{
	char *link_name = place("sub");
	char yaml[256];
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(symlink(dir, link_name), 0);
	snprintf(yaml, sizeof(yaml), "dbs:\n- path: %s/a.db\n- path: %s/a.db\n", dir,
		 link_name);
	assert_null(load_file("c.yml", yaml, NULL, &e));
	assert_string_equal(e.slug, "duplicate_database");
	assert_non_null(strstr(e.msg, " are the same file"));
	assert_int_equal(unlink(link_name), 0);
	free(link_name);
}

static void two_names_of_one_folder_are_one_place(void **state)
{
	char *link_name = place("link");
	char yaml[256];
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(symlink(dir, link_name), 0);
	snprintf(yaml, sizeof(yaml),
		 "dbs:\n- path: /a\n  replicas:\n  - path: %s/new/r\n  - path: %s/new/r\n"
		 "    name: n\n",
		 dir, link_name);
	assert_null(load_file("c.yml", yaml, NULL, &e));
	assert_string_equal(e.slug, "duplicate_replica_place");
	assert_int_equal(unlink(link_name), 0);
	free(link_name);
}

static void warnings_name_line_and_nearest_key(void **state)
{
	static const struct {
		const char *name, *yaml, *want; /* want: what follows file=PATH */
	} cases[] = {
		{ "litestream.yml", "dbs:\n- path: /a\n  replcas: []\n",
		  "level=WARN msg=\"unknown key in the configuration\" file=%s line=3 "
		  "key=replcas "
		  "nearest=replicas\n" },
		{ "litestream.yml",
		  "dbs:\n- path: /a\n  replicas:\n  - url: s3://b\n    retetion: 1h\n",
		  "level=WARN msg=\"unknown key in the configuration\" file=%s line=5 "
		  "key=retetion "
		  "nearest=retention\n" },
		{ "litestream.yml", "logging:\n  levle: debug\n",
		  "level=WARN msg=\"unknown key in the configuration\" file=%s line=2 "
		  "key=levle "
		  "nearest=level\n" },
		{ "litestream.yml", "snapshot: {intervl: 1h}\n",
		  "level=WARN msg=\"unknown key in the configuration\" file=%s line=1 "
		  "key=intervl "
		  "nearest=interval\n" },
		{ "litestream.yml", "x-mine: 1\nfrobnicate: 2\n",
		  "level=WARN msg=\"unknown key in the configuration\" file=%s line=2 "
		  "key=frobnicate\n" },
		{ "litestream.yml", "levels: [{interval: 30s}]\nsocket: {enabled: true}\n",
		  "" },
		{ "litestream.yml", "dbs:\n- path: /a\n  restore-if-db-not-exists: true\n",
		  "level=WARN msg=\"replicate does not restore; `walback run` does\" "
		  "file=%s line=3 "
		  "key=restore-if-db-not-exists\n" },
		{ "litestream.yml", "addr: ':1'\naddr: ':2'\n",
		  "level=WARN msg=\"key set twice in the configuration, the last one "
		  "counts\" "
		  "file=%s line=1 key=addr\n" },
		{ "litestream.yml", "addr: ':1'\n---\naddr: ':2'\n",
		  "level=WARN msg=\"only the first document of the configuration counts\" "
		  "file=%s "
		  "line=2\n" },
		{ "litestream.yml", "addr: ${ADDR:-:9090}\n",
		  "level=WARN msg=\"${NAME:-default} expands to nothing in Litestream's "
		  "files\" "
		  "file=%s line=1 name=ADDR hint=\"write ${NAME}, or use walback.yml, "
		  "where the "
		  "default counts\"\n" },
		{ "litestream.yml", "addr: a$$b\n",
		  "level=WARN msg=\"a $ and the character after it expand to nothing\" "
		  "file=%s "
		  "line=1 hint=\"-no-expand-env leaves every $ as it stands\"\n" },
		{ "walback.yml", "addr: ${ADDR:-:9090}\n", "" },
		{ "litestream.yml", "shutdown-timeout: 2000000000\n",
		  "level=WARN msg=\"a duration without a unit means nanoseconds\" "
		  "from=%s:1 "
		  "key=shutdown-timeout value=2000000000 hint=\"write a unit, for instance "
		  "10s\"\n" },
		{ "litestream.yml",
		  "dbs:\n- path: /a\n  replica: {type: s3, bucket: b, endpoint: "
		  "'https://h/b'}\n",
		  "level=WARN msg=\"the endpoint ends with the bucket, which is not part "
		  "of it\" "
		  "endpoint=https://h/b used=https://h\n" },
	};
	char got[4096];

	(void)state;
	logged(got);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = ERR_INIT;
		char *path = place(cases[i].name);
		const char *mark = strstr(cases[i].want, "%s");
		char want[1024] = "";
		struct config *c = load_file(cases[i].name, cases[i].yaml, NULL, &e);

		snprintf(want, sizeof(want), "%s", cases[i].want);
		if (mark)
			snprintf(want, sizeof(want), "%.*s%s%s",
				 (int)(mark - cases[i].want), cases[i].want, path,
				 mark + 2);
		assert_string_equal(e.msg, "");
		assert_non_null(c);
		assert_string_equal(logged(got), want);
		config_free(c);
		free(path);
	}
}

static void strict_makes_unknown_keys_errors(void **state)
{
	char *path = place("litestream.yml");
	struct config_request r = { .config_path = path, .env = no_env, .strict = true };
	struct err e = ERR_INIT;
	char want[512];

	(void)state;
	write_file("litestream.yml", "dbs:\n- path: /a\n  replcas: []\n");
	assert_null(config_load(&r, &e));
	snprintf(want, sizeof(want), "%s:3: unknown key 'replcas' (did you mean replicas?)",
		 path);
	assert_int_equal(e.code, ERR_USAGE);
	assert_string_equal(e.slug, "unknown_key");
	assert_string_equal(e.msg, want);
	free(path);
}

static void variables_expand_and_defaults_count_only_in_walbacks_file(void **state)
{
	static const char *const env[] = { "BKT=bkt", NULL };
	static const char yaml[] = "dbs:\n- path: ${DB:-/d.db}\n  replicas:\n"
				   "  - url: s3://${BKT}/$NONE${P:-x}\n";
	struct err e = ERR_INIT;
	struct config *c = load_file("walback.yml", yaml, env, &e);
	char *path = place("walback.yml");
	struct config_request r = { .config_path = path,
				    .env = env,
				    .no_expand_env = true };

	(void)state;
	assert_non_null(c);
	assert_dump(c, "/d.db [s3 s3 bkt|x ||host]");
	config_free(c);
	/* In Litestream's, nothing: here the database has no path. */
	assert_null(load_file("litestream.yml", yaml, env, &e));
	assert_non_null(strstr(e.msg, ":2: a database without a path"));
	/* -no-expand-env: as it stands. */
	c = config_load(&r, &e);
	assert_null(c);
	assert_non_null(strstr(e.msg, "not the name of a bucket: '${BKT}'"));
	free(path);
}

static void the_environment_alone_is_enough(void **state)
{
	static const struct {
		const char *env[8];
		const char *want;
	} cases[] = {
		{ { "DATABASE_PATH=/data/app.db", "LITESTREAM_REPLICA_URL=s3://bkt/app" },
		  "/data/app.db [s3 s3 bkt|app ||host]" },
		{ { "DB_PATH=/data/app.db", "REPLICA_URL=file:///backup" },
		  "/data/app.db [file file /backup]" },
		{ { "DB_PATH=/x", "DATABASE_PATH=/y", "WALBACK_DATABASE_PATH=/z",
		    "BUCKET_NAME=b" },
		  "/z [s3 s3 b| ||host]" },
		/* As Fly.io sets it up for Tigris. */
		{ { "DB_PATH=/a", "BUCKET_NAME=b",
		    "AWS_ENDPOINT_URL_S3=https://fly.storage.tigris.dev", "AWS_REGION=auto",
		    "AWS_ACCESS_KEY_ID=K", "AWS_SECRET_ACCESS_KEY=S",
		    "LITESTREAM_PATH=/p/" },
		  "/a [s3 s3 b|p auto|https://fly.storage.tigris.dev|path K/S]" },
		{ { "DB_PATH=/a", "LITESTREAM_BUCKET=b", "LITESTREAM_ENDPOINT=minio:9000",
		    "LITESTREAM_REGION=r", "LITESTREAM_ACCESS_KEY_ID=LK",
		    "LITESTREAM_SECRET_ACCESS_KEY=LS", "AWS_ACCESS_KEY_ID=K" },
		  "/a [s3 s3 b| r|https://minio:9000|path LK/LS]" },
		/* A key without its secret is passed over, never mixed. */
		{ { "DB_PATH=/a", "LITESTREAM_BUCKET=b", "LITESTREAM_ACCESS_KEY_ID=LK",
		    "AWS_ACCESS_KEY_ID=K", "AWS_SECRET_ACCESS_KEY=S",
		    "AWS_SESSION_TOKEN=T" },
		  "/a [s3 s3 b| ||host K/S/T]" },
		/* Empty is not set. */
		{ { "DB_PATH=/a", "LITESTREAM_BUCKET=", "LITESTREAM_REPLICA_BUCKET=b",
		    "LITESTREAM_ENDPOINT=", "LITESTREAM_REGION=" },
		  "/a [s3 s3 b| ||host]" },
		/* The URL outranks the parts, which fill in what it leaves out. */
		{ { "DB_PATH=/a", "REPLICA_URL=s3://b", "LITESTREAM_PATH=p",
		    "LITESTREAM_BUCKET=c", "LITESTREAM_REGION=r",
		    "AWS_ENDPOINT_URL=http://h:1" },
		  "/a [s3 s3 b| r|http://h:1|path]" },
		{ { "DB_PATH=/a", "REPLICA_URL=s3://b?endpoint=http://x:1&region=q",
		    "LITESTREAM_REGION=r", "AWS_ENDPOINT_URL=http://h:1" },
		  "/a [s3 s3 b| q|http://x:1|path]" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = ERR_INIT;
		struct config_request r = { .env = cases[i].env, .system_dir = dir };
		struct config *c;
		char *path = place("litestream.yml");

		unlink(path);
		free(path);
		path = place("walback.yml");
		unlink(path);
		free(path);
		c = config_load(&r, &e);
		assert_string_equal(e.msg, "");
		assert_non_null(c);
		assert_null(c->file);
		assert_dump(c, cases[i].want);
		config_free(c);
	}
}

static void what_the_environment_lacks_is_said(void **state)
{
	static const struct {
		const char *env[4];
		const char *msg, *hint;
	} cases[] = {
		{ { NULL },
		  "no configuration file, and the environment names neither a database nor "
		  "a replica",
		  "set DATABASE_PATH and LITESTREAM_REPLICA_URL, or write "
		  "/etc/walback.yml" },
		{ { "DB_PATH=/a" },
		  "no configuration file, and the environment names no replica",
		  "set LITESTREAM_REPLICA_URL, or LITESTREAM_BUCKET" },
		{ { "BUCKET_NAME=b" },
		  "no configuration file, and the environment names no database",
		  "set DATABASE_PATH" },
		{ { "DB_PATH=/a", "REPLICA_URL=gs://x" },
		  "REPLICA_URL: replicas of type gs are not supported",
		  "type s3 with endpoint https://storage.googleapis.com and an HMAC key" },
		{ { "DB_PATH=/a", "REPLICA_URL=/x" },
		  "REPLICA_URL: not a replica's URL: '/x'",
		  "s3://BUCKET/PATH or file:///FOLDER" },
		{ { "DB_PATH=/a", "DB_PATH_FILE=/b", "BUCKET_NAME=b" },
		  "both DB_PATH and DB_PATH_FILE are set",
		  "unset one of them" },
		{ { "DB_PATH=/a", "REPLICA_URL=s3://b", "LITESTREAM_SYNC_INTERVAL=x" },
		  "LITESTREAM_SYNC_INTERVAL: sync-interval: not a duration: 'x'",
		  "for instance 500ms, 10s, 1h30m, 7d" },
		{ { "WALBACK_CONFIG=/nonexistent/w.yml" },
		  "WALBACK_CONFIG: configuration file not found: /nonexistent/w.yml",
		  "" },
		{ { "LITESTREAM_CONFIG=/nonexistent/l.yml" },
		  "LITESTREAM_CONFIG: configuration file not found: /nonexistent/l.yml",
		  "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = ERR_INIT;
		struct config_request r = { .env = cases[i].env, .system_dir = dir };

		assert_null(config_load(&r, &e));
		assert_int_equal(e.code, ERR_USAGE);
		assert_string_equal(e.msg, cases[i].msg);
		assert_string_equal(e.hint, cases[i].hint);
	}
}

static void secrets_come_from_files_too(void **state)
{
	char *key = place("key");
	char *secret = place("secret");
	char a[256], b[256];
	const char *env[] = { "DB_PATH=/a", "BUCKET_NAME=b", a, b, NULL };
	struct config_request r = { .env = env, .system_dir = "/nonexistent" };
	struct err e = ERR_INIT;
	struct config *c;

	(void)state;
	write_file("key", "KEY\n");
	write_file("secret", "SE CRET\r\n");
	snprintf(a, sizeof(a), "LITESTREAM_ACCESS_KEY_ID_FILE=%s", key);
	snprintf(b, sizeof(b), "LITESTREAM_SECRET_ACCESS_KEY_FILE=%s", secret);
	c = config_load(&r, &e);
	assert_non_null(c);
	assert_dump(c, "/a [s3 s3 b| ||host KEY/SE CRET]");
	config_free(c);
	snprintf(b, sizeof(b), "LITESTREAM_SECRET_ACCESS_KEY_FILE=/nonexistent");
	assert_null(config_load(&r, &e));
	assert_non_null(strstr(e.msg, "LITESTREAM_SECRET_ACCESS_KEY_FILE: "));
	assert_int_equal(e.code, ERR_USAGE);
	free(key);
	free(secret);
}

/* Each family of names, its session token too; and what is no secret. */
static void every_variable_may_be_a_file(void **state)
{
	static const char *const families[][3] = {
		{ "WALBACK_ACCESS_KEY_ID", "WALBACK_SECRET_ACCESS_KEY",
		  "WALBACK_SESSION_TOKEN" },
		{ "LITESTREAM_ACCESS_KEY_ID", "LITESTREAM_SECRET_ACCESS_KEY",
		  "LITESTREAM_SESSION_TOKEN" },
		{ "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN" },
		{ "AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN" },
	};
	static const char *const files[] = { "key", "secret", "token", "db", "url" };
	static const char *const texts[] = { "KEY\n", "SECRET\n", "TOKEN\n", "/d/a.db\n",
					     "s3://bkt/p\n" };
	char line[5][256];
	const char *env[6] = { line[0], line[1], line[2], line[3], line[4], NULL };
	struct config_request r = { .env = env, .system_dir = "/nonexistent" };

	(void)state;
	for (size_t i = 0; i < 5; i++)
		write_file(files[i], texts[i]);
	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
		struct err e = ERR_INIT;
		struct config *c;

		for (size_t i = 0; i < 3; i++)
			snprintf(line[i], sizeof(line[i]), "%s_FILE=%s/%s", families[f][i],
				 dir, files[i]);
		snprintf(line[3], sizeof(line[3]), "DATABASE_PATH_FILE=%s/db", dir);
		snprintf(line[4], sizeof(line[4]), "LITESTREAM_REPLICA_URL_FILE=%s/url",
			 dir);
		c = config_load(&r, &e);
		assert_string_equal(e.msg, "");
		assert_dump(c, "/d/a.db [s3 s3 bkt|p ||host KEY/SECRET/TOKEN]");
		config_free(c);
	}
}

static void a_file_that_names_databases_outranks_the_environments_places(void **state)
{
	static const char *const env[] = { "DB_PATH=/other",
					   "LITESTREAM_BUCKET=other",
					   "AWS_ENDPOINT_URL_S3=http://other:1",
					   "AWS_REGION=other",
					   "REPLICA_URL=s3://other",
					   "AWS_ACCESS_KEY_ID=K",
					   "AWS_SECRET_ACCESS_KEY=S",
					   "LITESTREAM_SYNC_INTERVAL=5s",
					   "WALBACK_RETENTION=3h",
					   "WALBACK_LOG_LEVEL=warn",
					   NULL };
	struct err e = ERR_INIT;
	struct config *c = load_file(
		"c.yml",
		"logging: {level: debug, type: json, stderr: false}\n"
		"dbs:\n- path: /a\n  replicas:\n  - url: s3://b/p\n"
		"    retention: 1h\n  - {url: s3://b/q, name: q, sync-interval: 7s}\n",
		env, &e);

	(void)state;
	assert_non_null(c);
	assert_dump(c, "/a [s3 s3 b|p ||host K/S] [q s3 b|q ||host K/S]");
	/* Litestream's names fill in, WALBACK_ ones outrank the file. */
	assert_int_equal(c->dbs[0].replicas[0].sync_interval_ms, 5000);
	assert_int_equal(c->dbs[0].replicas[1].sync_interval_ms, 7000);
	assert_int_equal(c->dbs[0].replicas[0].retention_ms, 3 * 3600 * 1000);
	assert_int_equal(c->log_level, LOG_WARN);
	assert_true(c->log_json);
	assert_false(c->log_stderr);
	config_free(c);
}

static void a_file_without_databases_leaves_them_to_the_environment(void **state)
{
	static const char *const env[] = { "DB_PATH=/a", "BUCKET_NAME=b", NULL };
	struct err e = ERR_INIT;
	struct config *c =
		load_file("litestream.yml", "# nothing\nretention: 5h\n", env, &e);

	(void)state;
	assert_non_null(c);
	assert_dump(c, "/a [s3 s3 b| ||host]");
	assert_int_equal(c->dbs[0].replicas[0].retention_ms, 5 * 3600 * 1000);
	config_free(c);
}

static void urls_on_the_command_line_need_no_file(void **state)
{
	static const char *const urls[] = { "s3://b/1", "file:///r", "s3://b/2" };
	static const char *const env[] = {
		"LITESTREAM_CONFIG=/nonexistent", "DB_PATH=/not/this",
		"LITESTREAM_BUCKET=not-this",	  "LITESTREAM_PATH=nor-this",
		"LITESTREAM_ENDPOINT=http://h:1", NULL
	};
	struct config_request r = { .db = "/d/a.db", .urls = urls, .nurls = 3, .env = env };
	struct err e = ERR_INIT;
	struct config *c = config_load(&r, &e);

	(void)state;
	assert_non_null(c);
	assert_dump(c, "/d/a.db [s3 s3 b|1 |http://h:1|path] [file file /r] "
		       "[s3-2 s3 b|2 |http://h:1|path]");
	assert_string_equal(c->dbs[0].meta_path, "/d/.a.db-walback");
	config_free(c);
	r.db = NULL;
	r.nurls = 1;
	c = config_load(&r, &e);
	assert_non_null(c);
	assert_dump(c, " [s3 s3 b|1 |http://h:1|path]");
	config_free(c);
	r.config_path = "/etc/x.yml";
	assert_null(config_load(&r, &e));
	assert_string_equal(e.msg, "a replica URL and -config exclude each other");
}

static void a_database_may_be_named_beside_the_environment(void **state)
{
	static const char *const env[] = { "BUCKET_NAME=b", NULL };
	struct config_request r = { .db = "/d/a.db",
				    .env = env,
				    .system_dir = "/nonexistent" };
	struct err e = ERR_INIT;
	struct config *c = config_load(&r, &e);

	(void)state;
	assert_non_null(c);
	assert_dump(c, "/d/a.db [s3 s3 b| ||host]");
	config_free(c);
	r.db = NULL;
	r.replica_only = true;
	c = config_load(&r, &e);
	assert_non_null(c);
	assert_dump(c, " [s3 s3 b| ||host]");
	config_free(c);
}

static void the_search_path_is_walked_in_order(void **state)
{
	char *own = place("walback.yml");
	char *theirs = place("litestream.yml");
	char w[256], l[256];
	const char *env[] = { w, l, "HOME=/", NULL };
	struct config_request r = { .env = env, .system_dir = dir };
	struct err e = ERR_INIT;

	(void)state;
	write_file("walback.yml", "addr: own\n");
	write_file("litestream.yml", "addr: theirs\n");
	write_file("w.yml", "addr: ${X:-w}\n");
	write_file("l.yml", "addr: l\n");
	write_file("flag.yml", "addr: flag\n");
	snprintf(w, sizeof(w), "WALBACK_CONFIG=%s/w.yml", dir);
	snprintf(l, sizeof(l), "LITESTREAM_CONFIG=%s/l.yml", dir);
	for (int i = 0; i < 5; i++) {
		static const char *const want[] = { "flag", "w", "l", "own", "theirs" };
		char *flag = place("flag.yml");
		struct config *c;

		r.config_path = i == 0 ? flag : NULL;
		if (i >= 2)
			w[0] = 'X';
		if (i >= 3)
			l[0] = 'X';
		if (i == 4)
			assert_int_equal(unlink(own), 0);
		c = config_load(&r, &e);
		assert_non_null(c);
		assert_string_equal(c->addr, want[i]);
		config_free(c);
		free(flag);
	}
	unlink(theirs);
	free(own);
	free(theirs);
}

static void defaults_are_those_of_the_manual(void **state)
{
	struct err e = ERR_INIT;
	struct config *c = load_file(
		"c.yml", "dbs:\n- path: /d/a.db\n  replica: {url: s3://b}\n", NULL, &e);
	const struct db_config *db;
	const struct replica_config *r;

	(void)state;
	assert_non_null(c);
	db = &c->dbs[0];
	r = &db->replicas[0];
	assert_string_equal(db->meta_path, "/d/.a.db-walback");
	assert_int_equal(db->monitor_interval_ms, 1000);
	assert_int_equal(db->checkpoint_interval_ms, 60000);
	assert_int_equal(db->busy_timeout_ms, 1000);
	assert_int_equal(db->min_checkpoint_pages, 1000);
	assert_int_equal(db->max_checkpoint_pages, 10000);
	assert_int_equal(db->spool_limit_bytes, 256 << 20);
	assert_int_equal(db->snapshot_copy_limit_bytes, 0);
	assert_int_equal(r->compression, COMPRESSION_AUTO);
	assert_int_equal(r->sync_interval_ms, 1000);
	assert_false(r->sync_interval_set);
	assert_int_equal(r->snapshot_interval_ms, 24 * 3600 * 1000);
	assert_int_equal(r->retention_ms, 24 * 3600 * 1000);
	assert_int_equal(r->retention_check_interval_ms, 3600 * 1000);
	assert_int_equal(r->validation_interval_ms, 0);
	assert_false(r->skip_verify);
	assert_false(r->path_style_set);
	assert_null(r->access_key_id);
	assert_int_equal(c->store_wait_ms, 10000);
	assert_int_equal(c->shutdown_timeout_ms, 9000);
	assert_int_equal(c->log_level, LOG_INFO);
	assert_false(c->log_json);
	assert_true(c->log_stderr);
	assert_null(c->addr);
	config_free(c);
}

static void litestream_05s_names_set_the_same(void **state)
{
	struct err e = ERR_INIT;
	struct config *c = load_file(
		"c.yml",
		"snapshot: {interval: 7h, retention: 7d}\n"
		"retention: {check-interval: 2h}\nshutdown-sync-timeout: 30s\n"
		"sync-interval: 3s\nmonitor-interval: 2s\n"
		"dbs:\n- path: /a\n  spool-limit: 1MiB\n"
		"  replica: {url: s3://b, part-size: 5MB, retention: {enabled: no}}\n",
		NULL, &e);
	const struct replica_config *r;

	(void)state;
	assert_string_equal(e.msg, "");
	assert_non_null(c);
	r = &c->dbs[0].replicas[0];
	assert_int_equal(r->snapshot_interval_ms, 7 * 3600 * 1000);
	assert_int_equal(r->retention_ms, 0);
	assert_int_equal(r->retention_check_interval_ms, 2 * 3600 * 1000);
	assert_int_equal(r->sync_interval_ms, 3000);
	assert_true(r->sync_interval_set);
	assert_int_equal(c->dbs[0].monitor_interval_ms, 2000);
	assert_int_equal(c->dbs[0].spool_limit_bytes, 1 << 20);
	assert_int_equal(c->shutdown_timeout_ms, 30000);
	config_free(c);
}

static void databases_and_replicas_are_found_by_name(void **state)
{
	struct err e = ERR_INIT;
	struct config *c = load_file("c.yml",
				     "dbs:\n- path: /d/a.db\n  replicas:\n  - url: s3://b\n"
				     "  - path: /r\n- path: /d/b.db\n",
				     NULL, &e);
	const struct db_config *db;

	(void)state;
	assert_non_null(c);
	db = config_db(c, "/d/x/../b.db", &e);
	assert_ptr_equal(db, &c->dbs[1]);
	db = config_db(c, "/d/a.db", &e);
	assert_ptr_equal(config_replica(db, "file", &e), &db->replicas[1]);
	assert_null(config_replica(db, "nope", &e));
	assert_string_equal(e.msg, "/d/a.db has no replica 'nope'");
	assert_string_equal(e.hint, "known: s3, file");
	e = (struct err)ERR_INIT;
	assert_null(config_db(c, "/d/c.db", &e));
	assert_string_equal(e.msg, "database not found in the configuration: /d/c.db");
	assert_string_equal(e.hint, "known: /d/a.db, /d/b.db");
	assert_int_equal(e.code, ERR_USAGE);
	config_free(c);
}

static void a_replica_from_a_url_alone_ignores_the_environment(void **state)
{
	struct replica_config r;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(replica_from_url(&r, "s3://b/p?endpoint=http://h:1&region=q", &e),
			 0);
	assert_string_equal(r.bucket, "b");
	assert_string_equal(r.path, "p");
	assert_string_equal(r.endpoint, "http://h:1");
	assert_string_equal(r.region, "q");
	assert_true(r.path_style);
	assert_null(r.access_key_id);
	assert_int_equal(r.sync_interval_ms, 1000);
	replica_config_free(&r);
	assert_int_equal(replica_from_url(&r, "s3://", &e), -1);
	assert_string_equal(e.msg, "an s3 replica without a bucket");
}

static void where_each_setting_came_from_is_kept_without_secrets(void **state)
{
	static const char *const env[] = { "AWS_ACCESS_KEY_ID=AKIA0123456789",
					   "WALBACK_RETENTION=3h",
					   "AWS_SECRET_ACCESS_KEY=hunter2hunter2", NULL };
	char *path = place("c.yml");
	struct config_request r = { .config_path = path, .env = env, .explain = true };
	static const struct {
		const char *key, *text, *from;
	} cases[] = {
		{ "url", "s3://b/p", "F:4" },
		{ "path", "p", "url" },
		{ "sync-interval", "2s", "F:5" },
		{ "retention", "3h", "WALBACK_RETENTION" },
		{ "snapshot-interval", "24h", "default" },
		{ "access-key-id", "…6789", "AWS_ACCESS_KEY_ID" },
		{ "secret-access-key", "redacted", "AWS_SECRET_ACCESS_KEY" },
	};
	struct err e = ERR_INIT;
	struct config *c;

	(void)state;
	write_file("c.yml", "dbs:\n- path: /a\n  replicas:\n  - url: s3://b/p\n    "
			    "sync-interval: 2s\n");
	c = config_load(&r, &e);
	assert_non_null(c);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct setting_value *v =
			setting_values_get(c->dbs[0].replicas[0].explain,
					   setting_find(SCOPE_REPLICA, cases[i].key));
		char from[512];

		assert_non_null(v);
		assert_string_equal(v->text, cases[i].text);
		setting_origin_format(v, "F", from);
		assert_string_equal(from, cases[i].from);
	}
	config_free(c);
	free(path);
}

static void the_table_is_sound(void **state)
{
	(void)state;
	for (const struct setting *s = settings; s->key; s++) {
		assert_ptr_equal(setting_find(s->scope, s->key), s);
		assert_non_null(s->help);
		assert_true(s->type == SETTING_NOTE || *s->help);
		if (s->type == SETTING_ALIAS)
			assert_true(setting_find(SCOPE_TOP, s->fallback) ||
				    setting_find(SCOPE_REPLICA, s->fallback));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_of_the_wild_are_read),
		cmocka_unit_test(what_cannot_work_names_file_line_and_remedy),
		cmocka_unit_test(nothing_may_be_there_twice),
		cmocka_unit_test(two_names_of_one_file_are_one_file),
		cmocka_unit_test(two_names_of_one_folder_are_one_place),
		cmocka_unit_test(warnings_name_line_and_nearest_key),
		cmocka_unit_test(strict_makes_unknown_keys_errors),
		cmocka_unit_test(variables_expand_and_defaults_count_only_in_walbacks_file),
		cmocka_unit_test(the_environment_alone_is_enough),
		cmocka_unit_test(what_the_environment_lacks_is_said),
		cmocka_unit_test(secrets_come_from_files_too),
		cmocka_unit_test(every_variable_may_be_a_file),
		cmocka_unit_test(
			a_file_that_names_databases_outranks_the_environments_places),
		cmocka_unit_test(a_file_without_databases_leaves_them_to_the_environment),
		cmocka_unit_test(urls_on_the_command_line_need_no_file),
		cmocka_unit_test(a_database_may_be_named_beside_the_environment),
		cmocka_unit_test(the_search_path_is_walked_in_order),
		cmocka_unit_test(defaults_are_those_of_the_manual),
		cmocka_unit_test(litestream_05s_names_set_the_same),
		cmocka_unit_test(databases_and_replicas_are_found_by_name),
		cmocka_unit_test(a_replica_from_a_url_alone_ignores_the_environment),
		cmocka_unit_test(where_each_setting_came_from_is_kept_without_secrets),
		cmocka_unit_test(the_table_is_sound),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
