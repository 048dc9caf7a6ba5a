/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/pageset.h"

#include "base/mem.h"

#include <stdlib.h>

#define LEAF_BITS 32768U
#define LEAF_WORDS (LEAF_BITS / 64)
#define LEAVES (UINT32_MAX / LEAF_BITS + 1)
#define LEAVES_MAX (16U << 10)

bool pageset_empty(const struct pageset *s)
{
	return !s->nleaves;
}

int pageset_add(struct pageset *s, uint32_t pgno, struct err *e)
{
	if (!s->leaves)
		s->leaves = mem_array(LEAVES, sizeof *s->leaves);
	uint64_t **leaf = &s->leaves[pgno / LEAF_BITS];

	if (!*leaf) {
		if (s->nleaves == LEAVES_MAX)
			return err_set(e, ERR_CORRUPT,
				       "the pages of a transaction lie too far apart");
		*leaf = mem_array(LEAF_WORDS, sizeof **leaf);
		s->nleaves++;
	}
	(*leaf)[pgno % LEAF_BITS / 64] |= 1ULL << pgno % 64;
	return 0;
}

/* The first member at or after pgno and up to last; last + 1 if none. */
static uint64_t next_member(const struct pageset *s, uint64_t pgno, uint32_t last)
{
	while (pgno <= last) {
		const uint64_t *leaf = s->leaves ? s->leaves[pgno / LEAF_BITS] : NULL;

		if (!leaf) {
			pgno = (pgno / LEAF_BITS + 1) * LEAF_BITS;
			continue;
		}
		uint64_t w = leaf[pgno % LEAF_BITS / 64] >> pgno % 64;

		if (w) {
			pgno += (unsigned)__builtin_ctzll(w);
			break;
		}
		pgno = (pgno / 64 + 1) * 64;
	}
	return pgno <= last ? pgno : (uint64_t)last + 1;
}

static bool has(const struct pageset *s, uint64_t pgno)
{
	const uint64_t *leaf = s->leaves[pgno / LEAF_BITS];

	return leaf && leaf[pgno % LEAF_BITS / 64] >> pgno % 64 & 1;
}

uint32_t pageset_run(const struct pageset *s, uint32_t *after, uint32_t last, uint32_t max)
{
	uint64_t first = next_member(s, (uint64_t)*after + 1, last);
	uint32_t n = 0;

	while (n < max && first + n <= last && has(s, first + n))
		n++;
	if (n)
		*after = (uint32_t)first;
	return n;
}

uint64_t pageset_count(const struct pageset *s, uint32_t first, uint32_t last)
{
	uint64_t n = 0;

	for (uint64_t i = next_member(s, first, last); i <= last;
	     i = next_member(s, i + 1, last))
		n++;
	return n;
}

void pageset_clear(struct pageset *s)
{
	for (size_t i = 0; s->leaves && i < LEAVES; i++)
		free(s->leaves[i]);
	free(s->leaves);
	*s = (struct pageset){ 0 };
}
