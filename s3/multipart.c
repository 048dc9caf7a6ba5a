/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/multipart.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#define PART_MIN ((size_t)5 << 20)
#define PARTS_MAX 10000u
#define PARTS_PER_SIZE 2000u
#define IN_FLIGHT 2u
#define ABORT_MS 5000
#define THINKS_MS_PER_MIB 20
#define THINKS_MS_MAX 300000

/* A buffer and the request that sends it. */
struct part {
	struct s3_upload *u;
	struct buf data;
	struct s3_op op;
	unsigned number;
	char number_text[16];
	enum { PART_FREE, PART_FILLING, PART_SENT, PART_DONE } state;
};

struct s3_upload {
	struct s3_client *client;
	char *key, *if_match;
	bool if_absent;
	char *etag_out;
	size_t part_bytes;
	char upload_id[S3_TOKEN_MAX]; /* "" until the second part */
	char tag[17];
	char **etags; /* by part number - 1 */
	unsigned parts;
	uint64_t bytes;

	pthread_mutex_t lock; /* of the parts' states */
	pthread_cond_t changed;
	struct part *part;
	unsigned nparts;
	struct part *filling;
};

size_t s3_part_bytes(size_t first, unsigned n)
{
	return first << ((n - 1) / PARTS_PER_SIZE);
}

struct s3_upload *s3_upload_begin(struct s3_client *c, const char *key,
				  const struct s3_upload_options *o)
{
	struct s3_upload *u = mem_alloc(sizeof(*u));

	u->client = c;
	u->key = mem_str(key);
	u->if_absent = o->put.if_absent;
	u->if_match = mem_str(o->put.if_match);
	u->etag_out = o->put.etag_out;
	u->part_bytes = o->part_bytes > PART_MIN ? o->part_bytes : PART_MIN;
	u->nparts = o->in_flight ? o->in_flight : IN_FLIGHT;
	u->part = mem_array(u->nparts, sizeof(*u->part));
	random_hex16(u->tag);
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->changed, NULL);
	return u;
}

