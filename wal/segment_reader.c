/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading.  Decoded bytes are cut into the WAL header (at offset 0) and
 * frames; a frame that comes in one piece is verified where it lies.  The
 * reader works on its own copy of the chain and hands it back at the end.
 * Which frames are commits is noted, to be compared with the trailer, which
 * comes last.
 */
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "wal/dbhdr.h"
#include "wal/segment.h"
#include "wal/tail.h"

#include <stdlib.h>
#include <string.h>

struct segment_reader {
	struct wal_chain *chain, c; /* the caller's; ours */
	struct segment_source src;
	struct segment_sink sink;
	struct decoder *dec;
	struct hash_stream *hash;
	struct buf trailer;
	uint64_t pushed, raw;
	bool begun,
		adopted; /* adopted: the chain begins inside an index, without a header */
	bool open_before; /* the index before ended inside a transaction, and no claim was seen */
	struct tail tail;
	uint8_t *part; /* an incomplete header or frame */
	size_t have;
	uint64_t *commits; /* frames of each commit, as in struct trailer_commit */
	size_t ncommits, room;
	uint64_t since; /* frames in this object since its last commit */
	uint32_t last_commit;
};

void wal_chain_init(struct wal_chain *c, struct wal_pos pos, uint32_t page_size)
{
	*c = (struct wal_chain){ .pos = pos, .page_size = page_size, .time_ms = INT64_MIN };
}

static int on_data(void *arg, const uint8_t *p, size_t n, struct err *e);

struct segment_reader *segment_reader_new(struct wal_chain *chain,
					  const struct segment_source *src,
					  const struct segment_sink *sink)
{
	struct segment_reader *r = mem_alloc(sizeof *r);
	struct decoder_sink ds = { .arg = r,
				   .data = on_data,
				   .trailer = &r->trailer,
				   .lenient = src->allow_plain };

	r->chain = chain;
	r->c = *chain;
	r->src = *src;
	r->sink = *sink;
	r->trailer.max = TRAILER_MAX;
	r->hash = hash_stream_new();
	r->dec = decoder_new(src->codec, &ds);
	return r;
}

void segment_reader_destroy(struct segment_reader *r)
{
	if (!r)
		return;
	decoder_destroy(r->dec);
	hash_stream_destroy(r->hash);
	buf_free(&r->trailer);
	free(r->part);
	free(r->commits);
	free(r);
}

/* ---- where the object lies ---- */

static int next_index(struct segment_reader *r)
{
	struct wal_chain *c = &r->c;
	struct wal_pos p = r->src.pos;

	if (!c->pos.offset || p.offset || p.index != (uint64_t)c->pos.index + 1)
		return -1;
	r->open_before = c->open_frames && !c->claimed;
	c->pos = p;
	c->have_header = c->claimed = false;
	c->open_frames = 0;
	return 0;
}

static int begin(struct segment_reader *r, struct err *e)
{
	struct wal_chain *c = &r->c;
	uint64_t frame = WAL_FRAME_HEADER_SIZE + (uint64_t)c->page_size;

	r->begun = true;
	if ((wal_pos_cmp(r->src.pos, c->pos) != 0 || c->claimed) && next_index(r))
		return err_set(e, ERR_CORRUPT, "out of order: %08x_%08llx goes on%s",
			       c->pos.index, (unsigned long long)c->pos.offset,
			       c->claimed ? " in the next index only"
					  : " there or at offset 0 of the next index");
	if (!c->pos.offset || c->have_header)
		return 0;
	if (!db_page_size_ok(c->page_size))
		return err_set(e, ERR_BUG, "a chain inside an index needs a page size");
	if (c->pos.offset < WAL_HEADER_SIZE || (c->pos.offset - WAL_HEADER_SIZE) % frame)
		return err_set(e, ERR_CORRUPT, "offset %llu is not between frames",
			       (unsigned long long)c->pos.offset);
	return 0;
}

/* ---- header and frames ---- */

static uint64_t here(const struct segment_reader *r)
{
	return r->src.pos.offset + r->raw;
}

static int take_header(struct segment_reader *r, const uint8_t *p, struct err *e)
{
	struct wal_chain *c = &r->c;

	if (wal_header_parse(&c->header, p, WAL_HEADER_SIZE, e))
		return -1;
	if (c->page_size && c->page_size != c->header.page_size)
		return err_set(e, ERR_CORRUPT,
			       "page size %u in the WAL header, %u before it",
			       c->header.page_size, c->page_size);
	c->page_size = c->header.page_size;
	c->sum = c->header.sum;
	c->have_header = true;
	return 0;
}

