/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "tests/unit/unit.h"
#include "wal/codec.h"

#include <stdlib.h>
#include <string.h>

static const enum codec BOTH[] = { CODEC_ZST, CODEC_LZ4 };
static const size_t SIZES[] = { 0,	1,	100,	65536,	 131071, 131072,
				131073, 262144, 262145, 1 << 20, 3000000 };

/* Half noise, half text: compressible, but not to nothing. */
static uint8_t *sample(size_t n)
{
	uint8_t *p = malloc(n + 1);
	uint32_t x = 12345;

	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = i / 64 % 2 ? (uint8_t)(x >> 24) : (uint8_t)("walback "[i % 8]);
	}
	return p;
}

struct got {
	struct buf b;
	uint64_t frame_bytes;
	int frames;
	size_t stop_at; /* fail once that many bytes came; 0: never */
};

static int collect(void *arg, const uint8_t *p, size_t n, struct err *e)
{
	struct got *g = arg;

	if (g->stop_at && g->b.len + n >= g->stop_at)
		return err_set(e, ERR_CANCELED, "enough");
	buf_add(&g->b, p, n);
	return 0;
}

static int count_frame(void *arg, uint64_t compressed, struct err *e)
{
	struct got *g = arg;

	(void)e;
	g->frame_bytes += compressed;
	g->frames++;
	return 0;
}

static int decode(enum codec c, const struct buf *in, size_t step, struct got *g,
		  struct decoder_sink extra, struct err *e)
{
	struct decoder_sink sink = { .arg = g,
				     .data = collect,
				     .frame_end = count_frame,
				     .trailer = extra.trailer,
				     .lenient = extra.lenient };
	struct decoder *d = decoder_new(c, &sink);
	int r = 0;

	g->b.max = 1 << 24;
	for (size_t i = 0; i < in->len && !r; i += step)
		r = decoder_push(d, in->p + i, in->len - i < step ? in->len - i : step, e);
	if (!r)
		r = decoder_finish(d, e);
	decoder_destroy(d);
	return r;
}

static const struct decoder_sink PLAIN = { 0 };

static void what_was_encoded_is_decoded_whatever_the_pieces(void **state)
{
	static const size_t steps[] = { 1, 13, 4096, 70000, 1 << 24 };

	(void)state;
	for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
		for (int c = 0; c < 2; c++)
			for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
				size_t n = SIZES[i], step = steps[k];
				uint8_t *p = sample(n);
				struct buf z = BUF(1 << 24);
				struct got g = { 0 };
				struct err e = ERR_INIT;
				struct encoder *x = encoder_new(BOTH[c], &z);

				for (size_t at = 0; at < n; at += step)
					encoder_add(x, p + at,
						    n - at < step ? n - at : step);
				encoder_end_frame(x);
				encoder_destroy(x);
				if (decode(BOTH[c], &z, step, &g, PLAIN, &e))
					fail_msg("%s", e.msg);
				assert_int_equal(g.b.len, n);
				if (n)
					assert_memory_equal(g.b.p, p, n);
				assert_int_equal(g.frames, 1);
				assert_int_equal(g.frame_bytes, z.len);
				buf_free(&z);
				buf_free(&g.b);
				free(p);
			}
	codec_trim();
}

static void lz4_objects_have_the_flags_that_litestream_reads(void **state)
{
	static const uint8_t magic[] = { 0x04, 0x22, 0x4D, 0x18 };

	(void)state;
	for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
		uint8_t *p = sample(SIZES[i]);
		struct buf z = BUF(1 << 24);
		struct encoder *x = encoder_new(CODEC_LZ4, &z);

		encoder_add(x, p, SIZES[i]);
		encoder_end_frame(x);
		encoder_destroy(x);
		assert_memory_equal(z.p, magic, 4);
		assert_int_equal(z.p[4],
				 0x64); /* version 1, independent, content checksum */
		assert_int_equal(z.p[5], SIZES[i] <= 65536 ? 0x40 : 0x50);
		buf_free(&z);
		free(p);
	}
}

static void an_encoder_makes_frame_after_frame(void **state)
{
	struct buf z = BUF(1 << 24);
	struct got g = { 0 };
	struct err e = ERR_INIT;
	uint8_t *p = sample(500000);
	struct encoder *x = encoder_new(CODEC_ZST, &z);

	(void)state;
	for (int i = 0; i < 3; i++) {
		encoder_add(x, p, i == 1 ? 10 : 500000);
		encoder_end_frame(x);
	}
	encoder_destroy(x);
	assert_int_equal(decode(CODEC_ZST, &z, 1000, &g, PLAIN, &e), 0);
	assert_int_equal(g.frames, 3);
	assert_int_equal(g.b.len, 1000010);
	assert_memory_equal(g.b.p, p, 500000);
	assert_memory_equal(g.b.p + 500010, p, 500000);
	assert_int_equal(g.frame_bytes, z.len);
	buf_free(&z);
	buf_free(&g.b);
	free(p);
}