static void upload_free(struct s3_upload *u)
{
	for (unsigned i = 0; i < u->nparts; i++) {
		buf_free(&u->part[i].data);
		if (u->part[i].op.client)
			s3_op_free(&u->part[i].op);
	}
	for (unsigned i = 0; i < u->parts; i++)
		free(u->etags[i]);
	free(u->etags);
	free(u->part);
	free(u->key);
	free(u->if_match);
	pthread_cond_destroy(&u->changed);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

static struct s3_put conditions(const struct s3_upload *u)
{
	return (struct s3_put){ u->if_absent, u->if_match, u->etag_out };
}

/* ---- parts ---- */

static void on_part_done(struct s3_op *op)
{
	struct part *p = op->arg;

	pthread_mutex_lock(&p->u->lock);
	p->state = PART_DONE;
	pthread_cond_signal(&p->u->changed);
	pthread_mutex_unlock(&p->u->lock);
}

/* Take over what a finished part's answer says, and free the slot. */
static int collect(struct s3_upload *u, struct part *p, struct err *e)
{
	struct s3_info info;
	int rc = p->op.rc;

	if (rc < 0) {
		*e = p->op.err;
	} else {
		s3_info_from(&p->op, &info);
		if (info.etag[0])
			u->etags[p->number - 1] = mem_str(info.etag);
		else
			rc = err_set(e, ERR_CORRUPT,
				     "put %s: part %u came back without an ETag", u->key,
				     p->number);
	}
	s3_op_free(&p->op);
	p->op.client = NULL;
	p->state = PART_FREE;
	buf_reset(&p->data);
	return rc;
}

/* Wait until fewer than `most` parts are out; collect those that are done. */
static int wait_parts(struct s3_upload *u, unsigned most, struct err *e)
{
	for (;;) {
		struct part *done = NULL;
		unsigned out = 0;

		pthread_mutex_lock(&u->lock);
		for (unsigned i = 0; i < u->nparts; i++) {
			out += u->part[i].state == PART_SENT;
			if (u->part[i].state == PART_DONE)
				done = &u->part[i];
		}
		if (!done && out >= most)
			pthread_cond_wait(&u->changed, &u->lock);
		pthread_mutex_unlock(&u->lock);
		if (done && collect(u, done, e) < 0)
			return -1;
		if (!done && out < most)
			return 0;
	}
}

static int create(struct s3_upload *u, struct err *e)
{
	struct buf answer = BUF(65536);
	struct s3_op op = {
		.what = "put", .method = "POST", .key = u->key, .out = &answer
	};

	s3_op_query(&op, "uploads", "");
	s3_op_header(&op, "Content-Type", "application/octet-stream");
	s3_op_header(&op, S3_UPLOAD_TAG, u->tag);
	int rc = s3_run(u->client, &op, e);

	if (rc == 0) {
		rc = s3_xml_upload_id(answer.p, answer.len, u->upload_id, e);
		if (rc < 0)
			err_wrap(e, "put %s", u->key);
	}
	s3_op_free(&op);
	buf_free(&answer);
	return rc;
}

static int send_part(struct s3_upload *u, struct err *e)
{
	struct part *p = u->filling;

	if (!u->upload_id[0] && create(u, e) < 0)
		return -1;
	if (u->parts == PARTS_MAX)
		return err_set(e, ERR_IO, "put %s: larger than %u parts", u->key,
			       PARTS_MAX);
	u->etags = mem_grow(u->etags, u->parts + 1, sizeof(*u->etags));
	u->etags[u->parts++] = NULL;
	p->number = u->parts;
	p->u = u;
	snprintf(p->number_text, sizeof(p->number_text), "%u", p->number);
	p->op = (struct s3_op){ .what = "put",
				.method = "PUT",
				.key = u->key,
				.body = p->data.p,
				.body_len = p->data.len,
				.moves = p->data.len * u->nparts,
				.done = on_part_done,
				.arg = p };
	s3_op_query(&p->op, "partNumber", p->number_text);
	s3_op_query(&p->op, "uploadId", u->upload_id);
	p->state = PART_SENT;
	u->filling = NULL;
	s3_start(u->client, &p->op);
	return 0;
}

/* An empty buffer for the next bytes. */
static int next_buffer(struct s3_upload *u, struct err *e)
{
	size_t size = s3_part_bytes(u->part_bytes, u->parts + 1);
	/* Parts that have grown large go out one at a time. */
	unsigned most = size > 4 * u->part_bytes ? 1 : u->nparts;

	if (wait_parts(u, most, e) < 0)
		return -1;
	/* Others may become done meanwhile. */
	pthread_mutex_lock(&u->lock);
	for (unsigned i = 0; i < u->nparts && !u->filling; i++)
		if (u->part[i].state == PART_FREE)
			u->filling = &u->part[i];
	pthread_mutex_unlock(&u->lock);
	assert(u->filling); /* fewer parts are out than there are buffers */
	u->filling->state = PART_FILLING;
	if (u->filling->data.max != size) {
		buf_free(&u->filling->data);
		u->filling->data = (struct buf)BUF(size);
	}
	return 0;
}

int s3_upload_write(struct s3_upload *u, const void *p, size_t n, struct err *e)
{
	const uint8_t *at = p;

	u->bytes += n;
	while (n) {
		if (!u->filling && next_buffer(u, e) < 0)
			return -1;
		struct buf *b = &u->filling->data;
		size_t room = b->max - b->len, take = n < room ? n : room;

		if (take == 0) { /* full, and there is more: so it is no single PUT */
			if (send_part(u, e) < 0)
				return -1;
			continue;
		}
		buf_add(b, at, take);
		at += take;
		n -= take;
	}
	return 0;
}

/* ---- the end ---- */

/* Whatever is out is canceled and waited for; the upload is removed from the store. */
static void give_up(struct s3_upload *u)
{
	struct err ignored = ERR_INIT;

	pthread_mutex_lock(&u->lock);
	for (unsigned i = 0; i < u->nparts; i++) {
		while (u->part[i].state == PART_SENT) {
			pthread_mutex_unlock(&u->lock);
			s3_cancel(&u->part[i].op);
			pthread_mutex_lock(&u->lock);
			if (u->part[i].state == PART_SENT)
				pthread_cond_wait(&u->changed, &u->lock);
		}
	}
	pthread_mutex_unlock(&u->lock);
	if (u->upload_id[0]) {
		struct s3_op op = { .what = "abort the upload of",
				    .method = "DELETE",
				    .key = u->key,
				    .last_will = true,
				    .timeout_ms = ABORT_MS };

		s3_op_query(&op, "uploadId", u->upload_id);
		/* What stays behind after this the bucket's lifecycle rule removes. */
		if (s3_run(u->client, &op, &ignored) < 0)
			log_debug("multipart upload was not aborted", LOGE(&ignored));
		s3_op_free(&op);
	}
	upload_free(u);
}

void s3_upload_abort(struct s3_upload *u)
{
	give_up(u);
}

struct completion {
	struct s3_op op;
	char etag[S3_ETAG_MAX];
};

static int check_complete(struct s3_op *op, struct err *e)
{
	struct completion *c = (struct completion *)op;
	struct s3_xml_error error;

	return s3_xml_etag(op->out->p, op->out->len, "CompleteMultipartUploadResult",
			   c->etag, &error, e);
}

/* The answer is lost: is the object there, and is it this upload's? */
static bool complete_was_ours(struct s3_upload *u, char etag[S3_ETAG_MAX])
{
	struct err ignored = ERR_INIT;
	struct s3_info info;

	if (s3_head(u->client, u->key, &info, &ignored) < 0 || info.size != u->bytes ||
	    strcmp(info.tag, u->tag) != 0)
		return false;
	memcpy(etag, info.etag, S3_ETAG_MAX);
	return true;
}

static int complete_upload(struct s3_upload *u, struct err *e)
{
	struct buf body = BUF(S3_XML_MAX), answer = BUF(65536);
	const struct s3_put put = conditions(u);
	struct completion c = { .op = { .what = "put",
					.method = "POST",
					.key = u->key,
					.out = &answer,
					.check = check_complete } };

	buf_addf(&body, "<CompleteMultipartUpload xmlns=\""
			"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (unsigned i = 0; i < u->parts; i++) {
		buf_addf(&body, "<Part><PartNumber>%u</PartNumber><ETag>", i + 1);
		s3_xml_escape(&body, u->etags[i]);
		buf_addf(&body, "</ETag></Part>");
	}
	buf_addf(&body, "</CompleteMultipartUpload>");
	c.op.body = body.p;
	c.op.body_len = body.len;
	/* Some servers put the parts together only now, at the speed of their disk. */
	c.op.thinks_ms = (int64_t)(u->bytes >> 20) * THINKS_MS_PER_MIB;
	if (c.op.thinks_ms > THINKS_MS_MAX)
		c.op.thinks_ms = THINKS_MS_MAX;
	s3_op_query(&c.op, "uploadId", u->upload_id);
	s3_op_header(&c.op, "Content-Type", "application/xml");
	if (put.if_absent)
		s3_op_header(&c.op, "If-None-Match", "*");
	if (put.if_match)
		s3_op_header(&c.op, "If-Match", put.if_match);
	int rc = s3_run(u->client, &c.op, e);

	if (rc < 0 && c.op.ambiguous && complete_was_ours(u, c.etag)) {
		rc = 0;
		*e = (struct err)ERR_INIT;
	}
	if (rc < 0 && c.op.status == 404 && put.if_match &&
	    strcmp(c.op.code, "NoSuchKey") == 0)
		e->code = ERR_EXISTS;
	if (rc == 0 && u->etag_out)
		memcpy(u->etag_out, c.etag, S3_ETAG_MAX);
	s3_op_free(&c.op);
	buf_free(&body);
	buf_free(&answer);
	return rc;
}

static int commit(struct s3_upload *u, struct err *e)
{
	if (!u->upload_id[0]) {
		const struct s3_put put = conditions(u);
		const struct buf *b = u->filling ? &u->filling->data : NULL;

		return s3_put(u->client, u->key, b ? b->p : NULL, b ? b->len : 0, &put, e);
	}
	if (u->filling && send_part(u, e) < 0)
		return -1;
	if (wait_parts(u, 1, e) < 0)
		return -1;
	return complete_upload(u, e);
}

int s3_upload_commit(struct s3_upload *u, struct err *e)
{
	if (commit(u, e) < 0) {
		give_up(u);
		return -1;
	}
	upload_free(u);
	return 0;
}