/* The first frame of a chain that begins inside an index. */
static void adopt(struct segment_reader *r, const struct wal_frame *f)
{
	r->c.header = (struct wal_header){ .page_size = r->c.page_size,
					   .ckpt_seq = r->c.pos.index,
					   .salt = { f->salt[0], f->salt[1] } };
	r->c.sum = f->sum;
	r->c.have_header = r->adopted = true;
}

static void note_commit(struct segment_reader *r, uint32_t commit)
{
	if (r->ncommits == r->room) {
		r->room = r->room ? 2 * r->room : 16;
		r->commits = mem_grow(r->commits, r->room, sizeof *r->commits);
	}
	r->commits[r->ncommits++] = r->since;
	r->since = 0;
	r->last_commit = commit;
	r->c.open_frames = 0;
}

static int unclaimed(struct err *e)
{
	return err_set(e, ERR_CORRUPT,
		       "the index before ends inside a transaction, without a claim");
}

static int take_frame(struct segment_reader *r, const uint8_t *p, struct err *e)
{
	struct wal_chain *c = &r->c;
	const uint8_t *page = p + WAL_FRAME_HEADER_SIZE;
	struct wal_frame f;

	wal_frame_parse(&f, p);
	if (r->open_before)
		return err_set(
			e, ERR_CORRUPT,
			"the index before ends inside a transaction, without a claim");
	if (!f.pgno)
		return err_set(e, ERR_CORRUPT,
			       "the frame at offset %llu has no page number",
			       (unsigned long long)here(r));
	if (!c->have_header)
		adopt(r, &f);
	else if (!wal_frame_verify(&c->header, &c->sum, p, page))
		return err_set(e, ERR_CORRUPT,
			       "the frame at offset %llu has a wrong salt or checksum",
			       (unsigned long long)here(r));
	r->since++;
	c->open_frames++;
	if (f.commit)
		note_commit(r, f.commit);
	struct wal_pos end = { r->src.pos.index,
			       here(r) + WAL_FRAME_HEADER_SIZE + c->page_size };
	struct wal_pos stop = r->src.stop_after;

	if ((stop.index || stop.offset) && wal_pos_cmp(end, stop) > 0)
		return 0;
	return r->sink.frame(r->sink.arg, f.pgno, f.commit, page, e);
}

static bool at_header(const struct segment_reader *r)
{
	return !r->src.pos.offset && !r->raw;
}

static size_t piece_size(const struct segment_reader *r)
{
	return at_header(r) ? WAL_HEADER_SIZE
			    : WAL_FRAME_HEADER_SIZE + (size_t)r->c.page_size;
}

static int take_piece(struct segment_reader *r, const uint8_t *p, size_t n, struct err *e)
{
	if (at_header(r) ? take_header(r, p, e) : take_frame(r, p, e))
		return -1;
	r->raw += n;
	return 0;
}

/* Puts up to n bytes to the incomplete piece; how many. */
static size_t fill_part(struct segment_reader *r, const uint8_t *p, size_t n, size_t need)
{
	size_t k = n < need - r->have ? n : need - r->have;

	if (!r->part)
		r->part = mem_grow(NULL, WAL_FRAME_HEADER_SIZE + 65536, 1);
	memcpy(r->part + r->have, p, k);
	r->have += k;
	return k;
}

static int on_data(void *arg, const uint8_t *p, size_t n, struct err *e)
{
	struct segment_reader *r = arg;

	hash_stream_add(r->hash, p, n);
	while (n) {
		size_t need = piece_size(r), k = need;

		if (r->have || n < need) {
			k = fill_part(r, p, n, need);
			if (r->have == need) {
				r->have = 0;
				if (take_piece(r, r->part, need, e))
					return -1;
			}
		} else if (take_piece(r, p, need, e)) {
			return -1;
		}
		p += k;
		n -= k;
	}
	return 0;
}

int segment_reader_push(struct segment_reader *r, const uint8_t *p, size_t n, struct err *e)
{
	if (!r->begun && begin(r, e))
		return -1;
	r->pushed += n;
	tail_add(&r->tail, p, n);
	return decoder_push(r->dec, p, n, e);
}

/* ---- the end ---- */

