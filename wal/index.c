/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/index.h"

#include "base/bytes.h"

#include <string.h>

#define COPY_SIZE 48
#define INDEX_VERSION 3007000U

static void load(const volatile uint32_t *w, uint32_t out[COPY_SIZE / 4])
{
	for (int i = 0; i < COPY_SIZE / 4; i++)
		out[i] = w[i];
}

static uint32_t native32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

bool wal_index_read(const volatile void *map, struct wal_index *out)
{
	uint32_t one[COPY_SIZE / 4], two[COPY_SIZE / 4];
	const volatile uint32_t *w = map;
	const uint8_t *p = (const uint8_t *)one;
	struct wal_sum sum = { 0, 0 };

	/* The writer stores the second copy first, then a barrier, then the first. */
	load(w, one);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	load(w + COPY_SIZE / 4, two);
	if (memcmp(one, two, COPY_SIZE) != 0)
		return false;
	wal_sum_add(&sum, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__, p, 40);
	if (!p[12] || sum.s0 != native32(p + 40) || sum.s1 != native32(p + 44) ||
	    native32(p) != INDEX_VERSION)
		return false;
	uint16_t size;

	memcpy(&size, p + 14, sizeof(size));
	*out = (struct wal_index){
		.change = native32(p + 8),
		.big_endian = p[13] != 0,
		.page_size = (size & 0xfe00U) + ((size & 1U) << 16),
		.mx_frame = native32(p + 16),
		.pages = native32(p + 20),
		.sum = { native32(p + 24), native32(p + 28) },
		.salt = { get_be32(p + 32), get_be32(p + 36) },
	};
	return true;
}

uint32_t wal_index_backfilled(const volatile void *map)
{
	const volatile uint32_t *w = map;

	/* The checkpoint information follows the two copies. */
	return w[2 * COPY_SIZE / 4];
}

uint64_t wal_index_glance(const volatile void *map)
{
	const volatile uint32_t *w = map;

	/* The header's own checksum, which covers everything in it. */
	return (uint64_t)w[10] << 32 | w[11];
}
