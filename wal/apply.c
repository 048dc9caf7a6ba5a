/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of the open transaction gather in memory.  At 4 MiB they are written,
 * newest version of each page, into a sparse file at their pages' own places, with
 * a bitmap of what is there; so a transaction of any size costs disk, not
 * memory, needs no sorting at the end, and reaches the database in page order.
 */
#include "wal/apply.h"

#include "base/file.h"
#include "base/mem.h"
#include "wal/dbhdr.h"
#include "wal/pageset.h"
#include "wal/scratch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define HELD_BYTES (4U << 20)
#define COPY_BYTES (256U << 10)
#define IOVS 256
#define IMAGE_WRITE_BYTES (16U << 10)
#define PAGES_MAX 0xfffffffeU /* SQLite's */
#define ZERO_PAGES_MAX (1U << 24)

struct apply {
	int fd;
	char *what;
	uint32_t page_size, lock_page, pages;
	struct pagesum *sums;
	/* image */
	uint64_t image_len;
	bool image_done;
	uint8_t head[DBHDR_SIZE];
	uint8_t *part; /* the image's incomplete page, for its sum */
	/* the open transaction */
	uint8_t *held; /* pages, in order of arrival */
	size_t held_room;
	uint64_t *slots; /* page number << 32 | place in held */
	size_t nslots, slots_room;
	int spill; /* -1: not made yet */
	struct pageset in_spill;
	uint64_t open_frames, commits;
};

struct apply *apply_new(int fd, const char *what, uint32_t page_size, struct pagesum *sums)
{
	struct apply *a = mem_alloc(sizeof *a);

	assert(page_size || !sums);
	a->fd = fd;
	a->what = mem_str(what);
	a->page_size = page_size;
	a->sums = sums;
	a->spill = -1;
	return a;
}

void apply_destroy(struct apply *a)
{
	if (!a)
		return;
	if (a->spill >= 0)
		close(a->spill);
	pageset_clear(&a->in_spill);
	free(a->what);
	free(a->part);
	free(a->held);
	free(a->slots);
	free(a);
}

uint64_t apply_open_frames(const struct apply *a)
{
	return a->open_frames;
}

uint64_t apply_commits(const struct apply *a)
{
	return a->commits;
}

uint32_t apply_pages(const struct apply *a)
{
	return a->pages;
}

uint32_t apply_page_size(const struct apply *a)
{
	return a->page_size;
}

static uint64_t place(const struct apply *a, uint32_t pgno)
{
	return (uint64_t)(pgno - 1) * a->page_size;
}

static int set_size(const struct apply *a, uint32_t pages, struct err *e)
{
	uint64_t n = (uint64_t)pages * a->page_size;

	while (ftruncate(a->fd, (off_t)n))
		if (errno != EINTR)
			return err_errno(e, "%s: set its size to %llu", a->what,
					 (unsigned long long)n);
	return 0;
}

/* ---- image ---- */

static int check_head(struct apply *a, struct err *e)
{
	struct dbhdr h;

	if (dbhdr_parse(&h, a->head, sizeof a->head, e))
		return -1;
	if (a->page_size && h.page_size != a->page_size)
		return err_set(e, ERR_CORRUPT, "page size %u in the image, %u expected",
			       h.page_size, a->page_size);
	a->page_size = h.page_size;
	a->lock_page = db_lock_page(h.page_size);
	return 0;
}

static int sum_page(struct apply *a, const uint8_t *page, struct err *e)
{
	return pagesum_append(a->sums, page, e);
}

/* The image's next n bytes, for the sums. */
static int sum_image(struct apply *a, const uint8_t *p, size_t n, struct err *e)
{
	size_t have = (size_t)(a->image_len % a->page_size);

	if (!a->part)
		a->part = mem_grow(NULL, a->page_size, 1);
	while (n) {
		size_t k = a->page_size - have;

		if (!have && n >= k) {
			if (sum_page(a, p, e))
				return -1;
		} else {
			k = n < k ? n : k;
			memcpy(a->part + have, p, k);
			have += k;
			if (have == a->page_size && sum_page(a, a->part, e))
				return -1;
			have %= a->page_size;
		}
		p += k;
		n -= k;
	}
	return 0;
}

/*
 * In small writes.  A file system with large folios makes them as large as the
 * first write, and the pages that segments bring later, in any order, cost the
 * more the larger the folio: on ext4 (6.18) reading and applying 3,000 segments
 * takes 7 % less processor time with 16 KiB than with 64, and an image alone
 * hardly more.
 */
static int write_range(const struct apply *a, const uint8_t *p, size_t n, uint64_t at,
		       struct err *e)
{
	size_t step = a->page_size > IMAGE_WRITE_BYTES ? a->page_size : IMAGE_WRITE_BYTES;

	while (n) {
		size_t k = step - (size_t)(at % step);

		k = n < k ? n : k;
		if (file_pwrite_full(a->fd, p, k, at, a->what, e))
			return -1;
		p += k;
		at += k;
		n -= k;
	}
	return 0;
}