static int check_commits(const struct segment_reader *r, const struct trailer *t,
			 struct err *e)
{
	if (t->ncommits != r->ncommits)
		return err_set(e, ERR_CORRUPT, "%zu commits, the trailer counts %u",
			       r->ncommits, t->ncommits);
	for (size_t i = 0; i < r->ncommits; i++)
		if (t->commits[i].frames != r->commits[i])
			return err_set(e, ERR_CORRUPT,
				       "commit %zu has %llu frames, the trailer says %llu",
				       i + 1, (unsigned long long)r->commits[i],
				       (unsigned long long)t->commits[i].frames);
	if (r->ncommits && t->db_pages_after != r->last_commit)
		return err_set(e, ERR_CORRUPT,
			       "%u pages after the last commit, the trailer says %u",
			       r->last_commit, t->db_pages_after);
	return 0;
}

/* What the format says of the WAL header of a stored index. */
static int check_own_header(const struct segment_reader *r, struct err *e)
{
	const struct wal_header *h = &r->c.header;

	if (r->src.pos.offset)
		return 0;
	if (h->big_endian || h->ckpt_seq != r->src.pos.index)
		return err_set(e, ERR_CORRUPT,
			       "the WAL header is of another kind or of index %u",
			       h->ckpt_seq);
	return 0;
}

static int check_trailer(struct segment_reader *r, const struct trailer *t, struct err *e)
{
	if (t->kind != TRAILER_SEGMENT)
		return err_set(e, ERR_CORRUPT, "a snapshot in a segment's place");
	if (wal_pos_cmp(t->pos, r->src.pos) != 0)
		return err_set(e, ERR_CORRUPT, "this is the segment of %08x_%08llx",
			       t->pos.index, (unsigned long long)t->pos.offset);
	if (r->c.page_size && t->page_size != r->c.page_size)
		return err_set(e, ERR_CORRUPT, "page size %u, the trailer says %u",
			       r->c.page_size, t->page_size);
	if (t->raw_len != r->raw || t->raw_xxh3 != hash_stream_value(r->hash))
		return err_set(e, ERR_CORRUPT,
			       "%llu bytes that are not the %llu of the trailer",
			       (unsigned long long)r->raw, (unsigned long long)t->raw_len);
	if (t->ncommits && t->first_time_ms < r->c.time_ms)
		return err_set(e, ERR_CORRUPT, "it is older than the segment before it");
	return check_own_header(r, e) || check_commits(r, t, e) ? -1 : 0;
}

static int check_plain(const struct segment_reader *r, struct err *e)
{
	if (!r->src.allow_plain || r->src.codec != CODEC_LZ4 || tail_has_trailer(&r->tail))
		return err_set(e, ERR_CORRUPT, "no trailer, or a damaged one");
	if (!r->raw)
		return err_set(e, ERR_CORRUPT, "it holds no frames");
	if (r->open_before)
		return unclaimed(e);
	if (r->adopted)
		return err_set(e, ERR_CORRUPT,
			       "a chain cannot begin inside an index without trailers");
	return 0;
}

/* Whole pieces, and the header where one belongs. */
static int check_shape(struct segment_reader *r, struct err *e)
{
	if (r->pushed != r->src.size)
		return err_set(e, ERR_CORRUPT, "%llu bytes, %llu were listed",
			       (unsigned long long)r->pushed,
			       (unsigned long long)r->src.size);
	if (decoder_finish(r->dec, e))
		return -1;
	if (r->have || at_header(r))
		return err_set(e, ERR_CORRUPT, "it ends inside a frame or header");
	return 0;
}

static void move_on(struct segment_reader *r, const struct trailer *t)
{
	struct wal_chain *c = &r->c;

	c->pos.offset = here(r);
	c->any = true;
	if (t) {
		c->page_size = t->page_size;
		c->claimed = !r->raw;
		if (t->ncommits)
			c->time_ms = t->time_ms;
	}
	*r->chain = *c;
}

int segment_reader_finish(struct segment_reader *r, struct trailer *t, bool *has,
			  struct err *e)
{
	struct trailer own = { .kind = TRAILER_SEGMENT };
	bool found = false;

	if ((!r->begun && begin(r, e)) || check_shape(r, e))
		return -1;
	if (r->trailer.len) {
		if (trailer_parse(&own, r->trailer.p, r->trailer.len, e))
			return -1;
		found = true;
	}
	if (found ? check_trailer(r, &own, e) : check_plain(r, e)) {
		trailer_free(&own);
		return -1;
	}
	move_on(r, found ? &own : NULL);
	if (has)
		*has = found;
	if (t)
		*t = own;
	else
		trailer_free(&own);
	return 0;
}
