/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/config_url.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/nearest.h"
#include "base/text.h"

#include <string.h>

enum { URL_MAX = 4096 };

bool config_is_url(const char *s)
{
	size_t n = 0;

	while ((s[n] >= 'a' && s[n] <= 'z') || (s[n] >= 'A' && s[n] <= 'Z') ||
	       (s[n] >= '0' && s[n] <= '9') || s[n] == '_')
		n++;
	return n && !strncmp(s + n, "://", 3);
}

const char *replica_type_name(enum replica_type t)
{
	return t == REPLICA_S3 ? "s3" : "file";
}

int replica_type_parse(const char *word, enum replica_type *out, struct err *e)
{
	static const struct {
		const char *word, *remedy;
	} others[] = {
		{ "gcs",
		  "type s3 with endpoint https://storage.googleapis.com and an HMAC key" },
		{ "gs",
		  "type s3 with endpoint https://storage.googleapis.com and an HMAC key" },
		{ "oss", "type s3 with endpoint https://s3.oss-REGION.aliyuncs.com" },
		{ "abs", "use an S3-compatible store, or type file on a mounted share" },
		{ "sftp", "use an S3-compatible store, or type file on a mounted folder" },
		{ "webdav",
		  "use an S3-compatible store, or type file on a mounted folder" },
		{ "webdavs",
		  "use an S3-compatible store, or type file on a mounted folder" },
		{ "nats", "use an S3-compatible store" },
	};

	if (!strcmp(word, "s3") || !strcmp(word, "file")) {
		*out = *word == 's' ? REPLICA_S3 : REPLICA_FILE;
		return 0;
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!strcmp(word, others[i].word)) {
			err_set(e, ERR_USAGE, "replicas of type %s are not supported",
				word);
			err_slug(e, "replica_type");
			return err_hint(e, "%s", others[i].remedy);
		}
	err_set(e, ERR_USAGE, "unknown replica type '%.40s'", word);
	err_slug(e, "replica_type");
	return err_hint(e, "one of file, s3");
}

/* Drop the last name of out ("/a/b" -> "/a"), never going above the root. */
static void drop_last(char *out, size_t *n)
{
	while (*n && out[*n - 1] != '/')
		--*n;
	if (*n)
		--*n;
}

char *path_clean(const char *path)
{
	bool rooted = *path == '/';
	char *out = mem_alloc(strlen(path) + 2);
	size_t n = 0;

	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && !memcmp(p, "..", 2)) {
			drop_last(out, &n);
		} else if (len && !(len == 1 && *p == '.')) {
			if (n || rooted)
				out[n++] = '/';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len;
		p += *p == '/';
	}
	if (!n && rooted)
		out[n++] = '/';
	out[n] = 0;
	return out;
}

/* Hosts that carry bucket and region: "[B.]" prefix "R" suffix. */
static const struct provider {
	const char *prefix; /* before the region, or the whole name */
	const char *suffix; /* after the region; NULL: no region in the name */
	const char *region; /* where there is none in the name */
	const char *scheme;
} providers[] = {
	{ "localhost", NULL, "us-east-1", "http" },
	{ "s3.", ".backblazeb2.com", NULL, "https" },
	{ "s3.filebase.com", NULL, "", "https" },
	{ "", ".digitaloceanspaces.com", NULL, "https" },
	{ "s3.", ".scw.cloud", NULL, "https" },
	{ "", ".linodeobjects.com", NULL, "https" },
};

static char *endpoint_of(const char *scheme, const char *host, const char *port)
{
	return *port ? mem_fmt("%s://%s:%s", scheme, host, port)
		     : mem_fmt("%s://%s", scheme, host);
}

/* Where the provider's own name begins in host, or NULL; *region is its region's place. */
static const char *match(const struct provider *p, const char *host, const char **region,
			 size_t *nregion)
{
	const char *own = host;
	size_t n = strlen(host);
	size_t nprefix = strlen(p->prefix);

	*nregion = 0;
	*region = host;
	if (!p->suffix) {
		if (!text_ends(host, p->prefix))
			return NULL;
		own = host + n - nprefix;
		return own == host || own[-1] == '.' ? own : NULL;
	}
	if (!text_ends(host, p->suffix))
		return NULL;
	/* The region is the label before the suffix. */
	*region = host + n - strlen(p->suffix);
	while (*region > host && (*region)[-1] != '.') {
		--*region;
		++*nregion;
	}
	own = *region;
	if (!*nregion || (size_t)(own - host) < nprefix ||
	    memcmp(own - nprefix, p->prefix, nprefix) != 0)
		return NULL;
	own -= nprefix;
	return own == host || own[-1] == '.' ? own : NULL;
}

