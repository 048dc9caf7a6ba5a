/* SPDX-License-Identifier: Apache-2.0 */
/* A set of page numbers: a bitmap in leaves of 4 KiB, made where there are members. */
#ifndef WAL_PAGESET_H
#define WAL_PAGESET_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* All zero: the empty set. */
struct pageset {
	uint64_t **leaves;
	uint32_t nleaves; /* that exist */
};

bool pageset_empty(const struct pageset *s);
/* ERR_CORRUPT when the members lie so far apart that the bitmap would exceed 64 MiB (dense, that is
 * 2 TB of 4 KiB pages). */
MUST_CHECK int pageset_add(struct pageset *s, uint32_t pgno, struct err *e);
/* Members in first..last. */
uint64_t pageset_count(const struct pageset *s, uint32_t first, uint32_t last);
/* The next run of neighbours after *after and up to last: *after becomes its first member; how many, at most max.
 * 0: none. */
uint32_t pageset_run(const struct pageset *s, uint32_t *after, uint32_t last, uint32_t max);
void pageset_clear(struct pageset *s); /* empty again, nothing allocated */

#endif
