/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/follow.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_BYTES (1U << 20)

struct follow {
	char *path;
	int fd;
	uint32_t page_size;
	struct wal_header header; /* salts and word order of the WAL being read */
	struct wal_sum sum;	  /* after the last delivered frame */
	uint32_t frame;		  /* delivered frames of this WAL */
	int64_t limit_us;	  /* 0: none */

	/* One window of frames, and the pages of the transaction being collected. */
	uint8_t *window, *page;
	uint32_t window_first, window_count;
	uint32_t *pgno;
	size_t npgno, cap;
	uint32_t *
		slot; /* page number -> its last frame in the transaction; open addressing */
	size_t nslot;
};

struct follow *follow_new(const char *wal_path, uint32_t page_size)
{
	struct follow *f = mem_alloc(sizeof(*f));

	f->path = mem_str(wal_path);
	f->fd = -1;
	f->page_size = page_size;
	return f;
}

void follow_rest(struct follow *f)
{
	free(f->window);
	free(f->page);
	free(f->pgno);
	free(f->slot);
	f->window = f->page = NULL;
	f->pgno = f->slot = NULL;
	f->npgno = f->cap = f->nslot = 0;
	f->window_count = 0;
}

void follow_destroy(struct follow *f)
{
	if (!f)
		return;
	follow_rest(f);
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	free(f);
}

static void restart(struct follow *f, const struct wal_index *ix)
{
	f->header = (struct wal_header){ .big_endian = ix->big_endian,
					 .page_size = f->page_size,
					 .salt = { ix->salt[0], ix->salt[1] } };
	f->frame = 0;
	f->sum = (struct wal_sum){ 0, 0 };
}

void follow_attach(struct follow *f, const struct wal_index *ix)
{
	restart(f, ix);
	f->frame = ix->mx_frame;
	f->sum = ix->sum;
}

bool follow_was_reset(const struct follow *f, const struct wal_index *ix)
{
	return ix->salt[0] != f->header.salt[0] || ix->salt[1] != f->header.salt[1];
}

bool follow_behind(const struct follow *f, const struct wal_index *ix)
{
	return ix->mx_frame != (follow_was_reset(f, ix) ? 0 : f->frame);
}

void follow_limit(struct follow *f, int64_t mono_us)
{
	f->limit_us = mono_us;
}

uint32_t follow_frames(const struct follow *f)
{
	return f->frame;
}

static int discontinuity(const struct follow *f, struct err *e, const char *why)
{
	err_set(e, ERR_CORRUPT, "%s: the WAL does not continue after frame %u: %s", f->path,
		f->frame, why);
	return err_slug(e, "wal_discontinuity");
}

/* The -wal is kept by persistent WAL, but an app may have deleted it while nobody had it open. */
static int open_wal(struct follow *f, struct err *e)
{
	if (f->fd >= 0)
		return 0;
	f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
	return f->fd >= 0 ? 0 : err_errno(e, "open %s", f->path);
}

static int begin_wal(struct follow *f, const struct wal_index *ix, struct err *e)
{
	uint8_t raw[WAL_HEADER_SIZE];
	struct wal_header h;

	if (file_pread_full(f->fd, raw, sizeof(raw), 0, f->path, e) < 0)
		return -1;
	if (wal_header_parse(&h, raw, sizeof(raw), e) < 0)
		return err_wrap(e, "%s", f->path);
	if (h.salt[0] != ix->salt[0] || h.salt[1] != ix->salt[1] ||
	    h.page_size != f->page_size)
		return discontinuity(f, e, "its header is not the one the wal-index names");
	f->header = h;
	f->sum = h.sum;
	return 0;
}

static size_t frame_size(const struct follow *f)
{
	return WAL_FRAME_HEADER_SIZE + (size_t)f->page_size;
}

static int fill_window(struct follow *f, uint32_t first, uint32_t end, struct err *e)
{
	uint32_t fit = (uint32_t)(WINDOW_BYTES / frame_size(f));
	uint32_t count = end - first < fit ? end - first : fit;

	if (!f->window) {
		f->window = mem_array(fit, frame_size(f));
		f->page = mem_alloc(f->page_size);
	}
	f->window_first = first;
	f->window_count = count;
	return file_pread_full(f->fd, f->window, count * frame_size(f),
			       wal_frame_offset(f->page_size, first), f->path, e);
}

static void collect(struct follow *f, uint32_t pgno)
{
	if (f->npgno == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 64;
		f->pgno = mem_grow(f->pgno, f->cap, sizeof(*f->pgno));
	}
	f->pgno[f->npgno++] = pgno;
}

/* slot[hash(pgno)] = 1 + the transaction's last frame with that page. */
static uint32_t *find_slot(struct follow *f, uint32_t pgno)
{
	size_t i = (size_t)(pgno * 2654435761U) & (f->nslot - 1);

	while (f->slot[i] && f->pgno[f->slot[i] - 1] != pgno)
		i = (i + 1) & (f->nslot - 1);
	return &f->slot[i];
}

