/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One walk over the document with libxml2's reader turns it into events: an
 * element opened, an element closed with its text, each with its path below
 * the root ("Contents/Key").  The parsers below are tables of paths.
 */
#include "s3/xml.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/text.h"

#include <libxml/parser.h>
#include <libxml/xmlreader.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#define DEPTH_MAX 16
#define NODES_MAX 200000
#define TEXT_MAX ((size_t)16 << 10)
#define PATH_ROOM 256

struct walk {
	/* path: names below the root joined by '/', "" for the root itself.  Non-zero: stop. */
	int (*open)(struct walk *w, const char *path);
	int (*close)(struct walk *w, const char *path, const char *text);
	void *arg;
	char root[64];
	char path[PATH_ROOM];
	size_t ends[DEPTH_MAX]; /* path lengths of the ancestors */
	int depth;
	struct buf text;
};

static pthread_once_t xml_once = PTHREAD_ONCE_INIT;

static void quiet(void *arg, xmlErrorPtr error)
{
	(void)arg;
	(void)error;
}

static void copy_text(char *out, size_t room, const char *text)
{
	size_t n = strnlen(text, room - 1);

	memcpy(out, text, n);
	out[n] = 0;
}

static int enter(struct walk *w, const char *name)
{
	size_t n = strlen(w->path);

	if (w->depth == DEPTH_MAX)
		return -1;
	buf_reset(&w->text);
	if (w->depth == 0) {
		copy_text(w->root, sizeof(w->root), name);
	} else {
		if (n + strlen(name) + 2 > PATH_ROOM)
			return -1;
		snprintf(w->path + n, PATH_ROOM - n, "%s%s", n ? "/" : "", name);
	}
	w->ends[w->depth++] = n;
	return w->open ? w->open(w, w->path) : 0;
}

static int leave(struct walk *w)
{
	int rc;

	buf_add(&w->text, "", 0);
	if (!buf_ok(&w->text) || w->depth == 0)
		return -1;
	rc = w->close ? w->close(w, w->path, (char *)w->text.p) : 0;
	w->path[w->ends[--w->depth]] = 0;
	buf_reset(&w->text);
	return rc;
}

/* One node: 0 go on, 1 enough, -1 not acceptable. */
static int node(struct walk *w, xmlTextReaderPtr r)
{
	const xmlChar *s = xmlTextReaderConstValue(r);

	switch (xmlTextReaderNodeType(r)) {
	case XML_READER_TYPE_ELEMENT: {
		int empty = xmlTextReaderIsEmptyElement(r);
		int rc = enter(w, (const char *)xmlTextReaderConstLocalName(r));

		return rc == 0 && empty ? leave(w) : rc;
	}
	case XML_READER_TYPE_END_ELEMENT:
		return leave(w);
	case XML_READER_TYPE_TEXT:
	case XML_READER_TYPE_CDATA:
	case XML_READER_TYPE_SIGNIFICANT_WHITESPACE:
	case XML_READER_TYPE_WHITESPACE:
		if (s)
			buf_add(&w->text, s, strlen((const char *)s));
		return 0;
	case XML_READER_TYPE_DOCUMENT_TYPE:
	case XML_READER_TYPE_ENTITY_REFERENCE:
		return -1;
	default: /* comments, processing instructions, the declaration */
		return 0;
	}
}

/* 0 the whole document was read, 1 a callback had enough, -1 malformed. */
static int walk_document(struct walk *w, const void *p, size_t n)
{
	int rc = 0, more, nodes = 0;

	pthread_once(&xml_once, xmlInitParser);
	w->text = (struct buf)BUF(TEXT_MAX);
	while (n && strchr(" \t\r\n", *(const char *)p) && *(const char *)p) {
		p = (const char *)p + 1; /* kept-alive answers begin with blanks */
		n--;
	}
	if (n == 0 || n > S3_XML_MAX || memmem(p, n, "<!DOCTYPE", 9))
		return -1;
	xmlTextReaderPtr r = xmlReaderForMemory(p, (int)n, NULL, NULL,
						XML_PARSE_NONET | XML_PARSE_COMPACT);

	if (!r)
		return -1;
	xmlTextReaderSetStructuredErrorHandler(r, quiet, NULL);
	while (rc == 0 && (more = xmlTextReaderRead(r)) != 0) {
		if (more < 0 || ++nodes > NODES_MAX)
			rc = -1;
		else
			rc = node(w, r);
	}
	if (rc == 0 && !w->root[0])
		rc = -1;
	xmlFreeTextReader(r);
	buf_free(&w->text);
	return rc;
}

