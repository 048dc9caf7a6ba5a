/* SPDX-License-Identifier: Apache-2.0 */
/* A position in a generation's stored WAL: (index, byte offset). */
#ifndef WAL_POS_H
#define WAL_POS_H

#include <stdbool.h>
#include <stdint.h>

struct wal_pos {
	uint32_t index;
	uint64_t offset;
};

static inline int wal_pos_cmp(struct wal_pos a, struct wal_pos b)
{
	if (a.index != b.index)
		return a.index < b.index ? -1 : 1;
	return a.offset < b.offset ? -1 : a.offset > b.offset;
}

#endif
