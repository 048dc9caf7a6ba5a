/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages onto a file: a snapshot's image, then committed transactions.  Frames
 * of an unfinished transaction are held back (in memory up to a limit, then
 * in an unlinked file) and dropped if no commit follows.  Keeps the page sums.
 */
#ifndef WAL_APPLY_H
#define WAL_APPLY_H

#include "base/err.h"
#include "wal/pagesum.h"

#include <stddef.h>
#include <stdint.h>

struct apply;

/* fd: an empty file opened for reading and writing; stays the caller's.  what names it in errors (copied).
 * page_size 0: as the image's header says (then sums must be NULL).  sums, the caller's, may be NULL; else an
 * empty map of the same page size.  The overflow file lies in the folder of fd's file, unlinked. */
struct apply *apply_new(int fd, const char *what, uint32_t page_size, struct pagesum *sums);
/* Image bytes in order, any n. */
MUST_CHECK int apply_image(struct apply *a, const uint8_t *p, size_t n, struct err *e);
/* The image is complete: whole pages, at least one, page 1 a database header with this page size
 * (ERR_CORRUPT).  The lock page is written as zeros whatever came. */
MUST_CHECK int apply_image_end(struct apply *a, struct err *e);
/* A verified frame (after apply_image_end).  Page 0 and the lock page are ERR_CORRUPT.  commit != 0 writes the transaction out: pages beyond it are ignored, the file gets the
 * commit's size.  strict: a commit that grows the database must contain every new page but the
 * lock page (Litestream's objects, which have no sums), else ERR_CORRUPT. */
MUST_CHECK int apply_frame(struct apply *a, uint32_t pgno, uint32_t commit,
			   const uint8_t *page, bool strict, struct err *e);
void apply_drop_open(struct apply *a); /* forget the unfinished transaction */
uint64_t apply_open_frames(const struct apply *a);
uint64_t apply_commits(const struct apply *a);
uint32_t apply_pages(const struct apply *a);
uint32_t apply_page_size(const struct apply *a);
void apply_destroy(struct apply *a);

#endif