static int bad(struct err *e, const char *what, const struct walk *w)
{
	if (w->root[0] && strcmp(w->root, what) != 0)
		err_set(e, ERR_CORRUPT, "the store answered with <%s> instead of <%s>",
			w->root, what);
	else
		err_set(e, ERR_CORRUPT, "the store's <%s> is malformed or cut", what);
	return err_hint(e, "is the endpoint that of an S3 server?  a proxy or a sign-in "
			   "page may have answered in its place");
}

static int root_is(struct walk *w, const char *path, const char *name)
{
	return !*path && strcmp(w->root, name) != 0 ? -1 : 0;
}

/* ---- errors ---- */

static void error_field(struct s3_xml_error *x, const char *name, const char *text)
{
	if (strcmp(name, "Code") == 0)
		copy_text(x->code, sizeof(x->code), text);
	else if (strcmp(name, "Message") == 0)
		copy_text(x->message, sizeof(x->message), text);
	else if (strcmp(name, "Region") == 0)
		copy_text(x->region, sizeof(x->region), text);
	else if (strcmp(name, "RequestId") == 0)
		copy_text(x->request_id, sizeof(x->request_id), text);
	else if (strcmp(name, "Key") == 0)
		copy_text(x->key, sizeof(x->key), text);
}

static int error_open(struct walk *w, const char *path)
{
	(void)path;
	return strcmp(w->root, "Error") == 0 || strcmp(w->root, "ErrorResponse") == 0 ? 0
										      : -1;
}

static int error_close(struct walk *w, const char *path, const char *text)
{
	error_field(w->arg, text_starts(path, "Error/") ? path + 6 : path, text);
	return 0;
}

/* Printable ASCII only: it goes into messages. */
static void printable(char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			*s = '?';
}

static void error_clean(struct s3_xml_error *x)
{
	printable(x->code);
	printable(x->message);
	printable(x->region);
	printable(x->request_id);
}

void s3_xml_error(const void *p, size_t n, struct s3_xml_error *out)
{
	struct walk w = { .open = error_open, .close = error_close, .arg = out };

	*out = (struct s3_xml_error){ .code = "" };
	if (walk_document(&w, p, n) < 0)
		*out = (struct s3_xml_error){ .code = "" };
	error_clean(out);
}

/* ---- ListBucketResult ---- */

struct list_walk {
	struct s3_xml_list *out;
	int (*cb)(void *arg, const struct s3_xml_object *o);
	void *arg;
	struct s3_xml_object o;
	char *key;
	bool url_encoded, any;
};

static int list_open(struct walk *w, const char *path)
{
	struct list_walk *l = w->arg;

	if (root_is(w, path, "ListBucketResult") < 0)
		return -1;
	if (strcmp(path, "Contents") == 0 || strcmp(path, "CommonPrefixes") == 0) {
		free(STEAL(l->key));
		l->o = (struct s3_xml_object){ .mtime_ms = -1 };
	}
	return 0;
}

static int list_deliver(struct list_walk *l, bool is_prefix)
{
	struct buf b = BUF(TEXT_MAX);
	int rc = -1;

	l->o.is_prefix = is_prefix;
	l->o.key = l->key;
	if (!l->key)
		return -1;
	if (l->url_encoded) {
		buf_add(&b, "", 0);
		if (text_uri_decode(&b, l->key, strlen(l->key), true) < 0)
			goto out;
		l->o.key = (char *)b.p;
	}
	rc = l->cb(l->arg, &l->o) ? 1 : 0;
out:
	buf_free(&b);
	return rc;
}

static int list_close(struct walk *w, const char *path, const char *text)
{
	struct list_walk *l = w->arg;

	if (strcmp(path, "Contents/Key") == 0 ||
	    strcmp(path, "CommonPrefixes/Prefix") == 0) {
		free(l->key);
		l->key = mem_str(text);
	} else if (strcmp(path, "Contents/Size") == 0) {
		return text_u64(text, &l->o.size);
	} else if (strcmp(path, "Contents/ETag") == 0) {
		copy_text(l->o.etag, sizeof(l->o.etag), text);
	} else if (strcmp(path, "Contents/LastModified") == 0) {
		if (text_time_ms(text, 0, &l->o.mtime_ms) < 0)
			l->o.mtime_ms = -1;
	} else if (strcmp(path, "Contents") == 0) {
		return list_deliver(l, false);
	} else if (strcmp(path, "CommonPrefixes") == 0) {
		return list_deliver(l, true);
	} else if (strcmp(path, "IsTruncated") == 0) {
		return text_bool(text, &l->out->truncated);
	} else if (strcmp(path, "NextContinuationToken") == 0) {
		if (strlen(text) >= S3_TOKEN_MAX)
			return -1;
		copy_text(l->out->token, S3_TOKEN_MAX, text);
	}
	return 0;
}

