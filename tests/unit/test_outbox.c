/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replicate/outbox.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *dir, *spool;

static int begin(void **state)
{
	(void)state;
	dir = tmpdir_new();
	spool = file_join(dir, "spool");
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(spool);
	tmpdir_remove(dir);
	return 0;
}

static int put(struct outbox *o, uint32_t index, size_t size, struct err *e)
{
	struct outbox_item *it = mem_alloc(sizeof(*it));
	char *fill = mem_alloc(size);

	memset(fill, 'a' + (int)(index % 26), size);
	it->bytes = (struct buf)BUF(1 << 20);
	buf_add(&it->bytes, fill, size);
	it->pos.index = index;
	it->end = (struct wal_pos){ index, 32 };
	layout_segment_key("0123456789abcdef", it->pos, CODEC_ZST, it->key);
	free(fill);
	return outbox_put(o, it, e);
}

static void take(struct outbox *o, uint32_t index, size_t size)
{
	struct err e = ERR_INIT;
	struct outbox_item *it = outbox_peek(o, &e);

	assert_non_null(it);
	assert_int_equal(it->pos.index, index);
	assert_int_equal(it->bytes.len, size);
	assert_int_equal(it->bytes.p[size - 1], 'a' + (int)(index % 26));
	outbox_pop(o);
}

static void items_come_out_in_order_from_memory_and_spool(void **state)
{
	struct outbox *o = outbox_new(spool, 1000, 10000);
	struct err e = ERR_INIT;

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(put(o, i, 400, &e), 0);
	assert_int_equal(outbox_count(o), 5);
	assert_int_equal(outbox_end(o).index, 4);
	assert_int_equal(outbox_bytes(o), 2000);
	assert_true(file_exists(spool));
	for (uint32_t i = 0; i < 5; i++)
		take(o, i, 400);
	assert_null(outbox_peek(o, &e));
	assert_int_equal(e.code, ERR_NONE);
	assert_int_equal(outbox_bytes(o), 0);
	assert_int_equal(outbox_end(o).index, 4);
	assert_int_equal(rmdir(spool), 0); /* nothing is left in it */
	outbox_destroy(o);
}

static void nothing_overtakes_what_is_spooled(void **state)
{
	struct outbox *o = outbox_new(spool, 1000, 10000);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(put(o, 0, 900, &e), 0);
	assert_int_equal(put(o, 1, 900, &e), 0); /* spooled */
	take(o, 0, 900);
	assert_int_equal(put(o, 2, 10, &e), 0); /* would fit, but goes behind */
	take(o, 1, 900);
	take(o, 2, 10);
	outbox_destroy(o);
}

static void over_the_limit_nothing_is_taken(void **state)
{
	struct outbox *o = outbox_new(spool, 100, 1000);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(put(o, 0, 600, &e), 0);
	assert_int_equal(put(o, 1, 600, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_string_equal(e.slug, "spool_full");
	assert_string_equal(e.msg, "the spool holds its limit of 1000 bytes");
	assert_int_equal(outbox_count(o), 1);
	outbox_clear(o);
	assert_int_equal(outbox_bytes(o), 0);
	outbox_destroy(o);
}

static void a_spool_file_that_has_gone_is_an_error(void **state)
{
	struct outbox *o = outbox_new(spool, 0, 10000);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(put(o, 7, 300, &e), 0);
	assert_int_equal(file_remove_tree(spool, &e), 0);
	assert_null(outbox_peek(o, &e));
	assert_int_equal(e.code, ERR_NOT_FOUND);
	outbox_destroy(o);
}

/* What is in flight when a new generation begins must not take that one's file of the same name along. */
static void a_disowned_outbox_leaves_the_spool_alone(void **state)
{
	struct outbox *old = outbox_new(spool, 0, 10000);
	struct outbox *o = outbox_new(spool, 0, 10000);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(put(old, 7, 300, &e), 0);
	assert_non_null(outbox_peek(old, &e));
	outbox_disown(old);
	assert_int_equal(file_remove_tree(spool, &e), 0);
	assert_int_equal(put(o, 7, 400, &e), 0);
	outbox_pop(old);
	take(o, 7, 400);
	outbox_destroy(old);
	outbox_destroy(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			items_come_out_in_order_from_memory_and_spool, begin, end),
		cmocka_unit_test_setup_teardown(nothing_overtakes_what_is_spooled, begin,
						end),
		cmocka_unit_test_setup_teardown(over_the_limit_nothing_is_taken, begin,
						end),
		cmocka_unit_test_setup_teardown(a_spool_file_that_has_gone_is_an_error,
						begin, end),
		cmocka_unit_test_setup_teardown(a_disowned_outbox_leaves_the_spool_alone,
						begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
