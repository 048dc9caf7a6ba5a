/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replicate/outbox.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>

struct outbox {
	pthread_mutex_t mu;
	struct outbox_item *first, **last;
	struct wal_pos end; /* of the last one put */
	size_t count, memory, memory_limit;
	uint64_t spooled, spool_limit;
	char *dir;
	bool disowned;
};

struct outbox *outbox_new(const char *spool_dir, size_t memory_limit, uint64_t spool_limit)
{
	struct outbox *o = mem_alloc(sizeof(*o));

	pthread_mutex_init(&o->mu, NULL);
	o->last = &o->first;
	o->dir = mem_str(spool_dir);
	o->memory_limit = memory_limit;
	o->spool_limit = spool_limit;
	return o;
}

static void item_destroy(struct outbox_item *it)
{
	buf_free(&it->bytes);
	free(it);
}

/* The same name as in the store, without its folders. */
static char *spool_path(const struct outbox *o, const struct outbox_item *it)
{
	return file_join(o->dir, file_basename(it->key));
}

static int spool(struct outbox *o, struct outbox_item *it, struct err *e)
{
	AUTO_FREE char *path = spool_path(o, it);

	if (file_mkdirs(o->dir, 0700, e) < 0 ||
	    file_write_atomic(path, it->bytes.p, it->bytes.len, 0600, false, e) < 0)
		return err_wrap(e, "spool");
	buf_free(&it->bytes);
	it->spooled = true;
	return 0;
}

int outbox_put(struct outbox *o, struct outbox_item *it, struct err *e)
{
	it->size = it->bytes.len;
	pthread_mutex_lock(&o->mu);
	bool in_memory = o->memory + it->size <= o->memory_limit && !o->spooled;
	bool full = !in_memory && o->spooled + it->size > o->spool_limit;

	pthread_mutex_unlock(&o->mu);
	if (full) {
		err_set(e, ERR_EXISTS, "the spool holds its limit of %ju bytes",
			(uintmax_t)o->spool_limit);
		err_slug(e, "spool_full");
	}
	if (full || (!in_memory && spool(o, it, e) < 0)) {
		item_destroy(it);
		return -1;
	}
	pthread_mutex_lock(&o->mu);
	*o->last = it;
	o->last = &it->next;
	o->end = it->end;
	o->count++;
	if (in_memory)
		o->memory += it->size;
	else
		o->spooled += it->size;
	pthread_mutex_unlock(&o->mu);
	return 0;
}

struct outbox_item *outbox_peek(struct outbox *o, struct err *e)
{
	pthread_mutex_lock(&o->mu);
	struct outbox_item *it = o->first;

	pthread_mutex_unlock(&o->mu);
	if (!it || !it->spooled || it->bytes.p)
		return it;
	AUTO_FREE char *path = spool_path(o, it);

	it->bytes = (struct buf)BUF(it->size);
	if (file_read(path, &it->bytes, e) < 0) {
		buf_free(&it->bytes);
		return NULL;
	}
	if (it->bytes.len != it->size) {
		buf_free(&it->bytes);
		err_set(e, ERR_IO, "%s: %zu bytes were written, %zu are there", path,
			it->size, it->bytes.len);
		return NULL;
	}
	return it;
}

void outbox_disown(struct outbox *o)
{
	pthread_mutex_lock(&o->mu);
	o->disowned = true;
	pthread_mutex_unlock(&o->mu);
}

void outbox_pop(struct outbox *o)
{
	struct err ignored =
		ERR_INIT; /* a leftover costs disk until the next start clears it */

	pthread_mutex_lock(&o->mu);
	struct outbox_item *it = o->first;

	o->first = it->next;
	if (!o->first)
		o->last = &o->first;
	o->count--;
	if (it->spooled)
		o->spooled -= it->size;
	else
		o->memory -= it->size;
	bool unlinks = it->spooled && !o->disowned;

	pthread_mutex_unlock(&o->mu);
	if (unlinks) {
		AUTO_FREE char *path = spool_path(o, it);

		(void)!file_unlink(path, &ignored);
	}
	item_destroy(it);
}

void outbox_clear(struct outbox *o)
{
	while (outbox_count(o))
		outbox_pop(o);
}

void outbox_destroy(struct outbox *o)
{
	if (!o)
		return;
	while (o->first) {
		struct outbox_item *it = o->first;

		o->first = it->next;
		item_destroy(it);
	}
	pthread_mutex_destroy(&o->mu);
	free(o->dir);
	free(o);
}

struct wal_pos outbox_end(struct outbox *o)
{
	pthread_mutex_lock(&o->mu);
	struct wal_pos end = o->end;

	pthread_mutex_unlock(&o->mu);
	return end;
}

size_t outbox_count(struct outbox *o)
{
	pthread_mutex_lock(&o->mu);
	size_t n = o->count;

	pthread_mutex_unlock(&o->mu);
	return n;
}

uint64_t outbox_bytes(struct outbox *o)
{
	pthread_mutex_lock(&o->mu);
	uint64_t n = o->memory + o->spooled;

	pthread_mutex_unlock(&o->mu);
	return n;
}
