/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica in a bucket: the object "a/b" has the key PATH/a/b.  All stores of
 * the process share one HTTP loop, which lives as long as one of them does.
 */
#include "agent/store/store_s3.h"

#include "agent/config/config.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/text.h"
#include "s3/chain.h"
#include "s3/list.h"
#include "s3/multipart.h"
#include "s3/object.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define KEY_MAX 1024 /* bytes, S3's limit */
#define COPY_CHUNK ((uint64_t)5 << 20)

static struct {
	pthread_mutex_t lock;
	struct http *http;
	unsigned users;
} loop = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* An empty value is as good as none. */
static const char *set_to(const char *value)
{
	return value && *value ? value : NULL;
}

static struct http *loop_take(void)
{
	pthread_mutex_lock(&loop.lock);
	if (loop.users++ == 0) {
		const char *bundle = set_to(secure_getenv("AWS_CA_BUNDLE"));
		const char *file = set_to(secure_getenv("SSL_CERT_FILE"));
		const char *folder = set_to(secure_getenv("SSL_CERT_DIR"));
		const struct http_options o = { .ca_file = bundle ? bundle : file,
						.ca_path = folder };

		loop.http = http_new(&o);
	}
	struct http *h = loop.http;

	pthread_mutex_unlock(&loop.lock);
	return h;
}

static void loop_leave(void)
{
	pthread_mutex_lock(&loop.lock);
	if (--loop.users == 0) {
		http_destroy(loop.http);
		loop.http = NULL;
	}
	pthread_mutex_unlock(&loop.lock);
}

static struct s3_store *self(struct store *s)
{
	return (struct s3_store *)s;
}

/* Parts between slashes are neither empty nor "." nor "..". */
static bool key_valid(const char *key)
{
	for (const char *p = key;; p++) {
		size_t n = strcspn(p, "/");

		if (n == 0 || (n == 1 && p[0] == '.') ||
		    (n == 2 && memcmp(p, "..", 2) == 0))
			return false;
		p += n;
		if (!*p)
			return true;
	}
}

char *store_s3_key(const struct s3_store *s, const char *key, struct err *e)
{
	if (key_valid(key) && strlen(s->prefix) + strlen(key) <= KEY_MAX)
		return mem_fmt("%s%s", s->prefix, key);
	err_set(e, ERR_USAGE, "object name \"%.200s\" is not allowed", key);
	err_slug(e, "bad_object_name");
	return NULL;
}

static void to_meta(const struct s3_info *info, struct store_object *meta)
{
	meta->key = NULL;
	meta->size = info->size;
	meta->mtime_ms = info->mtime_ms;
	memcpy(meta->etag, info->etag, STORE_ETAG_MAX);
}

_Static_assert(STORE_ETAG_MAX == S3_ETAG_MAX, "etags are copied whole");

// NOLINTNEXTLINE(readability-function-size): the signature is the interface's
static int s3_store_get(struct store *s, const char *key, uint64_t offset, uint64_t len,
			struct buf *out, struct store_object *meta, struct err *e)
{
	AUTO_FREE char *k = store_s3_key(self(s), key, e);
	struct s3_info info;
	struct s3_get g;

	if (!k)
		return -1;
	uint64_t room = out->max - out->len;

	s3_get_init(&g, k, offset, len, len < room ? len : room, out);
	int rc = s3_get(self(s)->client, &g, meta ? &info : NULL, e);

	s3_get_free(&g);
	if (rc == 0 && meta)
		to_meta(&info, meta);
	return rc;
}

static int s3_store_head(struct store *s, const char *key, struct store_object *meta,
			 struct err *e)
{
	AUTO_FREE char *k = store_s3_key(self(s), key, e);
	struct s3_info info;

	if (!k || s3_head(self(s)->client, k, &info, e) < 0)
		return -1;
	to_meta(&info, meta);
	return 0;
}

