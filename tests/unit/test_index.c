/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "wal/index.h"

#include <string.h>

#define COPY 48

/* A wal-index header as SQLite's documentation lays it out, in this machine's byte order. */
struct shm {
	uint32_t version, unused, change;
	uint8_t init, big_endian;
	uint16_t page_size; /* 1: 65536 */
	uint32_t mx_frame, pages, frame_sum[2];
	uint8_t salt[8];
	uint32_t sum[2];
};
_Static_assert(sizeof(struct shm) == COPY, "the header has 48 bytes");

static struct shm sample(void)
{
	return (struct shm){ .version = 3007000,
			     .change = 5,
			     .init = 1,
			     .page_size = 4096,
			     .mx_frame = 77,
			     .pages = 12,
			     .frame_sum = { 0x11223344, 0x55667788 },
			     .salt = { 1, 2, 3, 4, 0xfa, 0xfb, 0xfc, 0xfd } };
}

/* Both copies, with the checksum set right, and 9 frames checkpointed. */
static void lay_out(struct shm h, uint32_t map[WAL_INDEX_HEADER / 4])
{
	struct wal_sum sum = { 0, 0 };

	wal_sum_add(&sum, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__, (const uint8_t *)&h, 40);
	h.sum[0] = sum.s0;
	h.sum[1] = sum.s1;
	memset(map, 0, WAL_INDEX_HEADER);
	memcpy(map, &h, COPY);
	memcpy(map + COPY / 4, &h, COPY);
	map[2 * COPY / 4] = 9;
}

static void every_field_is_read(void **state)
{
	uint32_t map[WAL_INDEX_HEADER / 4];
	struct wal_index ix = { 0 };

	(void)state;
	lay_out(sample(), map);
	assert_true(wal_index_read(map, &ix));
	assert_int_equal(ix.change, 5);
	assert_false(ix.big_endian);
	assert_int_equal(ix.page_size, 4096);
	assert_int_equal(ix.mx_frame, 77);
	assert_int_equal(ix.pages, 12);
	assert_int_equal(ix.sum.s0, 0x11223344);
	assert_int_equal(ix.sum.s1, 0x55667788);
	assert_int_equal(ix.salt[0], 0x01020304);
	assert_int_equal(ix.salt[1], 0xfafbfcfd);
	assert_int_equal(wal_index_backfilled(map), 9);
}

static void page_sizes_and_byte_orders_are_told_apart(void **state)
{
	uint32_t map[WAL_INDEX_HEADER / 4];

	(void)state;
	for (uint32_t size = 512; size <= 65536; size *= 2)
		for (uint8_t big = 0; big < 2; big++) {
			struct shm h = sample();
			struct wal_index ix = { 0 };

			h.page_size = size == 65536 ? 1 : (uint16_t)size;
			h.big_endian = big;
			lay_out(h, map);
			assert_true(wal_index_read(map, &ix));
			assert_int_equal(ix.page_size, size);
			assert_int_equal(ix.big_endian, big);
		}
}

static void any_changed_bit_of_either_copy_is_seen(void **state)
{
	uint32_t map[WAL_INDEX_HEADER / 4];
	struct wal_index ix = { .mx_frame = 1234 };

	(void)state;
	lay_out(sample(), map);
	for (size_t i = 0; i < (size_t)2 * COPY * 8; i++) {
		((uint8_t *)map)[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_false(wal_index_read(map, &ix));
		((uint8_t *)map)[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(ix.mx_frame, 1234); /* untouched */
	/* Both copies alike, and the checksum of neither. */
	map[4] ^= 1;
	map[COPY / 4 + 4] ^= 1;
	assert_false(wal_index_read(map, &ix));
}

static void what_is_not_initialised_or_of_another_version_is_not_taken(void **state)
{
	uint32_t map[WAL_INDEX_HEADER / 4];
	struct shm h = sample();
	struct wal_index ix;

	(void)state;
	h.init = 0;
	lay_out(h, map);
	assert_false(wal_index_read(map, &ix));
	h = sample();
	h.version = 3007001;
	lay_out(h, map);
	assert_false(wal_index_read(map, &ix));
	memset(map, 0, sizeof(map)); /* fresh */
	assert_false(wal_index_read(map, &ix));
}

static void a_glance_sees_a_commit_and_a_reset(void **state)
{
	uint32_t map[WAL_INDEX_HEADER / 4];
	struct shm h = sample();
	uint64_t before;

	(void)state;
	lay_out(h, map);
	before = wal_index_glance(map);
	lay_out(h, map);
	assert_true(wal_index_glance(map) == before);
	h.mx_frame++;
	h.change++;
	lay_out(h, map);
	assert_true(wal_index_glance(map) != before);
	h = sample();
	h.salt[0]++;
	h.mx_frame = 0;
	lay_out(h, map);
	assert_true(wal_index_glance(map) != before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_read),
		cmocka_unit_test(page_sizes_and_byte_orders_are_told_apart),
		cmocka_unit_test(any_changed_bit_of_either_copy_is_seen),
		cmocka_unit_test(
			what_is_not_initialised_or_of_another_version_is_not_taken),
		cmocka_unit_test(a_glance_sees_a_commit_and_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
