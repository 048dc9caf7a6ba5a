/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/store/layout.h"
#include "tests/unit/unit.h"

#include <string.h>

#define G "0123456789abcdef"

struct good {
	const char *key;
	enum layout_kind kind;
	uint32_t index;
	uint64_t offset;
	enum codec codec;
	uint64_t session; /* 0: none */
	bool canonical;
};

static const struct good good[] = {
	{ "generations/" G "/snapshots/00000000.snapshot.zst", LAYOUT_SNAPSHOT, 0, 0,
	  CODEC_ZST, 0, true },
	{ "generations/" G "/snapshots/7fffffff.snapshot.lz4", LAYOUT_SNAPSHOT, 0x7fffffff,
	  0, CODEC_LZ4, 0, true },
	{ "generations/" G "/wal/0000001f_0002d458.wal.zst", LAYOUT_SEGMENT, 0x1f, 0x2d458,
	  CODEC_ZST, 0, true },
	{ "generations/" G "/wal/00000000_ffffffff.wal.lz4", LAYOUT_SEGMENT, 0, 0xffffffff,
	  CODEC_LZ4, 0, true },
	{ "generations/" G "/wal/00000000_100000000.wal.zst", LAYOUT_SEGMENT, 0,
	  0x100000000, CODEC_ZST, 0, true },
	{ "generations/" G "/wal/00000000_ffffffffffffffff.wal.zst", LAYOUT_SEGMENT, 0,
	  UINT64_MAX, CODEC_ZST, 0, true },
	{ "generations/" G "/wal/00000001_00000020-00000000deadbeef.wal.zst",
	  LAYOUT_SEGMENT, 1, 32, CODEC_ZST, 0xdeadbeef, true },
	/* Padded by someone else: read, not written. */
	{ "generations/" G "/wal/00000001_00000000000273c8.wal.lz4", LAYOUT_SEGMENT, 1,
	  0x273c8, CODEC_LZ4, 0, false },
	{ "generations/" G "/generation.json", LAYOUT_LINEAGE, 0, 0, CODEC_ZST, 0, true },
	{ "walback/head.json", LAYOUT_HEAD, 0, 0, CODEC_ZST, 0, true },
	{ "walback/verified.json", LAYOUT_VERIFIED, 0, 0, CODEC_ZST, 0, true },
	{ "walback/tags/pre-rollback.json", LAYOUT_TAG, 0, 0, CODEC_ZST, 0, true },
	{ "walback/audit/20240102T030905.845Z-rollback.json", LAYOUT_AUDIT, 0, 0, CODEC_ZST,
	  0, true },
};

static void keys_become_facts_and_keys_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const struct good *g = &good[i];
		struct fact f = layout_parse(g->key);
		char key[LAYOUT_KEY_MAX];

		assert_int_equal(f.kind, g->kind);
		assert_int_equal(f.pos.index, g->index);
		assert_true(f.pos.offset == g->offset);
		assert_int_equal(f.codec, g->codec);
		assert_int_equal(f.has_session, g->session != 0);
		assert_true(f.session == g->session);
		assert_int_equal(layout_canonical(&f), g->canonical);
		layout_format(&f, key);
		assert_string_equal(key, g->key);
	}
}

