/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/object.h"

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "s3/multipart.h"

#include <inttypes.h>
#include <string.h>

#define COPY_THINKS_MS 120000 /* up to 5 GiB on the server's disks */

void s3_info_from(const struct s3_op *op, struct s3_info *info)
{
	char text[128];

	*info = (struct s3_info){ .mtime_ms = -1 };
	(void)http_header(&op->call, "ETag", info->etag, sizeof(info->etag));
	(void)http_header(&op->call, S3_UPLOAD_TAG, info->tag, sizeof(info->tag));
	if (http_header(&op->call, "Last-Modified", text, sizeof(text)))
		info->mtime_ms = http_date_ms(text);
	if (http_header(&op->call, "Content-Length", text, sizeof(text)) &&
	    text_u64(text, &info->size) < 0)
		info->size = 0;
}

/* ---- GET ---- */

/* "bytes FIRST-LAST/TOTAL" */
static int content_range(const struct s3_op *op, uint64_t *first, uint64_t *last,
			 uint64_t *total)
{
	char text[96], *dash, *slash;

	if (!http_header(&op->call, "Content-Range", text, sizeof(text)) ||
	    !text_starts(text, "bytes ") || !(dash = strchr(text + 6, '-')) ||
	    !(slash = strchr(dash, '/')))
		return -1;
	*dash = *slash = 0;
	if (text_u64(text + 6, first) < 0 || text_u64(dash + 1, last) < 0 ||
	    text_u64(slash + 1, total) < 0)
		return -1;
	return *first <= *last && *last < *total ? 0 : -1;
}

/* A server that does not know ranges sends everything. */
static void cut_to_range(struct buf *out, size_t start, uint64_t offset, uint64_t len)
{
	size_t have = out->len - start;
	size_t skip = offset < have ? (size_t)offset : have;
	size_t keep = have - skip;

	if (keep > len)
		keep = (size_t)len;
	if (keep)
		memmove(out->p + start, out->p + start + skip, keep);
	buf_cut(out, start + keep);
}

static int check_get(struct s3_op *op, struct err *e)
{
	const struct s3_get *g = (const struct s3_get *)op; /* its first member */
	uint64_t first, last, total;
	size_t got = op->out ? op->out->len - op->out_start : 0;

	if (!g->range[0] || !op->out)
		return 0;
	if (op->status == 200) {
		cut_to_range(op->out, op->out_start, g->offset, g->len);
		return 0;
	}
	if (op->status != 206 || content_range(op, &first, &last, &total) < 0)
		return err_set(e, ERR_CORRUPT, "the answer to a range makes no sense (%d)",
			       op->status);
	uint64_t left = total - first, want = left < g->len ? left : g->len;

	if (first != g->offset || last - first + 1 != got || got != want)
		return err_set(e, ERR_CORRUPT,
			       "bytes %" PRIu64 "-%" PRIu64 " came for a range of %" PRIu64
			       " at %" PRIu64,
			       first, last, g->len, g->offset);
	return 0;
}

void s3_get_init(struct s3_get *g, const char *key, uint64_t offset, uint64_t len,
		 uint64_t size_hint, struct buf *out)
{
	uint64_t last;

	*g = (struct s3_get){ .offset = offset, .len = len };
	g->op = (struct s3_op){ .what = "get",
				.method = "GET",
				.key = key,
				.out = out,
				.moves = size_hint,
				.check = check_get };
	g->nothing = len == 0 || offset > INT64_MAX;
	if (g->nothing) {
		g->op.method = "HEAD";
		g->op.out = NULL;
	} else if (len == UINT64_MAX && offset > 0) {
		snprintf(g->range, sizeof(g->range), "bytes=%" PRIu64 "-", offset);
	} else if (len != UINT64_MAX) {
		if (__builtin_add_overflow(offset, len - 1, &last) || last > INT64_MAX)
			last = INT64_MAX;
		snprintf(g->range, sizeof(g->range), "bytes=%" PRIu64 "-%" PRIu64, offset,
			 last);
	}
	if (g->range[0])
		s3_op_header(&g->op, "Range", g->range);
}

