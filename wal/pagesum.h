/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash of each page and of the whole database.
 *
 * db_sum is the XOR over all pages but the lock page of XXH3-64(be32 pgno ||
 * page) (docs/format.md).  The map holds one u64 per page; large ones lie in
 * a file that is mapped, so that anonymous memory stays small.  One thread.
 */
#ifndef WAL_PAGESUM_H
#define WAL_PAGESUM_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct pagesum;

/* Empty map of a database without pages.  path: the file that backs it (created, truncated), or NULL
 * for an unlinked file in $TMPDIR once it exceeds a few MiB. */
struct pagesum *pagesum_new(uint32_t page_size, const char *path, struct err *e);
void pagesum_destroy(struct pagesum *s);

/* Page pgno now has these bytes (1..pages: grow first with pagesum_resize).  The lock page is ignored. */
void pagesum_set(struct pagesum *s, uint32_t pgno, const uint8_t *page);
void pagesum_set_hash(struct pagesum *s, uint32_t pgno, uint64_t hash);
uint64_t pagesum_get(const struct pagesum *s, uint32_t pgno); /* 0: lock page */
/* The database has that many pages: pages cut off leave the sum, new ones count as zeros. */
MUST_CHECK int pagesum_resize(struct pagesum *s, uint32_t pages, struct err *e);
/* One page more, with these bytes (cheaper than resize and set). */
MUST_CHECK int pagesum_append(struct pagesum *s, const uint8_t *page, struct err *e);
uint32_t pagesum_pages(const struct pagesum *s);
uint64_t pagesum_value(const struct pagesum *s);

#endif