/* At offset, without what falls into the lock page: that stays a hole. */
static int write_image(const struct apply *a, const uint8_t *p, size_t n, uint64_t at,
		       struct err *e)
{
	uint64_t lock = DB_LOCK_BYTE, after = lock + a->page_size, end = at + n;

	if (end <= lock || at >= after)
		return write_range(a, p, n, at, e);
	if (at < lock && write_range(a, p, (size_t)(lock - at), at, e))
		return -1;
	if (end <= after)
		return 0;
	return write_range(a, p + (after - at), (size_t)(end - after), after, e);
}

static int take_head(struct apply *a, const uint8_t *p, size_t n, struct err *e)
{
	size_t have = (size_t)a->image_len, k = DBHDR_SIZE - have;

	if (k > n)
		k = n;
	memcpy(a->head + have, p, k);
	return have + k == DBHDR_SIZE ? check_head(a, e) : 0;
}

int apply_image(struct apply *a, const uint8_t *p, size_t n, struct err *e)
{
	assert(!a->image_done);
	if (a->image_len < DBHDR_SIZE && take_head(a, p, n, e))
		return -1;
	if (write_image(a, p, n, a->image_len, e))
		return -1;
	if (a->sums && sum_image(a, p, n, e))
		return -1;
	a->image_len += n;
	return 0;
}

int apply_image_end(struct apply *a, struct err *e)
{
	if (a->image_len < DBHDR_SIZE || a->image_len % a->page_size ||
	    a->image_len / a->page_size > PAGES_MAX)
		return err_set(e, ERR_CORRUPT, "an image of %llu bytes is not whole pages",
			       (unsigned long long)a->image_len);
	a->pages = (uint32_t)(a->image_len / a->page_size);
	a->image_done = true;
	free(a->part);
	a->part = NULL;
	return set_size(a, a->pages, e);
}

/* ---- the open transaction ---- */

static uint32_t slot_pgno(uint64_t slot)
{
	return (uint32_t)(slot >> 32);
}

static int by_page_and_age(const void *x, const void *y)
{
	uint64_t a, b;

	memcpy(&a, x, sizeof a);
	memcpy(&b, y, sizeof b);
	return a < b ? -1 : a > b;
}

/* Sorts the slots by page and keeps the newest of each. */
static void settle(struct apply *a)
{
	size_t n = 0;
	bool sorted = true;

	for (size_t i = 1; i < a->nslots && sorted; i++)
		sorted = slot_pgno(a->slots[i - 1]) < slot_pgno(a->slots[i]);
	if (sorted)
		return;
	qsort(a->slots, a->nslots, sizeof *a->slots, by_page_and_age);
	for (size_t i = 0; i < a->nslots; i++)
		if (i + 1 == a->nslots ||
		    slot_pgno(a->slots[i]) != slot_pgno(a->slots[i + 1]))
			a->slots[n++] = a->slots[i];
	a->nslots = n;
}

static uint8_t *held_page(const struct apply *a, uint64_t slot)
{
	return a->held + (size_t)(uint32_t)slot * a->page_size;
}

static int write_all(int fd, struct iovec *v, int n, uint64_t at, const char *what,
		     struct err *e)
{
	while (n) {
		ssize_t k = pwritev(fd, v, n, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return err_errno(e, "write %s", what);
		at += (uint64_t)k;
		for (; n && (size_t)k >= v->iov_len; v++, n--)
			k -= (ssize_t)v->iov_len;
		if (n) {
			v->iov_base = (uint8_t *)v->iov_base + k;
			v->iov_len -= (size_t)k;
		}
	}
	return 0;
}

/* Writes the first n settled slots to their places in fd, neighbours in one call. */
static int write_slots(const struct apply *a, int fd, size_t n, const char *what,
		       struct err *e)
{
	struct iovec v[IOVS];