static void mark_newest(struct follow *f)
{
	size_t want = 64;

	while (want < f->npgno * 2)
		want *= 2;
	if (want > f->nslot) {
		free(f->slot);
		f->slot = mem_array(want, sizeof(*f->slot));
		f->nslot = want;
	} else {
		memset(f->slot, 0, f->nslot * sizeof(*f->slot));
	}
	for (size_t i = 0; i < f->npgno; i++)
		*find_slot(f, f->pgno[i]) = (uint32_t)i + 1;
}

static const uint8_t *page_of(struct follow *f, uint32_t frame, struct err *e)
{
	if (frame >= f->window_first && frame - f->window_first < f->window_count)
		return f->window + (frame - f->window_first) * frame_size(f) +
		       WAL_FRAME_HEADER_SIZE;
	if (file_pread_full(f->fd, f->page, f->page_size,
			    wal_frame_offset(f->page_size, frame) + WAL_FRAME_HEADER_SIZE,
			    f->path, e) < 0)
		return NULL;
	return f->page;
}

/* The transaction in frames [first, first + npgno), whose commit gives the database `pages` pages. */
static int deliver(struct follow *f, uint32_t first, uint32_t pages, follow_page_fn *fn,
		   void *arg, struct err *e)
{
	size_t last = SIZE_MAX;

	mark_newest(f);
	for (size_t i = f->npgno; i-- > 0 && last == SIZE_MAX;)
		if (f->pgno[i] <= pages && *find_slot(f, f->pgno[i]) == i + 1)
			last = i;
	if (last == SIZE_MAX)
		return discontinuity(f, e, "a commit without a page of the database");
	for (size_t i = 0; i <= last; i++) {
		if (f->pgno[i] > pages || *find_slot(f, f->pgno[i]) != i + 1)
			continue;
		const uint8_t *p = page_of(f, first + (uint32_t)i, e);

		if (!p || fn(arg, f->pgno[i], i == last ? pages : 0, p, e) < 0)
			return -1;
	}
	return 0;
}

/* SQLite leaves salts and checksum of a frame zero while a transaction rewrites what it has spilled, and fills them in
 * at the commit; versions up to 3.40.1 at least forget some after a ROLLBACK TO.  Such a commit is
 * in the wal-index, and every reader sees it, but a recovery after a crash drops it. */
static const char *why_bad(const uint8_t *head)
{
	static const uint8_t none[16];

	return memcmp(head + 8, none, sizeof(none)) == 0
		       ? "SQLite has committed a frame without its checksum (a savepoint "
			 "was rolled back after the page cache had spilled)"
		       : "a committed frame fails its checksum";
}

static int read_window(struct follow *f, struct wal_sum *sum, uint32_t *first,
		       follow_page_fn *fn, void *arg, struct err *e)
{
	for (uint32_t i = 0; i < f->window_count; i++) {
		const uint8_t *p = f->window + i * frame_size(f);
		struct wal_frame h;

		if (!wal_frame_verify(&f->header, sum, p, p + WAL_FRAME_HEADER_SIZE))
			return discontinuity(f, e, why_bad(p));
		wal_frame_parse(&h, p);
		collect(f, h.pgno);
		if (!h.commit)
			continue;
		if (deliver(f, *first, h.commit, fn, arg, e) < 0)
			return -1;
		f->npgno = 0;
		*first = f->window_first + i + 1;
		f->frame = *first;
		f->sum = *sum;
	}
	return 0;
}

int follow_read(struct follow *f, const struct wal_index *ix, bool may_reset,
		follow_page_fn *fn, void *arg, struct err *e)
{
	if (ix->mx_frame && ix->page_size != f->page_size)
		return discontinuity(f, e, "the page size has changed");
	if (follow_was_reset(f, ix)) {
		if (!may_reset)
			return discontinuity(f, e, "somebody else has reset it");
		restart(f, ix);
	}
	if (ix->mx_frame < f->frame)
		return discontinuity(f, e, "it has become shorter");
	if (ix->mx_frame == f->frame)
		return 0;
	if (open_wal(f, e) < 0 || (!f->frame && begin_wal(f, ix, e) < 0))
		return -1;
	struct wal_sum sum = f->sum;
	uint32_t first = f->frame, begin = first;

	f->npgno = 0;
	for (uint32_t at = f->frame; at < ix->mx_frame; at += f->window_count) {
		if (f->limit_us && first != begin && clock_mono_us() > f->limit_us)
			return 0;
		if (fill_window(f, at, ix->mx_frame, e) < 0 ||
		    read_window(f, &sum, &first, fn, arg, e) < 0)
			return -1;
	}
	if (f->frame != ix->mx_frame || sum.s0 != ix->sum.s0 || sum.s1 != ix->sum.s1)
		return discontinuity(f, e, "it does not end as the wal-index says");
	return 0;
}

int follow_sync(struct follow *f, struct err *e)
{
	struct err ignored = ERR_INIT;

	if (f->fd < 0 && open_wal(f, &ignored) < 0)
		return ignored.code == ERR_NOT_FOUND
			       ? 0
			       : err_set(e, ERR_IO, "%s", ignored.msg);
	return file_datasync(f->fd, f->path, e);
}