int s3_get_finish(struct s3_get *g, struct s3_info *info, struct err *e)
{
	struct s3_op *op = &g->op;
	uint64_t first, last, total;
	char text[96];

	if (op->rc < 0 && op->status != 416) {
		*e = op->err;
		return -1;
	}
	if (!info)
		return 0;
	s3_info_from(op, info);
	if (op->status == 206 && content_range(op, &first, &last, &total) == 0) {
		info->size = total;
	} else if (op->status == 416) {
		*info = (struct s3_info){ .mtime_ms = -1 };
		if (http_header(&op->call, "Content-Range", text, sizeof(text)) &&
		    text_starts(text, "bytes */") && text_u64(text + 8, &info->size) < 0)
			info->size = 0;
	}
	return 0;
}

void s3_get_free(struct s3_get *g)
{
	s3_op_free(&g->op);
}

int s3_get(struct s3_client *c, struct s3_get *g, struct s3_info *info, struct err *e)
{
	struct err ignored = ERR_INIT;

	if (s3_run(c, &g->op, &ignored) < 0 && g->op.status != 416) {
		*e = ignored;
		return -1;
	}
	return s3_get_finish(g, info, e);
}

int s3_head(struct s3_client *c, const char *key, struct s3_info *info, struct err *e)
{
	CLEANUP(s3_op_free)
	struct s3_op op = { .what = "head", .method = "HEAD", .key = key };

	if (s3_run(c, &op, e) < 0)
		return -1;
	s3_info_from(&op, info);
	return 0;
}

/* ---- PUT ---- */

static void add_conditions(struct s3_op *op, const struct s3_put *o)
{
	if (o && o->if_absent)
		s3_op_header(op, "If-None-Match", "*");
	if (o && o->if_match)
		s3_op_header(op, "If-Match", o->if_match);
}

/* A condition failed, but an earlier try of ours may be what is there. */
static int put_was_ours(struct s3_client *c, const char *key, const void *p, size_t n,
			struct s3_info *info)
{
	struct buf b = BUF(n);
	struct err ignored = ERR_INIT;
	struct s3_get g;

	s3_get_init(&g, key, 0, UINT64_MAX, n, &b);
	int ours = s3_get(c, &g, info, &ignored) == 0 && b.len == n &&
		   (n == 0 || memcmp(b.p, p, n) == 0);

	s3_get_free(&g);
	buf_free(&b);
	return ours;
}

int s3_put(struct s3_client *c, const char *key, const void *p, size_t n,
	   const struct s3_put *o, struct err *e)
{
	char md5[25];
	struct s3_info info;
	CLEANUP(s3_op_free)
	struct s3_op op = { .what = "put",
			    .method = "PUT",
			    .key = key,
			    .body = p,
			    .body_len = n,
			    .moves = n };

	hash_md5_base64(p, n, md5);
	s3_op_header(&op, "Content-MD5", md5);
	s3_op_header(&op, "Content-Type", "application/octet-stream");
	add_conditions(&op, o);
	struct err inner = ERR_INIT;

	if (s3_run(c, &op, &inner) == 0) {
		s3_info_from(&op, &info);
	} else {
		bool gone = op.status == 404 && o && o->if_match &&
			    strcmp(op.code, "NoSuchBucket") != 0;

		if (gone) /* nothing there that could match */
			inner.code = ERR_EXISTS;
		if (inner.code != ERR_EXISTS || !op.ambiguous ||
		    !put_was_ours(c, key, p, n, &info)) {
			*e = inner;
			return -1;
		}
	}
	if (o && o->etag_out)
		memcpy(o->etag_out, info.etag, S3_ETAG_MAX);
	return 0;
}

/* ---- DELETE ---- */