static bool provider_host(struct replica_url *u, const char *host, const char *port)
{
	for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
		const struct provider *p = &providers[i];
		const char *region;
		size_t nregion;
		const char *own = match(p, host, &region, &nregion);

		if (!own)
			continue;
		if (own > host)
			u->bucket = mem_strn(host, (size_t)(own - host) - 1);
		u->region = p->suffix ? mem_strn(region, nregion) : mem_str(p->region);
		u->endpoint = endpoint_of(p->scheme, own, port);
		u->path_style = mem_str("true");
		return true;
	}
	return false;
}

static int s3_host(struct replica_url *u, const char *host, const char *port, struct err *e)
{
	const char *dot = strchr(host, '.');
	bool secure = !strcmp(port, "443") || !strcmp(port, "8443");

	if (provider_host(u, host, port))
		return 0;
	if (!*port) {
		u->bucket = *host ? mem_str(host) : NULL;
		return 0;
	}
	if (!dot || dot == host || !dot[1] || strspn(host, "0123456789.") == strlen(host)) {
		err_set(e, ERR_USAGE, "s3://%s:%s names no bucket", host, port);
		return err_hint(
			e,
			"s3://BUCKET.%s:%s/PATH, or s3://BUCKET/PATH?endpoint=http://%s:%s",
			host, port, host, port);
	}
	u->bucket = mem_strn(host, (size_t)(dot - host));
	u->endpoint = endpoint_of(secure ? "https" : "http", dot + 1, port);
	u->path_style = mem_str("true");
	return 0;
}

/* Without the query, which may hold what must not be shown. */
static int bad_url(const char *url, const char *why, struct err *e)
{
	size_t n = strcspn(url, "?");

	return err_set(e, ERR_USAGE, "%.*s: %s", (int)(n < 200 ? n : 200), url, why);
}

static void take(char **field, char *text)
{
	free(*field);
	*field = text;
}

static int query_field(struct replica_url *u, const char *name, char *value,
		       const char *url, struct err *e)
{
	static const char *const known[] = { "endpoint", "region", "force-path-style",
					     "skip-verify" };
	const char *near;
	bool flag = false;

	if (!strcmp(name, "endpoint") || !strcmp(name, "region")) {
		take(*name == 'e' ? &u->endpoint : &u->region,
		     *value ? mem_str(value) : NULL);
		return 0;
	}
	if (!strcmp(name, "force-path-style") || !strcmp(name, "forcePathStyle") ||
	    !strcmp(name, "skip-verify") || !strcmp(name, "skipVerify")) {
		if (*value && text_bool(value, &flag) < 0)
			return bad_url(url, "neither true nor false in the query", e);
		take(*name == 'f' ? &u->path_style : &u->skip_verify,
		     *value ? mem_str(flag ? "true" : "false") : NULL);
		return 0;
	}
	near = nearest_word(name, known, sizeof(known) / sizeof(known[0]));
	log_warn("unknown field in a replica's URL", LOGS("field", name),
		 LOGS("nearest", near));
	return 0;
}

static int decode(struct buf *out, const char *s, size_t n, bool query, const char *url,
		  struct err *e)
{
	if (text_uri_decode(out, s, n, query) < 0)
		return bad_url(url, "a broken % escape", e);
	buf_add(out, "", 1);
	return 0;
}

static int parse_query(struct replica_url *u, const char *q, const char *url, struct err *e)
{
	while (*q) {
		CLEANUP(buf_free) struct buf name = BUF(URL_MAX);
		CLEANUP(buf_free) struct buf value = BUF(URL_MAX);
		size_t n = strcspn(q, "&");
		size_t eq = 0;

		while (eq < n && q[eq] != '=')
			eq++;
		if (decode(&name, q, eq, true, url, e) < 0 ||
		    decode(&value, q + eq + (eq < n), n - eq - (eq < n), true, url, e) < 0)
			return -1;
		if (n && query_field(u, (char *)name.p, (char *)value.p, url, e) < 0)
			return -1;
		q += n;
		q += *q == '&';
	}
	return 0;
}