static const char *const others[] = {
	"",
	"generations/",
	"generations/.DS_Store",
	"generations/" G,
	"generations/" G "/",
	"generations/" G "/generation.json.tmp",
	"generations/ABCDEF0123456789/wal/00000000_00000000.wal.lz4",
	"generations/0123456789abcde/wal/00000000_00000000.wal.lz4",
	"generations/0123456789abcdef0/wal/00000000_00000000.wal.lz4",
	"generations/old-copy/snapshots/00000000.snapshot.lz4",
	"generations/" G "/snapshots/00000000.snapshot",
	"generations/" G "/snapshots/00000000.snapshot.lz4.tmp",
	"generations/" G "/snapshots/80000000.snapshot.lz4",
	"generations/" G "/snapshots/0000000.snapshot.lz4",
	"generations/" G "/snapshots/backup.db",
	"generations/" G "/wal/00000001_00000008.wal",
	"generations/" G "/wal/0000001_00000008.wal.lz4",
	"generations/" G "/wal/000000001_00000008.wal.lz4",
	"generations/" G "/wal/00000001_0000008.wal.lz4",
	"generations/" G "/wal/00000001_00000000000000008.wal.lz4",
	"generations/" G "/wal/00000001_000273c8.WAL.LZ4",
	"generations/" G "/wal/00000001_000273C8.wal.lz4",
	"generations/" G "/wal/00000001_000273c8.wal.lz4.tmp",
	"generations/" G "/wal/00000001_000273c8.wal.gz",
	"generations/" G "/wal/00000001_00000020-deadbeef.wal.zst",
	"generations/" G "/wal/00000001_00000020-.wal.zst",
	"generations/" G "/wal/sub/00000001_00000020.wal.zst",
	"generations/" G "/wal/80000000_00000000.wal.zst",
	"lock.json",
	"walback/head.json.tmp",
	"walback/tags/.json",
	"walback/tags/.hidden.json",
	"walback/tags/a/b.json",
	"walback/tags/a b.json",
	"ltx/0/0000000000000001-0000000000000001.ltx.tmp",
	"ltx/0/000000000000001-0000000000000001.ltx",
	"ltx/10/0000000000000001-0000000000000001.ltx",
	"000a/0000000000000001-0000000000000001.ltx",
};

static void whatever_is_not_of_the_grammar_is_nobodys(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct fact f = layout_parse(others[i]);

		if (f.kind != LAYOUT_OTHER)
			fail_msg("%s was taken", others[i]);
	}
}

static void ltx_files_are_known_in_both_layouts(void **state)
{
	struct fact f = layout_parse("ltx/9/0000000000000001-00000000000000ff.ltx");
	char key[LAYOUT_KEY_MAX];

	(void)state;
	assert_int_equal(f.kind, LAYOUT_LTX);
	assert_int_equal(f.level, 9);
	assert_true(f.min_txid == 1 && f.max_txid == 255);
	f = layout_parse("0002/0000000000000001-00000000000000ff.ltx");
	assert_int_equal(f.kind, LAYOUT_LTX);
	assert_int_equal(f.level, 2);
	layout_format(&f, key);
	assert_string_equal(key, "");
}

static void offsets_have_eight_digits_below_four_gib(void **state)
{
	char key[LAYOUT_KEY_MAX];

	(void)state;
	layout_segment_key(G, (struct wal_pos){ 0x1f, 0x2d458 }, CODEC_ZST, key);
	assert_string_equal(key, "generations/" G "/wal/0000001f_0002d458.wal.zst");
	layout_segment_key(G, (struct wal_pos){ 0, 0x123456789a }, CODEC_ZST, key);
	assert_string_equal(key, "generations/" G "/wal/00000000_123456789a.wal.zst");
	layout_snapshot_key(G, 2, CODEC_LZ4, key);
	assert_string_equal(key, "generations/" G "/snapshots/00000002.snapshot.lz4");
}

static void names_and_ids_are_checked(void **state)
{
	char longest[LAYOUT_NAME_MAX + 2];

	(void)state;
	assert_true(layout_generation_ok(G));
	assert_false(layout_generation_ok("0123456789abcdeF"));
	assert_false(layout_generation_ok(""));
	assert_true(layout_name_ok("pre-migrate-20261121T024500Z"));
	assert_false(layout_name_ok(""));
	assert_false(layout_name_ok("../x"));
	memset(longest, 'a', sizeof(longest));
	longest[LAYOUT_NAME_MAX + 1] = '\0';
	assert_false(layout_name_ok(longest));
	longest[LAYOUT_NAME_MAX] = '\0';
	assert_true(layout_name_ok(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_become_facts_and_keys_again),
		cmocka_unit_test(whatever_is_not_of_the_grammar_is_nobodys),
		cmocka_unit_test(ltx_files_are_known_in_both_layouts),
		cmocka_unit_test(offsets_have_eight_digits_below_four_gib),
		cmocka_unit_test(names_and_ids_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
