/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/endpoint.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

/* What an endpoint URL says. */
struct parts {
	char *scheme, *authority, *path;
};

static void parts_free(struct parts *p)
{
	free(p->scheme);
	free(p->authority);
	free(p->path);
}

static bool label_chars(const char *s, size_t n, const char *extra)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (!(isalnum(c) && c < 128) && !strchr(extra, c))
			return false;
	}
	return true;
}

/* Spliced into a host name: letters, digits and inner hyphens only. */
static bool region_valid(const char *r)
{
	size_t n = strlen(r);

	return n >= 1 && n <= 63 && label_chars(r, n, "-_") && r[0] != '-' &&
	       r[n - 1] != '-';
}

static bool is_ipv4(const char *s)
{
	struct in_addr a;

	return inet_pton(AF_INET, s, &a) == 1;
}

/* May it be put in front of a host name? */
static bool virtual_hostable(const char *bucket, bool dots)
{
	size_t n = strlen(bucket);

	if (n < 3 || n > 63 || !label_chars(bucket, n, dots ? "-." : "-") ||
	    is_ipv4(bucket))
		return false;
	for (size_t i = 0; i < n; i++) {
		bool edge = i == 0 || i == n - 1 || bucket[i - 1] == '.' ||
			    bucket[i + 1] == '.';

		if (isupper((unsigned char)bucket[i]))
			return false;
		if (edge && bucket[i] != '.' && !isalnum((unsigned char)bucket[i]))
			return false;
		if (bucket[i] == '.' && (i == 0 || i == n - 1 || bucket[i + 1] == '.'))
			return false;
	}
	return true;
}

/* host[:port] or [ipv6][:port]: *port 0 if none. */
static int check_authority(const char *a, char **host, uint32_t *port)
{
	size_t n = a[0] == '[' ? strcspn(a, "]") + 1 : strcspn(a, ":");
	struct in6_addr v6;

	*port = 0;
	if (n > strlen(a))
		return -1;
	*host = mem_strn(a, n);
	if (a[n] &&
	    (a[n] != ':' || text_u32(a + n + 1, port) < 0 || !*port || *port > 65535))
		return -1;
	if (a[0] == '[') {
		AUTO_FREE char *inner = mem_strn(a + 1, n - 2);

		return inet_pton(AF_INET6, inner, &v6) == 1 ? 0 : -1;
	}
	if (n == 0 || n > 253 || !label_chars(a, n, "-._") || a[0] == '.' || a[0] == '-')
		return -1;
	return strstr(*host, "..") ? -1 : 0;
}

static int bad_endpoint(const char *url, const char *why, struct err *e)
{
	err_set(e, ERR_USAGE, "endpoint \"%.200s\": %s", url, why);
	return err_hint(e, "write it as https://host or http://host:port");
}

static int split_endpoint(const char *url, struct parts *p, struct err *e)
{
	const char *sep = strstr(url, "://");
	const char *rest = sep ? sep + 3 : url;

	p->scheme = sep ? mem_strn(url, (size_t)(sep - url)) : mem_str("https");
	if (strcmp(p->scheme, "http") != 0 && strcmp(p->scheme, "https") != 0)
		return bad_endpoint(url, "neither http nor https", e);
	if (strpbrk(rest, "?#"))
		return bad_endpoint(url, "a query does not belong there", e);
	if (strchr(rest, '@'))
		return err_set(e, ERR_USAGE,
			       "endpoint: a user name or password does not belong there");
	size_t n = strcspn(rest, "/");
	size_t end = strlen(rest);

	p->authority = mem_strn(rest, n);
	while (end > n && rest[end - 1] == '/')
		end--;
	p->path = mem_strn(rest + n, end - n);
	for (const char *c = p->path; *c; c++)
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 127)
			return bad_endpoint(
				url, "its path has characters that must be encoded", e);
	return 0;
}

/* An endpoint pasted with the bucket behind it, as some consoles show it. */
static void strip_bucket(struct parts *p, const char *bucket)
{
	size_t n = strlen(p->path), b = strlen(bucket);

	if (n == b + 1 && p->path[0] == '/' && strcmp(p->path + 1, bucket) == 0)
		p->path[0] = 0;
}

