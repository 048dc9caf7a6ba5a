/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/restore/salvage.h"
#include "base/cleanup.h"
#include "tests/unit/unit.h"
#include "wal/codec.h"

#include <string.h>

static const uint8_t skippable[] = { 0x5b, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c' };

/* "hello, salvage" as a frame, and " again" as another. */
static void frames(struct buf *a, struct buf *b)
{
	codec_compress(CODEC_LZ4, "hello, salvage", 14, a);
	codec_compress(CODEC_LZ4, " again", 6, b);
}

static enum salvage_shape shape_of(const struct buf *b, size_t *used)
{
	return salvage_shape(b->p, b->len, used);
}

static void shapes_are_told_by_the_frames_lengths(void **state)
{
	struct buf a CLEANUP(buf_free) = BUF(1000), b CLEANUP(buf_free) = BUF(1000);
	struct buf x CLEANUP(buf_free) = BUF(1000);
	size_t used = 0;

	(void)state;
	frames(&a, &b);
	assert_int_equal(shape_of(&a, &used), SALVAGE_PLAIN);
	assert_int_equal(used, a.len);

	buf_add(&x, skippable, sizeof(skippable));
	assert_int_equal(shape_of(&x, &used), SALVAGE_FOREIGN);
	buf_add(&x, a.p, a.len);
	buf_add(&x, skippable, sizeof(skippable));
	assert_int_equal(shape_of(&x, &used), SALVAGE_PLAIN);
	assert_int_equal(used, x.len);

	buf_add(&x, "junk", 4);
	assert_int_equal(shape_of(&x, &used), SALVAGE_GARBAGE);
	assert_int_equal(used, x.len - 4);

	x.len -= 4;
	buf_add(&x, b.p, b.len);
	assert_int_equal(shape_of(&x, &used), SALVAGE_SEVERAL);

	for (size_t n = 7; n < a.len; n++)
		assert_int_equal(salvage_shape(a.p, n, &used), SALVAGE_CUT);
	assert_int_equal(salvage_shape((const uint8_t *)"junk", 4, &used), SALVAGE_FOREIGN);
	assert_int_equal(salvage_shape(skippable, 9, &used), SALVAGE_CUT);
	assert_int_equal(salvage_shape(skippable, 0, &used), SALVAGE_FOREIGN);
}

static void a_frame_that_claims_more_than_there_is_is_cut(void **state)
{
	/* A block of 2 GiB; a skippable frame of 4 GiB. */
	static const uint8_t block[] = { 4,    0x22, 0x4d, 0x18, 0x64, 0x40,
					 0xa7, 0xff, 0xff, 0xff, 0x7f, 0 };
	static const uint8_t skip[] = { 0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 0 };
	size_t used = 0;

	(void)state;
	assert_int_equal(salvage_shape(block, sizeof(block), &used), SALVAGE_CUT);
	assert_int_equal(salvage_shape(skip, sizeof(skip), &used), SALVAGE_CUT);
}

static void expect_repacked(const struct buf *in, uint64_t skip, uint64_t raw_len,
			    const char *want)
{
	struct buf out CLEANUP(buf_free) = BUF(1000);
	struct err e = ERR_INIT;
	uint8_t raw[64];
	uint64_t got = 0;

	if (salvage_repack(in->p, in->len, skip, &out, &got, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(got, raw_len);
	if (!*want) {
		assert_int_equal(out.len, 0);
		return;
	}
	assert_int_equal(codec_decompress(CODEC_LZ4, out.p, out.len, raw, strlen(want), &e),
			 0);
	assert_memory_equal(raw, want, strlen(want));
}

static void all_data_is_repacked_without_what_is_skipped(void **state)
{
	struct buf a CLEANUP(buf_free) = BUF(1000), b CLEANUP(buf_free) = BUF(1000);

	(void)state;
	frames(&a, &b);
	expect_repacked(&a, 0, 14, "hello, salvage");
	expect_repacked(&a, 7, 14, "salvage");
	expect_repacked(&a, 14, 14, "");
	expect_repacked(&a, 99, 14, "");
	buf_add(&a, skippable, sizeof(skippable));
	buf_add(&a, b.p, b.len);
	buf_add(&a, "junk", 4);
	expect_repacked(&a, 7, 20, "salvage again");
}

static void what_is_no_frame_is_refused(void **state)
{
	struct buf a CLEANUP(buf_free) = BUF(1000), b CLEANUP(buf_free) = BUF(1000);
	struct buf out CLEANUP(buf_free) = BUF(1000);
	struct err e = ERR_INIT;
	uint64_t raw = 0;

	(void)state;
	frames(&a, &b);
	assert_int_equal(salvage_repack((const uint8_t *)"junk", 4, 0, &out, &raw, &e), -1);
	assert_string_equal(e.msg, "is not an LZ4 frame");
	assert_int_equal(salvage_repack(a.p, a.len - 1, 0, &out, &raw, &e), -1);
	assert_string_equal(e.msg, "is cut short");
	a.p[a.len - 1] ^= 1; /* the content checksum */
	assert_int_equal(salvage_repack(a.p, a.len, 0, &out, &raw, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes_are_told_by_the_frames_lengths),
		cmocka_unit_test(a_frame_that_claims_more_than_there_is_is_cut),
		cmocka_unit_test(all_data_is_repacked_without_what_is_skipped),
		cmocka_unit_test(what_is_no_frame_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
