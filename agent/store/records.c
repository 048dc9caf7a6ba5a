/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/store/records.h"

#include "agent/store/layout.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "wal/dbhdr.h"

#include <string.h>

static const char *const reasons[] = {
	[REASON_INIT] = "init",
	[REASON_ROLLBACK] = "rollback",
	[REASON_DIVERGED] = "diverged",
	[REASON_CONTINUED] = "continued",
};

const char *lineage_reason_name(enum lineage_reason r)
{
	return reasons[r];
}

static int bad(struct err *e, const char *what, const char *key)
{
	err_set(e, ERR_CORRUPT, "%s: `%s` is missing or not of the format", what, key);
	return err_slug(e, "bad_record");
}

/* A text for people: no control characters, cut at the field's size. */
static void take_text(const struct json *o, const char *key, char *out, size_t size)
{
	const char *s = json_str(o, key);
	size_t n = 0;

	for (; s && s[n] && n + 1 < size; n++)
		out[n] = text_is_control(s[n]) ? '?' : s[n];
	out[n] = '\0';
}

static int take_generation(const struct json *o, const char *key, char out[17],
			   const char *what, struct err *e)
{
	const char *s = json_str(o, key);

	if (!s || !layout_generation_ok(s))
		return bad(e, what, key);
	memcpy(out, s, 17);
	return 0;
}

static int take_time(const struct json *o, const char *key, int64_t *out, const char *what,
		     struct err *e)
{
	const char *s = json_str(o, key);

	/* The parser also knows "now" and "5m ago", which a record may not say. */
	if (!s || s[0] < '0' || s[0] > '9' || !strchr(s, 'T') ||
	    text_time_ms(s, 0, out) < 0)
		return bad(e, what, key);
	return 0;
}

static int take_session(const struct json *o, const char *key, uint64_t *out,
			const char *what, struct err *e)
{
	const char *s = json_str(o, key);

	if (!s || !layout_generation_ok(s) || text_hex64(s, 16, out) < 0)
		return bad(e, what, key);
	return 0;
}

static int take_reason(const struct json *o, enum lineage_reason *out, const char *what,
		       struct err *e)
{
	const char *s = json_str(o, "reason");

	for (size_t i = 0; s && i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strcmp(s, reasons[i]) == 0) {
			*out = (enum lineage_reason)i;
			return 0;
		}
	return bad(e, what, "reason");
}

static int take_format(const struct json *o, const char *what, struct err *e)
{
	uint64_t v = 0;

	if (json_u64(o, "format", &v) < 0)
		return bad(e, what, "format");
	if (v == 1)
		return 0;
	err_set(e, ERR_CORRUPT, "%s has format %llu; this version reads format 1", what,
		(unsigned long long)v);
	err_hint(e, "a newer walback wrote it: use that version");
	return err_slug(e, "newer_format");
}

static int take_parent(const struct json *o, struct lineage *l, const char *what,
		       struct err *e)
{
	const struct json *p = json_obj(o, "parent");
	uint64_t index = 0;

	if (!p) {
		if (!json_is_null(o, "parent"))
			return bad(e, what, "parent");
		return 0;
	}
	if (json_u64(p, "index", &index) < 0 || index > LAYOUT_INDEX_MAX)
		return bad(e, what, "parent.index");
	if (json_u64(p, "offset", &l->parent.pos.offset) < 0)
		return bad(e, what, "parent.offset");
	l->parent.pos.index = (uint32_t)index;
	l->has_parent = true;
	if (take_generation(p, "generation", l->parent.generation, what, e) < 0)
		return -1;
	return take_time(p, "time", &l->parent.time_ms, what, e);
}

static int take_compression(const struct json *o, struct lineage *l, const char *what,
			    struct err *e)
{
	const char *s = json_str(o, "compression");
	uint64_t v = 0;

	if (s && strcmp(s, codec_suffix(CODEC_ZST)) == 0)
		l->compression = CODEC_ZST;
	else if (s && strcmp(s, codec_suffix(CODEC_LZ4)) == 0)
		l->compression = CODEC_LZ4;
	else
		return bad(e, what, "compression");
	if (json_u64(o, "page_size", &v) < 0 || v > 65536 || !db_page_size_ok((uint32_t)v))
		return bad(e, what, "page_size");
	l->page_size = (uint32_t)v;
	return 0;
}

int records_lineage_parse(struct lineage *out, const void *p, size_t n, const char *what,
			  struct err *e)
{
	struct json *o CLEANUP(json_freep) = NULL;
	struct lineage l = { .reason = REASON_INIT };
	const struct json *w;

	if (n > RECORDS_SIZE_MAX)
		return err_set(e, ERR_CORRUPT, "%s is larger than %d bytes", what,
			       RECORDS_SIZE_MAX);
	o = json_parse(p, n, what, e);
	if (!o || take_format(o, what, e) < 0 ||
	    take_generation(o, "generation", l.generation, what, e) < 0 ||
	    take_time(o, "created_at", &l.created_at_ms, what, e) < 0 ||
	    take_reason(o, &l.reason, what, e) < 0 || take_parent(o, &l, what, e) < 0 ||
	    take_compression(o, &l, what, e) < 0)
		return -1;
	w = json_obj(o, "writer");
	if (!w)
		return bad(e, what, "writer");
	if (take_session(w, "session", &l.session, what, e) < 0)
		return -1;
	take_text(w, "host", l.host, sizeof(l.host));
	take_text(w, "version", l.version, sizeof(l.version));
	take_text(o, "db", l.db, sizeof(l.db));
	*out = l;
	return 0;
}