static void set_place(struct s3_endpoint *out, const struct parts *p, const char *bucket)
{
	if (out->bucket_in_host) {
		out->host = mem_fmt("%s.%s", bucket, p->authority);
		out->base = mem_str(p->path);
		return;
	}
	struct buf b = BUF(4096);

	buf_addf(&b, "%s/", p->path);
	text_uri_encode(&b, bucket, strlen(bucket), false);
	out->host = mem_str(p->authority);
	out->base = mem_str((char *)b.p);
	buf_free(&b);
}

static int custom(struct s3_endpoint *out, const struct s3_endpoint_options *o,
		  struct err *e)
{
	CLEANUP(parts_free) struct parts p = { 0 };
	AUTO_FREE char *host = NULL;
	uint32_t port = 0;

	if (o->dualstack)
		return err_set(
			e, ERR_USAGE,
			"a dual-stack host is AWS's own; it cannot go with an endpoint");
	if (split_endpoint(o->endpoint, &p, e) < 0 || !p.scheme || !p.authority || !p.path)
		return -1;
	if (check_authority(p.authority, &host, &port) < 0)
		return bad_endpoint(o->endpoint, "no valid host", e);
	bool https = strcmp(p.scheme, "https") == 0;

	if (port == (https ? 443u : 80u)) {
		free(p.authority);
		p.authority = mem_str(host);
	}
	bool by_name = host[0] != '[' && !is_ipv4(host) && strchr(host, '.');

	strip_bucket(&p, o->bucket);
	out->bucket_in_host = o->path_style_set && !o->path_style && by_name &&
			      virtual_hostable(o->bucket, !https);
	out->scheme = mem_str(p.scheme);
	set_place(out, &p, o->bucket);
	return 0;
}

static int aws(struct s3_endpoint *out, const struct s3_endpoint_options *o, struct err *e)
{
	CLEANUP(parts_free) struct parts p = { .path = mem_str("") };
	const char *region = out->region;
	bool global = strcmp(region, "aws-global") == 0 ||
		      (o->global && strcmp(region, "us-east-1") == 0);

	if (text_ends(o->bucket, "--xa-s3") || text_ends(o->bucket, "--op-s3") ||
	    text_ends(o->bucket, "--x-s3"))
		return err_set(e, ERR_USAGE,
			       "bucket %.80s: buckets of S3 Express and Outposts are not "
			       "supported",
			       o->bucket);
	if (global) {
		free(out->region);
		out->region = mem_str("us-east-1");
		region = out->region;
	}
	const char *tld = text_starts(region, "cn-") ? ".cn" : "";

	out->aws = true;
	if (o->dualstack)
		p.authority = mem_fmt("s3.dualstack.%s.amazonaws.com%s", region, tld);
	else if (global)
		p.authority = mem_str("s3.amazonaws.com");
	else
		p.authority = mem_fmt("s3.%s.amazonaws.com%s", region, tld);
	out->bucket_in_host = !o->path_style && virtual_hostable(o->bucket, false);
	out->scheme = mem_str("https");
	set_place(out, &p, o->bucket);
	return 0;
}

int s3_endpoint_resolve(struct s3_endpoint *out, const struct s3_endpoint_options *o,
			struct err *e)
{
	const char *region = o->region && o->region[0] ? o->region : "us-east-1";

	*out = (struct s3_endpoint){ 0 };
	if (!o->bucket || !o->bucket[0])
		return err_set(e, ERR_USAGE, "no bucket was given");
	if (strlen(o->bucket) > 255 || strpbrk(o->bucket, "/\r\n") ||
	    strcmp(o->bucket, ".") == 0 || strcmp(o->bucket, "..") == 0)
		return err_set(e, ERR_USAGE, "bucket \"%.80s\" is no valid name",
			       o->bucket);
	if (!region_valid(region))
		return err_set(e, ERR_USAGE, "region \"%.80s\" is no valid name", region);
	out->region = mem_str(region);
	if (o->endpoint && o->endpoint[0]) {
		if (strcmp(region, "aws-global") == 0) {
			free(out->region);
			out->region = mem_str("us-east-1");
		}
		return custom(out, o, e);
	}
	return aws(out, o, e);
}

void s3_endpoint_free(struct s3_endpoint *ep)
{
	free(ep->scheme);
	free(ep->host);
	free(ep->base);
	free(ep->region);
	*ep = (struct s3_endpoint){ 0 };
}