static struct s3_put to_put(const struct store_put *o)
{
	return o ? (struct s3_put){ o->if_absent, o->if_match, o->etag_out }
		 : (struct s3_put){ .if_absent = false };
}

static int s3_store_put(struct store *s, const char *key, const void *p, size_t n,
			const struct store_put *o, struct err *e)
{
	AUTO_FREE char *k = store_s3_key(self(s), key, e);
	const struct s3_put put = to_put(o);

	return k ? s3_put(self(s)->client, k, p, n, &put, e) : -1;
}

/* ---- list ---- */

struct list_call {
	const struct s3_store *s;
	int (*cb)(void *arg, const struct store_object *o);
	void *arg;
};

static int on_object(void *arg, const struct s3_xml_object *o)
{
	const struct list_call *l = arg;
	size_t skip = strlen(l->s->prefix), n = strlen(o->key);

	/* Keys that end in a slash are folders drawn by a console, not objects. */
	if (!text_starts(o->key, l->s->prefix) || n == skip ||
	    (!o->is_prefix && o->key[n - 1] == '/'))
		return 0;
	AUTO_FREE char *key = mem_str(o->key + skip);
	struct store_object out = { .key = key, .size = o->size, .mtime_ms = o->mtime_ms };

	memcpy(out.etag, o->etag, STORE_ETAG_MAX);
	return l->cb(l->arg, &out);
}

static int s3_store_list(struct store *s, const char *prefix, bool delimiter,
			 int (*cb)(void *arg, const struct store_object *o), void *arg,
			 struct err *e)
{
	AUTO_FREE char *p = mem_fmt("%s%s", self(s)->prefix, prefix);
	struct list_call call = { self(s), cb, arg };

	return s3_list(self(s)->client, p, delimiter ? "/" : NULL, on_object, &call, e);
}

static int s3_store_list_wide(struct store *s, const char *prefix, char fold,
			      int (*cb)(void *arg, const struct store_object *o), void *arg,
			      struct err *e)
{
	AUTO_FREE char *p = mem_fmt("%s%s", self(s)->prefix, prefix);
	struct list_call call = { self(s), cb, arg };

	return s3_list_wide(self(s)->client, p, fold, on_object, &call, e);
}

/* ---- delete ---- */

static int s3_store_del(struct store *s, const char *const *keys, size_t n, struct err *e)
{
	char **whole = mem_array(n, sizeof(*whole));
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		whole[i] = store_s3_key(self(s), keys[i], e);
		rc = whole[i] ? 0 : -1;
	}
	if (rc == 0)
		rc = s3_delete_many(self(s)->client, (const char *const *)whole, n, e);
	for (size_t i = 0; i < n; i++)
		free(whole[i]);
	free(whole);
	return rc;
}

/* ---- streams ---- */

struct store_writer {
	struct s3_upload *upload;
};

static struct store_writer *s3_store_write_begin(struct store *s, const char *key,
						 const struct store_put *o, struct err *e)
{
	AUTO_FREE char *k = store_s3_key(self(s), key, e);
	const struct s3_upload_options uo = { .put = to_put(o) };

	if (!k)
		return NULL;
	struct store_writer *w = mem_alloc(sizeof(*w));

	w->upload = s3_upload_begin(self(s)->client, k, &uo);
	return w;
}

static int s3_store_write(struct store_writer *w, const void *p, size_t n, struct err *e)
{
	return s3_upload_write(w->upload, p, n, e);
}

static int s3_store_write_commit(struct store_writer *w, struct err *e)
{
	int rc = s3_upload_commit(w->upload, e);

	free(w);
	return rc;
}

static void s3_store_write_abort(struct store_writer *w)
{
	s3_upload_abort(w->upload);
	free(w);
}

/* ---- copy ---- */

