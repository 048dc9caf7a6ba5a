/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/pagesum.h"

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/mem.h"
#include "wal/dbhdr.h"
#include "wal/scratch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define HEAP_BYTES (2U << 20) /* larger maps lie in a file */
#define STEP_BYTES (64U << 10)

struct pagesum {
	uint32_t page_size, lock_page, pages;
	uint64_t value;
	uint64_t *map; /* one a page; 0 for the lock page */
	size_t bytes;  /* of the map */
	int fd;	       /* -1: the map is on the heap */
	char *name;    /* in errors */
};

static const uint8_t ZEROS[65536];

struct pagesum *pagesum_new(uint32_t page_size, const char *path, struct err *e)
{
	AUTO_CLOSE int fd = -1;

	if (path) {
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0) {
			err_errno(e, "%s", path);
			return NULL;
		}
	}
	struct pagesum *s = mem_alloc(sizeof *s);

	s->page_size = page_size;
	s->lock_page = db_lock_page(page_size);
	s->fd = steal_fd(&fd);
	s->name = mem_str(path ? path : "the temporary page map");
	return s;
}

void pagesum_destroy(struct pagesum *s)
{
	if (!s)
		return;
	if (s->fd < 0)
		free(s->map);
	else if (s->map)
		munmap(s->map, s->bytes);
	if (s->fd >= 0)
		close(s->fd);
	free(s->name);
	free(s);
}

static int map_file(struct pagesum *s, size_t bytes, struct err *e)
{
	uint64_t *p;

	if (scratch_reserve(s->fd, bytes, s->name, e))
		return -1;
	if (s->map)
		p = mremap(s->map, s->bytes, bytes, MREMAP_MAYMOVE);
	else
		p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (p == MAP_FAILED)
		return err_errno(e, "map %s", s->name);
	s->map = p;
	s->bytes = bytes;
	return 0;
}

/* From the heap into a file. */
static int move_to_file(struct pagesum *s, size_t bytes, struct err *e)
{
	AUTO_FREE uint64_t *old = s->map;
	size_t old_bytes = s->bytes;

	s->fd = scratch_open(NULL, e);
	s->map = NULL;
	s->bytes = 0;
	if (s->fd >= 0 && !map_file(s, bytes, e)) {
		assert(s->map);
		if (old)
			memcpy(s->map, old, old_bytes);
		return 0;
	}
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->map = STEAL(old);
	s->bytes = old_bytes;
	return -1;
}

static int reserve(struct pagesum *s, uint32_t pages, struct err *e)
{
	size_t need = (size_t)pages * sizeof *s->map, bytes;

	if (need <= s->bytes)
		return 0;
	bytes = need > s->bytes + s->bytes / 2 ? need : s->bytes + s->bytes / 2;
	bytes = (bytes + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
	if (s->fd >= 0)
		return map_file(s, bytes, e);
	if (bytes > HEAP_BYTES)
		return move_to_file(s, bytes, e);
	s->map = mem_grow(s->map, bytes, 1);
	s->bytes = bytes;
	return 0;
}

void pagesum_set_hash(struct pagesum *s, uint32_t pgno, uint64_t hash)
{
	assert(pgno && pgno <= s->pages);
	if (pgno == s->lock_page)
		return;
	s->value ^= s->map[pgno - 1] ^ hash;
	s->map[pgno - 1] = hash;
}

void pagesum_set(struct pagesum *s, uint32_t pgno, const uint8_t *page)
{
	pagesum_set_hash(s, pgno, hash_page(pgno, page, s->page_size));
}

uint64_t pagesum_get(const struct pagesum *s, uint32_t pgno)
{
	assert(s->map && pgno && pgno <= s->pages);
	return s->map[pgno - 1];
}

int pagesum_append(struct pagesum *s, const uint8_t *page, struct err *e)
{
	if (s->pages == UINT32_MAX)
		return err_set(e, ERR_CORRUPT,
			       "a database has fewer than 4294967295 pages");
	if (reserve(s, s->pages + 1, e))
		return -1;
	assert(s->map);
	s->map[s->pages++] = 0;
	pagesum_set(s, s->pages, page);
	return 0;
}

int pagesum_resize(struct pagesum *s, uint32_t pages, struct err *e)
{
	if (reserve(s, pages, e))
		return -1;
	while (s->pages > pages) {
		s->value ^= pagesum_get(s, s->pages);
		s->pages--;
	}
	while (s->pages < pages)
		if (pagesum_append(s, ZEROS, e))
			return -1;
	return 0;
}

uint32_t pagesum_pages(const struct pagesum *s)
{
	return s->pages;
}

uint64_t pagesum_value(const struct pagesum *s)
{
	return s->value;
}