/* The echo may stand behind the keys it speaks of. */
static int encoding_close(struct walk *w, const char *path, const char *text)
{
	if (strcmp(path, "EncodingType") == 0)
		*(bool *)w->arg = strcasecmp(text, "url") == 0;
	return 0;
}

int s3_xml_list(const void *p, size_t n, struct s3_xml_list *out,
		int (*cb)(void *arg, const struct s3_xml_object *o), void *arg,
		struct err *e)
{
	struct list_walk l = { .out = out, .cb = cb, .arg = arg };
	struct walk first = { .close = encoding_close, .arg = &l.url_encoded };
	struct walk w = { .open = list_open, .close = list_close, .arg = &l };
	int rc = 0;

	*out = (struct s3_xml_list){ .truncated = false };
	if (n && memmem(p, n, "EncodingType", 12))
		rc = walk_document(&first, p, n);
	if (rc == 0)
		rc = walk_document(&w, p, n);
	free(l.key);
	return rc < 0 ? bad(e, "ListBucketResult", &w) : rc;
}

/* ---- small ones ---- */

struct one_field {
	const char *root, *path;
	char *out;
	size_t room;
	bool seen;
};

static int one_open(struct walk *w, const char *path)
{
	return root_is(w, path, ((struct one_field *)w->arg)->root);
}

static int one_close(struct walk *w, const char *path, const char *text)
{
	struct one_field *f = w->arg;

	if (strcmp(path, f->path) != 0)
		return 0;
	if (strlen(text) >= f->room)
		return -1;
	copy_text(f->out, f->room, text);
	f->seen = true;
	return 0;
}

int s3_xml_upload_id(const void *p, size_t n, char out[S3_TOKEN_MAX], struct err *e)
{
	struct one_field f = { "InitiateMultipartUploadResult", "UploadId", out,
			       S3_TOKEN_MAX, false };
	struct walk w = { .open = one_open, .close = one_close, .arg = &f };

	out[0] = 0;
	if (walk_document(&w, p, n) < 0 || !f.seen || !out[0])
		return bad(e, f.root, &w);
	return 0;
}

int s3_xml_etag(const void *p, size_t n, const char *root, char etag[S3_ETAG_MAX],
		struct s3_xml_error *error, struct err *e)
{
	struct one_field f = { root, "ETag", etag, S3_ETAG_MAX, false };
	struct walk w = { .open = one_open, .close = one_close, .arg = &f };

	etag[0] = 0;
	*error = (struct s3_xml_error){ .code = "" };
	if (walk_document(&w, p, n) == 0 && f.seen && etag[0])
		return 0;
	s3_xml_error(p, n, error);
	if (error->code[0])
		return err_set(e, ERR_AGAIN, "200 %s", error->code);
	(void)bad(e, root, &w);
	e->code = ERR_AGAIN;
	return -1;
}

struct delete_walk {
	struct s3_xml_error error;
	void (*cb)(void *arg, const struct s3_xml_error *error);
	void *arg;
};

static int delete_open(struct walk *w, const char *path)
{
	struct delete_walk *d = w->arg;

	if (strcmp(path, "Error") == 0)
		d->error = (struct s3_xml_error){ .code = "" };
	return root_is(w, path, "DeleteResult");
}

static int delete_close(struct walk *w, const char *path, const char *text)
{
	struct delete_walk *d = w->arg;

	if (text_starts(path, "Error/")) {
		error_field(&d->error, path + 6, text);
	} else if (strcmp(path, "Error") == 0) {
		error_clean(&d->error);
		d->cb(d->arg, &d->error);
	}
	return 0;
}

int s3_xml_delete(const void *p, size_t n,
		  void (*cb)(void *arg, const struct s3_xml_error *error), void *arg,
		  struct err *e)
{
	struct delete_walk d = { .cb = cb, .arg = arg };
	struct walk w = { .open = delete_open, .close = delete_close, .arg = &d };

	return walk_document(&w, p, n) < 0 ? bad(e, "DeleteResult", &w) : 0;
}

void s3_xml_escape(struct buf *out, const char *s)
{
	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;

		if (strchr("&<>\"'", ch) || ch < ' ')
			buf_addf(out, "&#%u;", ch);
		else
			buf_add(out, s, 1);
	}
}