/* Few servers know conditions on a copy; all that know them know them on a write. */
static int copy_by_stream(struct s3_store *s, const char *from, const char *to,
			  const struct store_put *o, struct err *e)
{
	const struct s3_upload_options uo = { .put = to_put(o) };
	struct s3_upload *u = s3_upload_begin(s->client, to, &uo);
	struct buf b = BUF(COPY_CHUNK);
	struct s3_info info = { .size = 0 };
	uint64_t at = 0;
	int rc;

	do {
		struct s3_get g;

		buf_reset(&b);
		s3_get_init(&g, from, at, COPY_CHUNK, COPY_CHUNK, &b);
		rc = s3_get(s->client, &g, &info, e);
		s3_get_free(&g);
		if (rc == 0)
			rc = s3_upload_write(u, b.p, b.len, e);
		at += b.len;
	} while (rc == 0 && b.len && at < info.size);
	buf_free(&b);
	if (rc == 0)
		return s3_upload_commit(u, e);
	s3_upload_abort(u);
	return -1;
}

static int s3_store_copy(struct store *s, const char *from, const char *to,
			 const struct store_put *o, struct err *e)
{
	AUTO_FREE char *a = store_s3_key(self(s), from, e);
	AUTO_FREE char *b = a ? store_s3_key(self(s), to, e) : NULL;

	if (!b)
		return -1;
	if (o && (o->if_absent || o->if_match))
		return copy_by_stream(self(s), a, b, o, e);
	return s3_copy(self(s)->client, a, b, o ? o->etag_out : NULL, e);
}

/* ---- the store ---- */

static void s3_store_close(struct store *s)
{
	s3_client_free(self(s)->client);
	free(self(s)->prefix);
	free(s->url);
	free(s);
	loop_leave();
}

static const struct store_ops S3_OPS = {
	.get = s3_store_get,
	.head = s3_store_head,
	.put = s3_store_put,
	.list = s3_store_list,
	.list_wide = s3_store_list_wide,
	.del = s3_store_del,
	.copy = s3_store_copy,
	.fetch_begin = store_s3_fetch_begin,
	.fetch_next = store_s3_fetch_next,
	.fetch_end = store_s3_fetch_end,
	.write_begin = s3_store_write_begin,
	.write = s3_store_write,
	.write_commit = s3_store_write_commit,
	.write_abort = s3_store_write_abort,
	.close = s3_store_close,
};

static int find_creds(const struct replica_config *rc, struct s3_creds *out, struct err *e)
{
	if (rc->access_key_id || rc->secret_access_key.n)
		return s3_creds_set(out, rc->access_key_id, &rc->secret_access_key,
				    &rc->session_token, e);
	return s3_creds_find(out, (const char *const *)environ, e);
}

struct store *store_s3_new(const struct replica_config *rc, const struct store_options *o,
			   struct err *e)
{
	CLEANUP(s3_creds_free) struct s3_creds creds = { 0 };
	const struct s3_endpoint_options eo = { .bucket = rc->bucket,
						.region = rc->region,
						.endpoint = rc->endpoint,
						.path_style = rc->path_style,
						.path_style_set = rc->path_style_set };
	const char *path = rc->path ? rc->path : "";

	if (find_creds(rc, &creds, e) < 0) {
		err_wrap(e, "s3://%s%s%s", rc->bucket ? rc->bucket : "", *path ? "/" : "",
			 path);
		return NULL;
	}
	struct s3_client_options co = { .http = loop_take(),
					.endpoint = &eo,
					.creds = &creds,
					.stop = o ? o->stop : NULL,
					.timeout_ms = o ? o->timeout_ms : 0,
					.skip_verify = rc->skip_verify };
	struct s3_client *client = s3_client_new(&co, e);

	if (!client) {
		loop_leave();
		return NULL;
	}
	struct s3_store *s = mem_alloc(sizeof(*s));

	s->base.ops = &S3_OPS;
	s->base.url = mem_fmt("s3://%s%s%s", rc->bucket, *path ? "/" : "", path);
	s->client = client;
	s->prefix = mem_fmt("%s%s", path, *path ? "/" : "");
	return &s->base;
}