static void an_lz4_encoder_can_be_used_again_too(void **state)
{
	struct buf z = BUF(1 << 24);
	uint8_t *p = sample(600000);
	struct encoder *x = encoder_new(CODEC_LZ4, &z);

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct got g = { 0 };
		struct err e = ERR_INIT;

		buf_reset(&z);
		encoder_add(x, p, 600000);
		encoder_end_frame(x);
		assert_int_equal(decode(CODEC_LZ4, &z, 1 << 20, &g, PLAIN, &e), 0);
		assert_int_equal(g.b.len, 600000);
		buf_free(&g.b);
	}
	encoder_destroy(x);
	buf_free(&z);
	free(p);
}

static void whole_buffers_round_trip_and_lengths_are_exact(void **state)
{
	(void)state;
	for (int c = 0; c < 2; c++) {
		size_t n = 100000;
		uint8_t *p = sample(n), *out = malloc(n + 10);
		struct buf z = BUF(1 << 24);
		struct err e = ERR_INIT;

		assert_non_null(out);
		codec_compress(BOTH[c], p, n, &z);
		assert_int_equal(codec_decompress(BOTH[c], z.p, z.len, out, n, &e), 0);
		assert_memory_equal(out, p, n);
		assert_int_equal(codec_decompress(BOTH[c], z.p, z.len, out, n - 1, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
		assert_int_equal(codec_decompress(BOTH[c], z.p, z.len, out, n + 1, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
		assert_int_equal(codec_decompress(BOTH[c], z.p, z.len - 1, out, n, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
		buf_add(&z, "12345678", 8);
		assert_int_equal(codec_decompress(BOTH[c], z.p, z.len, out, n, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
		assert_int_equal(codec_decompress(BOTH[c], z.p, 0, out, n, &e), -1);
		buf_free(&z);
		free(p);
		free(out);
	}
	assert_string_equal(codec_suffix(CODEC_ZST), "zst");
	assert_string_equal(codec_suffix(CODEC_LZ4), "lz4");
}

static void cutting_anywhere_is_seen(void **state)
{
	uint8_t *p = sample(3000);

	(void)state;
	for (int c = 0; c < 2; c++) {
		struct buf z = BUF(1 << 20);

		codec_compress(BOTH[c], p, 3000, &z);
		size_t whole = z.len;

		for (z.len = 0; z.len < whole; z.len++) {
			struct got g = { 0 };
			struct err e = ERR_INIT;

			assert_int_equal(decode(BOTH[c], &z, 100, &g, PLAIN, &e), -1);
			assert_int_equal(e.code, ERR_CORRUPT);
			buf_free(&g.b);
		}
		buf_free(&z);
	}
	free(p);
}

static void add_skippable(struct buf *b, uint32_t magic, const void *p, uint32_t n)
{
	uint8_t h[8];

	put_le32(h, magic);
	put_le32(h + 4, n);
	buf_add(b, h, sizeof h);
	buf_add(b, p, n);
}

/* What each case puts before and behind one data frame of "hello". */
static const struct around {
	const char *name;
	uint32_t before, behind; /* magic of a skippable frame of "abc"; 0: none */
	const char *end;	 /* bytes after that, or NULL */
	bool lenient, second;	 /* second: another data frame at the end */
	enum { OK, OK_TRAILER, BAD_LZ4, BAD } want; /* BAD_LZ4: good for zst only */
} AROUND[] = {
	{ "nothing", 0, 0, NULL, false, false, OK },
	{ "before", 0x184D2A50, 0, NULL, false, false, OK },
	{ "behind", 0, 0x184D2A5F, NULL, false, false, OK },
	{ "both", 0x184D2A53, 0x184D2A54, NULL, false, false, OK },
	{ "trailer", 0, CODEC_TRAILER_MAGIC, NULL, false, false, OK_TRAILER },
	{ "trailer before", CODEC_TRAILER_MAGIC, 0, NULL, false, false, BAD },
	{ "trailer and more", 0, CODEC_TRAILER_MAGIC, "x", false, false, BAD },
	{ "trailer and more, lenient", 0, CODEC_TRAILER_MAGIC, "x", true, false, BAD },
	{ "trailer and frame", 0, CODEC_TRAILER_MAGIC, NULL, false, true, BAD },
	{ "junk", 0, 0, "some garbage", false, false, BAD },
	{ "few bytes", 0, 0, "abc", false, false, BAD },
	{ "second", 0, 0, NULL, false, true, BAD_LZ4 },
	{ "second, lenient", 0, 0, NULL, true, true, BAD_LZ4 },
	{ "magic of no frame", 0, 0x184D2B50, NULL, false, false, BAD },
};

static void build(struct buf *b, enum codec c, const struct around *a)
{
	if (a->before)
		add_skippable(b, a->before, "abc", 3);
	codec_compress(c, "hello", 5, b);
	if (a->behind)
		add_skippable(b, a->behind, "abc", 3);
	if (a->end)
		buf_add(b, a->end, strlen(a->end));
	if (a->second)
		codec_compress(c, "again", 5, b);
}

static void check_around(enum codec c, const struct around *a, size_t step)
{
	struct buf z = BUF(1 << 16), trailer = BUF(1 << 10);
	struct got g = { 0 };
	struct err e = ERR_INIT;
	struct decoder_sink extra = { .trailer = &trailer, .lenient = a->lenient };

	build(&z, c, a);
	int r = decode(c, &z, step, &g, extra, &e);
	bool bad = a->want == BAD || (a->want == BAD_LZ4 && c == CODEC_LZ4);

	if ((r != 0) != bad)
		fail_msg("%s %s: %d %s", codec_suffix(c), a->name, r, e.msg);
	if (bad)
		assert_int_equal(e.code, ERR_CORRUPT);
	else
		assert_memory_equal(g.b.p, "hello", 5);
	if (a->want == OK_TRAILER) {
		assert_int_equal(trailer.len, 11);
		assert_int_equal(get_le32(trailer.p), CODEC_TRAILER_MAGIC);
		assert_memory_equal(trailer.p + 8, "abc", 3);
	}
	buf_free(&z);
	buf_free(&trailer);
	buf_free(&g.b);
}

static void frames_around_the_data_are_taken_as_the_format_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof AROUND / sizeof *AROUND; i++)
		for (int c = 0; c < 2; c++)
			for (size_t step = 1; step < 100; step += 7)
				check_around(BOTH[c], &AROUND[i], step);
}

static void litestream_garbage_after_an_lz4_frame_is_ignored_if_allowed(void **state)
{
	static const char *const junk[] = { "x", "seven b", "eight by",
					    "much more than that" };

	(void)state;
	for (size_t i = 0; i < 4; i++)
		for (int c = 0; c < 2; c++) {
			struct buf z = BUF(1 << 16);
			struct got g = { 0 };
			struct err e = ERR_INIT;
			struct decoder_sink extra = { .lenient = true };

			codec_compress(BOTH[c], "hello", 5, &z);
			buf_add(&z, junk[i], strlen(junk[i]));
			assert_int_equal(decode(BOTH[c], &z, 3, &g, extra, &e),
					 BOTH[c] == CODEC_LZ4 ? 0 : -1);
			buf_free(&z);
			buf_free(&g.b);
		}
}

static void a_trailer_over_its_ceiling_is_refused(void **state)
{
	struct buf z = BUF(1 << 16), trailer = BUF(20);
	struct got g = { 0 };
	struct err e = ERR_INIT;
	struct decoder_sink extra = { .trailer = &trailer };
	uint8_t payload[13] = { 0 };

	(void)state;
	codec_compress(CODEC_ZST, "hello", 5, &z);
	size_t n = z.len;

	add_skippable(&z, CODEC_TRAILER_MAGIC, payload, 12);
	assert_int_equal(decode(CODEC_ZST, &z, 5, &g, extra, &e), 0);
	assert_int_equal(trailer.len, 20);
	z.len = n;
	buf_reset(&trailer);
	add_skippable(&z, CODEC_TRAILER_MAGIC, payload, 13);
	assert_int_equal(decode(CODEC_ZST, &z, 5, &g, extra, &e), -1);
	assert_string_equal(e.msg, "a trailer of 13 bytes is too long");
	put_le32(z.p + n + 4, UINT32_MAX);
	assert_int_equal(decode(CODEC_ZST, &z, 5, &g, extra, &e), -1);
	assert_string_equal(e.msg, "a trailer of 4294967295 bytes is too long");
	buf_free(&z);
	buf_free(&trailer);
	buf_free(&g.b);
}

static void no_data_is_damage(void **state)
{
	struct buf z = BUF(1 << 10);
	struct got g = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	for (int c = 0; c < 2; c++) {
		buf_reset(&z);
		assert_int_equal(decode(BOTH[c], &z, 5, &g, PLAIN, &e), -1);
		assert_string_equal(e.msg, "the object holds no data");
		add_skippable(&z, 0x184D2A50, "abc", 3);
		assert_int_equal(decode(BOTH[c], &z, 5, &g, PLAIN, &e), -1);
		assert_string_equal(e.msg, "the object holds no data");
		z.len--;
		assert_int_equal(decode(BOTH[c], &z, 5, &g, PLAIN, &e), -1);
		assert_string_equal(e.msg, "the object is cut off");
		buf_reset(&z);
		codec_compress(BOTH[!c], "hello", 5, &z);
		assert_int_equal(decode(BOTH[c], &z, 5, &g, PLAIN, &e), -1);
		assert_non_null(strstr(e.msg, "frame here: magic"));
	}
	buf_free(&z);
	buf_free(&g.b);
}

static void an_lz4_frame_without_content_checksum_is_refused(void **state)
{
	struct buf z = BUF(1 << 10);
	struct got g = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	codec_compress(CODEC_LZ4, "hello", 5, &z);
	z.p[4] &= (uint8_t)~4;
	assert_int_equal(decode(CODEC_LZ4, &z, 5, &g, PLAIN, &e), -1);
	assert_string_equal(e.msg, "an lz4 frame without a content checksum");
	buf_free(&z);
	buf_free(&g.b);
}

static void a_zstd_window_over_8_mib_is_refused(void **state)
{
	/* Magic, descriptor 0 (window byte follows), window 2^24, one empty last raw block. */
	uint8_t f[] = { 0x28, 0xb5, 0x2f, 0xfd, 0, (24 - 10) << 3, 1, 0, 0 };
	struct buf z = BUF(1 << 10);
	struct got g = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	buf_add(&z, f, sizeof f);
	assert_int_equal(decode(CODEC_ZST, &z, 100, &g, PLAIN, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	z.p[5] = (23 - 10) << 3;
	assert_int_equal(decode(CODEC_ZST, &z, 100, &g, PLAIN, &e), 0);
	buf_free(&z);
	buf_free(&g.b);
	codec_trim();
}

static void the_sink_can_stop_and_decoders_can_be_many(void **state)
{
	uint8_t *p = sample(300000);
	struct buf z[2] = { BUF(1 << 20), BUF(1 << 20) };
	struct decoder *d[10];
	struct got g[10] = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	for (int i = 0; i < 10; i++) {
		struct decoder_sink sink = { .arg = &g[i], .data = collect };

		g[i].b.max = 1 << 20;
		g[i].stop_at = 200000;
		d[i] = decoder_new(BOTH[i % 2], &sink);
	}
	for (int c = 0; c < 2; c++)
		codec_compress(BOTH[c], p, 300000, &z[c]);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(decoder_push(d[i], z[i % 2].p, z[i % 2].len, &e), -1);
		assert_int_equal(e.code, ERR_CANCELED);
		assert_true(g[i].b.len < 200000);
	}
	for (int i = 0; i < 10; i++)
		decoder_destroy(d[i]);
	/* A decoder that was left in the middle is as new when it is used again. */
	for (int c = 0; c < 2; c++) {
		struct got h = { 0 };

		assert_int_equal(decode(BOTH[c], &z[c], 1000, &h, PLAIN, &e), 0);
		assert_int_equal(h.b.len, 300000);
		buf_free(&h.b);
		buf_free(&z[c]);
	}
	for (int i = 0; i < 10; i++)
		buf_free(&g[i].b);
	decoder_destroy(NULL);
	encoder_destroy(NULL);
	codec_trim();
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_encoded_is_decoded_whatever_the_pieces),
		cmocka_unit_test(lz4_objects_have_the_flags_that_litestream_reads),
		cmocka_unit_test(an_encoder_makes_frame_after_frame),
		cmocka_unit_test(an_lz4_encoder_can_be_used_again_too),
		cmocka_unit_test(whole_buffers_round_trip_and_lengths_are_exact),
		cmocka_unit_test(cutting_anywhere_is_seen),
		cmocka_unit_test(frames_around_the_data_are_taken_as_the_format_says),
		cmocka_unit_test(
			litestream_garbage_after_an_lz4_frame_is_ignored_if_allowed),
		cmocka_unit_test(a_trailer_over_its_ceiling_is_refused),
		cmocka_unit_test(no_data_is_damage),
		cmocka_unit_test(an_lz4_frame_without_content_checksum_is_refused),
		cmocka_unit_test(a_zstd_window_over_8_mib_is_refused),
		cmocka_unit_test(the_sink_can_stop_and_decoders_can_be_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