static int parse_s3(struct replica_url *u, const char *rest, const char *url, struct err *e)
{
	CLEANUP(buf_free) struct buf path = BUF(URL_MAX);
	size_t nhost = strcspn(rest, "/?#");
	size_t npath = strcspn(rest + nhost, "?#");
	AUTO_FREE char *host = mem_strn(rest, nhost);
	AUTO_FREE char *clean = NULL;
	char *port = strrchr(host, ':');
	uint32_t number;

	if (port) {
		*port++ = 0;
		if (*port && (text_u32(port, &number) < 0 || !number || number > 65535))
			return bad_url(url, "a port is a number up to 65535", e);
	}
	if (s3_host(u, host, port ? port : "", e) < 0 ||
	    decode(&path, rest + nhost, npath, false, url, e) < 0)
		return -1;
	clean = path_clean((char *)path.p);
	u->path = mem_str(clean + (*clean == '/'));
	rest += nhost + npath;
	if (*rest == '#')
		return bad_url(url, "a '#' in a URL is written %23", e);
	return *rest == '?' ? parse_query(u, rest + 1, url, e) : 0;
}

int replica_url_parse(struct replica_url *out, const char *url, struct err *e)
{
	const char *rest = strstr(url, "://");
	AUTO_FREE char *scheme = NULL;
	const char *at;

	*out = (struct replica_url){ 0 };
	if (!config_is_url(url) || !rest)
		return bad_url(url, "not a URL", e);
	scheme = mem_strn(url, (size_t)(rest - url));
	rest += 3;
	at = memchr(rest, '@', strcspn(rest, "/?#"));
	if (at && strcmp(scheme, "file") != 0) {
		err_set(e, ERR_USAGE,
			"credentials do not belong into the %s:// URL of a replica",
			scheme);
		return err_hint(e, "set LITESTREAM_ACCESS_KEY_ID and "
				   "LITESTREAM_SECRET_ACCESS_KEY");
	}
	if (strlen(url) >= URL_MAX)
		return bad_url(url, "too long a URL", e);
	if (replica_type_parse(scheme, &out->type, e) < 0)
		return -1;
	if (out->type == REPLICA_FILE) {
		/* Litestream's reading: what follows is a path, and always from the root. */
		AUTO_FREE char *rooted = mem_fmt("/%s", rest);

		out->path = path_clean(rooted);
		return 0;
	}
	if (parse_s3(out, rest, url, e) < 0) {
		replica_url_free(out);
		return -1;
	}
	return 0;
}

void replica_url_free(struct replica_url *u)
{
	free(u->path);
	free(u->bucket);
	free(u->region);
	free(u->endpoint);
	free(u->path_style);
	free(u->skip_verify);
	*u = (struct replica_url){ 0 };
}

char *endpoint_clean(const char *text, const char *bucket, bool *stripped, struct err *e)
{
	AUTO_FREE char *url =
		strstr(text, "://") ? mem_str(text) : mem_fmt("https://%s", text);
	char *host = strstr(url, "://") + 3;
	size_t n = strlen(url);
	size_t nbucket = strlen(bucket);

	*stripped = false;
	if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
		err_set(e, ERR_USAGE, "endpoint: neither http nor https: '%.100s'", text);
		return NULL;
	}
	if (memchr(host, '@', strcspn(host, "/"))) {
		err_set(e, ERR_USAGE, "endpoint: credentials do not belong into a URL");
		return NULL;
	}
	if (!*host || *host == '/' || *host == ':' || strpbrk(host, "?# ")) {
		err_set(e, ERR_USAGE, "endpoint: not a server's URL: '%.100s'", text);
		err_hint(e, "for instance https://s3.example.com");
		return NULL;
	}
	while (url[n - 1] == '/')
		url[--n] = 0;
	if (nbucket && text_ends(url, bucket) && url[n - nbucket - 1] == '/' &&
	    url + n - nbucket > host) {
		n -= nbucket;
		while (url[n - 1] == '/')
			n--;
		url[n] = 0;
		*stripped = true;
	}
	return STEAL(url);
}
