/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/restore/restore_reading.h"

#include "base/mem.h"

#include <stdlib.h>

size_t reading_pieces(uint64_t size)
{
	return size <= PIECE_BYTES ? 1 : (size_t)((size - 1) / PIECE_BYTES + 1);
}

const struct cat_object *reading_object(const struct reading *j, size_t i)
{
	const struct plan *p = j->job->plan;

	return i == 0 ? p->snapshot : &j->gen->segments[p->first + i - 1];
}

static void list_pieces(struct reading *j, size_t nobjects)
{
	size_t total = 0;

	for (size_t i = 0; i < nobjects; i++)
		total += reading_pieces(reading_object(j, i)->size);
	j->keys = mem_array(nobjects, sizeof(*j->keys));
	j->pieces = mem_array(total, sizeof(*j->pieces));
	for (size_t i = 0; i < nobjects; i++) {
		const struct cat_object *o = reading_object(j, i);
		size_t n = reading_pieces(o->size);
		char key[LAYOUT_KEY_MAX];

		catalog_key(j->gen, o, i == 0, key);
		j->keys[i] = mem_str(key);
		for (size_t k = 0; k < n; k++) {
			uint64_t from = (uint64_t)k * PIECE_BYTES;
			uint64_t len =
				o->size - from < PIECE_BYTES ? o->size - from : PIECE_BYTES;

			j->pieces[j->npieces++] = (struct store_piece){
				.key = j->keys[i],
				.offset = from,
				.len = n == 1 ? UINT64_MAX : len,
				.expect = len,
			};
		}
	}
}

int reading_next_piece(struct reading *j, struct wal_pos at, struct err *e)
{
	bool image = j->next_piece < j->snapshot_pieces;
	const struct store_piece *p = &j->pieces[j->next_piece++];
	struct err le = ERR_INIT;
	int r;

	if (stop_check(j->job->stop, e) < 0)
		return -1;
	r = j->job->store->ops->fetch_next(image ? j->image_fetch : j->fetch, &j->bytes,
					   &le);
	if (r == 1 && j->bytes.len == p->expect) {
		j->out->stored_bytes += j->bytes.len;
		progress_add(j->job->progress, j->bytes.len);
		return 0;
	}
	if (r == 1)
		err_set(&le, ERR_CORRUPT, "%s: %zu bytes came where the list promised %llu",
			p->key, j->bytes.len, (unsigned long long)p->expect);
	else if (r == 0)
		err_set(&le, ERR_BUG, "%s: the fetch ended early", p->key);
	*e = le;
	if (le.code == ERR_NOT_FOUND || le.code == ERR_CORRUPT)
		reading_damaged(j, CHAIN_CHANGED, at);
	return -1;
}

int reading_drain(struct reading *j, const struct cat_object *o, struct err *e)
{
	for (size_t i = 1; i < reading_pieces(o->size); i++)
		if (reading_next_piece(j, o->pos, e) < 0)
			return -1;
	return 0;
}

int reading_trailer(struct reading *j, const struct cat_object *o, const char *key,
		    struct trailer *t, struct err *e)
{
	uint64_t distance = 0;
	int r;

	if (reading_pieces(o->size) > 1) {
		r = catalog_trailer(j->job->store, key, o->size, t, e);
		if (r < 0)
			return -1;
	} else {
		r = j->bytes.len >= TRAILER_TAIL &&
		    trailer_find(j->bytes.p, j->bytes.len, &distance) &&
		    distance <= j->bytes.len;
		if (r && trailer_parse(t, j->bytes.p + j->bytes.len - distance,
				       (size_t)distance, e) < 0)
			return -1;
	}
	return r ? 0 : err_set(e, ERR_CORRUPT, "has no trailer");
}

void reading_open(struct reading *j, size_t nobjects)
{
	const struct store_ops *ops = j->job->store->ops;
	unsigned window = j->job->parallelism, few = window < 4 ? window : window / 4;

	list_pieces(j, nobjects);
	j->snapshot_pieces = reading_pieces(reading_object(j, 0)->size);
	j->image_fetch = ops->fetch_begin(j->job->store, j->pieces, j->snapshot_pieces, few,
					  WINDOW_BYTES);
	j->fetch = ops->fetch_begin(j->job->store, j->pieces + j->snapshot_pieces,
				    j->npieces - j->snapshot_pieces, window, WINDOW_BYTES);
}

void reading_close(struct reading *j, size_t nobjects)
{
	j->job->store->ops->fetch_end(j->image_fetch);
	j->job->store->ops->fetch_end(j->fetch);
	for (size_t i = 0; i < nobjects; i++)
		free(j->keys[i]);
	free(j->keys);
	free(j->pieces);
}