static int take_writer(const struct json *o, struct head *h, const char *what,
		       struct err *e)
{
	const struct json *w = json_obj(o, "writer");

	if (!w)
		return bad(e, what, "writer");
	if (take_session(w, "session", &h->session, what, e) < 0 ||
	    take_time(w, "since", &h->since_ms, what, e) < 0)
		return -1;
	take_text(w, "host", h->host, sizeof(h->host));
	if (json_is_null(w, "released_at"))
		return 0;
	h->released = true;
	return take_time(w, "released_at", &h->released_at_ms, what, e);
}

static int take_intent(const struct json *o, struct head *h, const char *what,
		       struct err *e)
{
	const struct json *i = json_obj(o, "intent");

	if (!i) {
		if (!json_is_null(o, "intent"))
			return bad(e, what, "intent");
		return 0;
	}
	h->has_intent = true;
	take_text(i, "action", h->intent_action, sizeof(h->intent_action));
	take_text(i, "by", h->intent_by, sizeof(h->intent_by));
	if (!h->intent_action[0])
		return bad(e, what, "intent.action");
	if (!h->intent_by[0])
		return bad(e, what, "intent.by");
	return take_time(i, "at", &h->intent_at_ms, what, e);
}

int records_head_parse(struct head *out, const void *p, size_t n, const char *what,
		       struct err *e)
{
	struct json *o CLEANUP(json_freep) = NULL;
	struct head h = { .reason = REASON_INIT };

	if (n > RECORDS_SIZE_MAX)
		return err_set(e, ERR_CORRUPT, "%s is larger than %d bytes", what,
			       RECORDS_SIZE_MAX);
	o = json_parse(p, n, what, e);
	if (!o || take_format(o, what, e) < 0 ||
	    take_generation(o, "generation", h.generation, what, e) < 0 ||
	    take_reason(o, &h.reason, what, e) < 0 ||
	    take_time(o, "updated_at", &h.updated_at_ms, what, e) < 0 ||
	    take_writer(o, &h, what, e) < 0 || take_intent(o, &h, what, e) < 0)
		return -1;
	if (json_u64(o, "epoch", &h.epoch) < 0)
		return bad(e, what, "epoch");
	*out = h;
	return 0;
}

void records_lineage_format(const struct lineage *l, struct buf *out)
{
	struct json_out j = { .b = out };

	json_open(&j, NULL, '{');
	json_put_u64(&j, "format", 1);
	json_put_str(&j, "generation", l->generation);
	json_put_time(&j, "created_at", l->created_at_ms);
	json_put_str(&j, "reason", reasons[l->reason]);
	if (l->has_parent) {
		json_open(&j, "parent", '{');
		json_put_str(&j, "generation", l->parent.generation);
		json_put_u64(&j, "index", l->parent.pos.index);
		json_put_u64(&j, "offset", l->parent.pos.offset);
		json_put_time(&j, "time", l->parent.time_ms);
		json_close(&j, '}');
	} else {
		json_put_null(&j, "parent");
	}
	json_open(&j, "writer", '{');
	json_put_hex(&j, "session", l->session, 16);
	json_put_str(&j, "host", l->host);
	json_put_str(&j, "version", l->version);
	json_close(&j, '}');
	json_put_str(&j, "compression", codec_suffix(l->compression));
	json_put_u64(&j, "page_size", l->page_size);
	json_put_str(&j, "db", l->db);
	json_close(&j, '}');
	buf_add(out, "\n", 1);
}

void records_head_format(const struct head *h, struct buf *out)
{
	struct json_out j = { .b = out };

	json_open(&j, NULL, '{');
	json_put_u64(&j, "format", 1);
	json_put_str(&j, "generation", h->generation);
	json_put_u64(&j, "epoch", h->epoch);
	json_put_str(&j, "reason", reasons[h->reason]);
	json_put_time(&j, "updated_at", h->updated_at_ms);
	json_open(&j, "writer", '{');
	json_put_hex(&j, "session", h->session, 16);
	json_put_str(&j, "host", h->host);
	json_put_time(&j, "since", h->since_ms);
	if (h->released)
		json_put_time(&j, "released_at", h->released_at_ms);
	else
		json_put_null(&j, "released_at");
	json_close(&j, '}');
	if (h->has_intent) {
		json_open(&j, "intent", '{');
		json_put_str(&j, "action", h->intent_action);
		json_put_str(&j, "by", h->intent_by);
		json_put_time(&j, "at", h->intent_at_ms);
		json_close(&j, '}');
	} else {
		json_put_null(&j, "intent");
	}
	json_close(&j, '}');
	buf_add(out, "\n", 1);
}