int s3_delete(struct s3_client *c, const char *key, struct err *e)
{
	CLEANUP(s3_op_free)
	struct s3_op op = { .what = "delete", .method = "DELETE", .key = key };
	struct err inner = ERR_INIT;

	if (s3_run(c, &op, &inner) == 0)
		return 0;
	if (inner.code == ERR_NOT_FOUND && strcmp(op.code, "NoSuchBucket") != 0)
		return 0;
	*e = inner;
	return -1;
}

static void count_error(void *arg, const struct s3_xml_error *error)
{
	(void)error;
	*(unsigned *)arg += 1;
}

/* One multi-delete.  0 all gone, 1 this server or some keys need single deletes, -1. */
static int delete_batch(struct s3_client *c, const char *const *keys, size_t n,
			struct err *e)
{
	struct buf body = BUF(S3_XML_MAX), answer = BUF(S3_XML_MAX);
	struct s3_op op = { .what = "delete", .method = "POST", .out = &answer };
	struct err inner = ERR_INIT;
	unsigned errors = 0;
	char md5[25];
	int rc = 1;

	buf_addf(&body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
			"<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
			"<Quiet>true</Quiet>");
	for (size_t i = 0; i < n; i++) {
		buf_addf(&body, "<Object><Key>");
		s3_xml_escape(&body, keys[i]);
		buf_addf(&body, "</Key></Object>");
	}
	buf_addf(&body, "</Delete>");
	hash_md5_base64(body.p, body.len, md5);
	op.body = body.p;
	op.body_len = body.len;
	op.moves = body.len;
	s3_op_query(&op, "delete", "");
	s3_op_header(&op, "Content-MD5", md5);
	s3_op_header(&op, "Content-Type", "application/xml");
	if (!buf_ok(&body)) {
		rc = 1;
	} else if (s3_run(c, &op, &inner) == 0) {
		if (s3_xml_delete(answer.p, answer.len, count_error, &errors, &inner) == 0)
			rc = errors ? 1 : 0;
	} else if (op.status != 400 && op.status != 405 && op.status != 501) {
		*e = inner;
		rc = -1;
	}
	s3_op_free(&op);
	buf_free(&body);
	buf_free(&answer);
	return rc;
}

int s3_delete_many(struct s3_client *c, const char *const *keys, size_t n, struct err *e)
{
	for (size_t at = 0; at < n;) {
		size_t batch = n - at < 1000 ? n - at : 1000;
		int rc = batch > 1 ? delete_batch(c, keys + at, batch, e) : 1;

		if (rc < 0)
			return -1;
		for (size_t i = 0; rc == 1 && i < batch; i++)
			if (s3_delete(c, keys[at + i], e) < 0)
				return -1;
		at += batch;
	}
	return 0;
}

/* ---- COPY ---- */

struct copy_result {
	struct s3_op op;
	char etag[S3_ETAG_MAX];
};

static int check_copy(struct s3_op *op, struct err *e)
{
	struct copy_result *r = (struct copy_result *)op;
	struct s3_xml_error error;

	return s3_xml_etag(op->out->p, op->out->len, "CopyObjectResult", r->etag, &error,
			   e);
}

int s3_copy(struct s3_client *c, const char *from, const char *to, char *etag_out,
	    struct err *e)
{
	struct buf source = BUF(16384), answer = BUF(65536);
	struct copy_result r = { .op = { .what = "copy to",
					 .method = "PUT",
					 .key = to,
					 .out = &answer,
					 .check = check_copy,
					 .thinks_ms = COPY_THINKS_MS } };

	buf_addf(&source, "/%s/", s3_client_bucket(c));
	text_uri_encode(&source, from, strlen(from), true);
	s3_op_header(&r.op, "x-amz-copy-source", (char *)source.p);
	int rc = s3_run(c, &r.op, e);

	if (rc == 0 && etag_out)
		memcpy(etag_out, r.etag, S3_ETAG_MAX);
	s3_op_free(&r.op);
	buf_free(&source);
	buf_free(&answer);
	return rc;
}