	for (size_t i = 0; i < n;) {
		uint32_t first = slot_pgno(a->slots[i]);
		int k = 0;

		while (k < IOVS && i < n && slot_pgno(a->slots[i]) == first + (uint32_t)k)
			v[k++] =
				(struct iovec){ held_page(a, a->slots[i++]), a->page_size };
		if (write_all(fd, v, k, place(a, first), what, e))
			return -1;
	}
	return 0;
}

static const char SPILL_NAME[] = "the temporary file of a large transaction";

static int spill_held(struct apply *a, struct err *e)
{
	if (a->spill < 0)
		a->spill = scratch_open_beside(a->fd, e);
	if (a->spill < 0)
		return -1;
	settle(a);
	for (size_t i = 0; i < a->nslots; i++)
		if (pageset_add(&a->in_spill, slot_pgno(a->slots[i]), e))
			return -1;
	if (write_slots(a, a->spill, a->nslots, SPILL_NAME, e))
		return -1;
	a->nslots = 0;
	return 0;
}

static int hold(struct apply *a, uint32_t pgno, const uint8_t *page, struct err *e)
{
	size_t ps = a->page_size;

	if ((a->nslots + 1) * ps > HELD_BYTES && spill_held(a, e))
		return -1;
	if ((a->nslots + 1) * ps > a->held_room) {
		a->held_room = a->held_room ? 2 * a->held_room : 128U << 10;
		a->held = mem_grow(a->held, a->held_room, 1);
	}
	if (a->nslots == a->slots_room) {
		a->slots_room = a->slots_room ? 2 * a->slots_room : 64;
		a->slots = mem_grow(a->slots, a->slots_room, sizeof *a->slots);
	}
	memcpy(a->held + a->nslots * ps, page, ps);
	a->slots[a->nslots] = (uint64_t)pgno << 32 | a->nslots;
	a->nslots++;
	return 0;
}

/* ---- commit ---- */

static bool spilled(const struct apply *a)
{
	return !pageset_empty(&a->in_spill);
}

/* How many pages of first..last the transaction contains. */
static uint64_t count_pages(const struct apply *a, uint32_t first, uint32_t last)
{
	uint64_t n = 0;

	if (spilled(a))
		return pageset_count(&a->in_spill, first, last);
	for (size_t i = 0; i < a->nslots; i++)
		n += slot_pgno(a->slots[i]) >= first && slot_pgno(a->slots[i]) <= last;
	return n;
}

static int check_growth(const struct apply *a, uint32_t commit, bool strict, struct err *e)
{
	if (commit > PAGES_MAX)
		return err_set(e, ERR_CORRUPT, "a commit to %u pages", commit);
	if (commit <= a->pages)
		return 0;
	uint64_t fresh = commit - a->pages, got = count_pages(a, a->pages + 1, commit);

	if (a->lock_page > a->pages && a->lock_page <= commit)
		fresh--;
	if (strict ? got < fresh : fresh - got > ZERO_PAGES_MAX)
		return err_set(
			e, ERR_CORRUPT,
			"a commit grows the database by %llu pages and has %llu of them",
			(unsigned long long)fresh, (unsigned long long)got);
	return 0;
}

static int commit_held(struct apply *a, uint32_t commit, struct err *e)
{
	size_t n = a->nslots;

	while (n && slot_pgno(a->slots[n - 1]) > commit)
		n--;
	for (size_t i = 0; a->sums && i < n; i++)
		pagesum_set(a->sums, slot_pgno(a->slots[i]), held_page(a, a->slots[i]));
	return write_slots(a, a->fd, n, a->what, e);
}

static int copy_run(struct apply *a, uint32_t first, uint32_t n, uint8_t *b, struct err *e)
{
	size_t bytes = (size_t)n * a->page_size;

	if (file_pread_full(a->spill, b, bytes, place(a, first), SPILL_NAME, e))
		return -1;
	for (uint32_t i = 0; a->sums && i < n; i++)
		pagesum_set(a->sums, first + i, b + (size_t)i * a->page_size);
	return file_pwrite_full(a->fd, b, bytes, place(a, first), a->what, e);
}

static int commit_spilled(struct apply *a, uint32_t commit, struct err *e)
{
	uint8_t *b = mem_grow(NULL, COPY_BYTES, 1);
	uint32_t first = 0, n;
	int r = 0;

	while (!r && (n = pageset_run(&a->in_spill, &first, commit,
				      COPY_BYTES / a->page_size)) > 0) {
		r = copy_run(a, first, n, b, e);
		first += n - 1;
	}
	free(b);
	return r;
}

static int commit_all(struct apply *a, uint32_t commit, bool strict, struct err *e)
{
	if (spilled(a) && spill_held(a, e))
		return -1;
	settle(a);
	if (check_growth(a, commit, strict, e))
		return -1;
	if (a->sums && pagesum_resize(a->sums, commit, e))
		return -1;
	if (spilled(a) ? commit_spilled(a, commit, e) : commit_held(a, commit, e))
		return -1;
	if (commit != a->pages && set_size(a, commit, e))
		return -1;
	a->pages = commit;
	a->commits++;
	return 0;
}

void apply_drop_open(struct apply *a)
{
	a->nslots = 0;
	a->open_frames = 0;
	if (!spilled(a))
		return;
	pageset_clear(&a->in_spill);
	close(a->spill); /* gives the blocks back; the next large transaction makes another */
	a->spill = -1;
}

int apply_frame(struct apply *a, uint32_t pgno, uint32_t commit, const uint8_t *page,
		bool strict, struct err *e)
{
	assert(a->image_done);
	if (!pgno || pgno > PAGES_MAX || pgno == a->lock_page)
		return err_set(e, ERR_CORRUPT, "a frame of page %u", pgno);
	if (hold(a, pgno, page, e))
		return -1;
	a->open_frames++;
	if (!commit)
		return 0;
	if (commit_all(a, commit, strict, e))
		return -1;
	apply_drop_open(a);
	return 0;
}
