/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replicate/lineage.h"
#include "agent/store/layout.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"
#include "wal/segment.h"
#include "wal/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1700000000000

static char *dir;
static struct store *store;

static int begin(void **state)
{
	struct store_options o = { 0 };

	(void)state;
	dir = tmpdir_new();
	store = store_file_new(dir, &o);
	return 0;
}

static int end(void **state)
{
	(void)state;
	store_close(store);
	tmpdir_remove(dir);
	return 0;
}

static void put(const char *key, const struct buf *b)
{
	struct store_put o = { 0 };
	struct err e = ERR_INIT;

	if (store->ops->put(store, key, b->p, b->len, &o, &e) < 0)
		fail_msg("%s: %s", key, e.msg);
}

static const uint8_t *page(uint8_t fill)
{
	static uint8_t p[512];

	memset(p, fill, sizeof(p));
	return p;
}

/* One segment of one commit at pos; its db_sum_after is sum. */
static void put_segment(const char *generation, struct wal_pos pos, uint64_t session,
			uint64_t before, uint64_t sum, enum codec codec)
{
	struct segment_start s = { .codec = codec,
				   .page_size = 512,
				   .session = session,
				   .db_sum_before = before,
				   .db_pages_before = 1,
				   .last_time_ms = NOW };
	struct buf b = BUF(1 << 20);
	char key[LAYOUT_KEY_MAX];
	struct synth y;

	memcpy(s.generation, generation, sizeof(s.generation));
	synth_init(&y, 512, pos.index);
	if (pos.offset) {
		uint8_t head[WAL_HEADER_SIZE];

		synth_header(&y, head);
		y.pos = pos;
	}
	struct segment_writer *w = segment_new(&s, &y);

	segment_frame(w, 1, 1, page(1));
	segment_commit(w, NOW + 5, sum, 1);
	segment_finish(w, &b, NULL);
	segment_destroy(w);
	layout_segment_key(generation, pos, codec, key);
	put(key, &b);
	buf_free(&b);
}

static void put_snapshot(const char *generation, uint64_t sum, enum codec codec)
{
	struct buf b = BUF(1 << 20);
	struct trailer t = {
		.page_size = 512, .db_sum_after = sum, .db_pages_after = 1, .time_ms = NOW
	};
	struct snapshot_writer *w = snapshot_new(codec, 512, &b);
	char key[LAYOUT_KEY_MAX];

	memcpy(t.generation, generation, sizeof(t.generation));
	snapshot_add(w, page(0), 512);
	snapshot_finish(w, &t);
	snapshot_destroy(w);
	trailer_free(&t);
	layout_snapshot_key(generation, 0, codec, key);
	put(key, &b);
	buf_free(&b);
}

static struct lineage_facts facts(uint64_t db_sum)
{
	return (struct lineage_facts){ .page_size = 512,
				       .db_sum = db_sum,
				       .db_name = "app.db",
				       .version = "0",
				       .session = 77 };
}

/* A generation with its record, made current; sum is that of its snapshot. */
static struct lineage_plan make_current(struct lineage_facts f)
{
	struct lineage_plan p;
	struct err e = ERR_INIT;

	if (lineage_decide(store, &f, NOW, &p, &e) < 0 ||
	    lineage_write_record(store, &p, &e) < 0)
		fail_msg("%s", e.msg);
	put_snapshot(p.record.generation, f.db_sum, p.record.compression);
	if (lineage_write_head(store, &p, NOW, &e) < 0)
		fail_msg("%s", e.msg);
	return p;
}

static struct lineage_plan decide(struct lineage_facts f)
{
	struct lineage_plan p;
	struct err e = ERR_INIT;

	if (lineage_decide(store, &f, NOW + 1000, &p, &e) < 0)
		fail_msg("%s", e.msg);
	return p;
}

static void an_empty_store_begins_a_history(void **state)
{
	struct lineage_plan p = decide(facts(1));

	(void)state;
	assert_int_equal(p.record.reason, REASON_INIT);
	assert_false(p.record.has_parent);
	assert_true(p.move_head);
	assert_int_equal(p.record.compression, CODEC_ZST);
	assert_string_equal(p.etag, "");
	assert_string_equal(p.differs, "");
	assert_int_equal(p.head.epoch, 1);
}

static void the_same_sum_is_the_same_history(void **state)
{
	struct lineage_plan first = make_current(facts(10)), p = decide(facts(10));

	(void)state;
	assert_int_equal(p.record.reason, REASON_CONTINUED);
	assert_true(p.record.has_parent);
	assert_string_equal(p.record.parent.generation, first.record.generation);
	assert_true(p.move_head);
	assert_int_equal(p.head.epoch, 2);
}

static void the_newest_segment_counts_and_its_end_is_the_parents_position(void **state)
{
	struct lineage_plan first = make_current(facts(10)), p;
	const char *g = first.record.generation;

	(void)state;
	put_segment(g, (struct wal_pos){ 0, 0 }, 77, 10, 11, CODEC_ZST);
	put_segment(g, (struct wal_pos){ 1, 0 }, 77, 11, 12, CODEC_ZST);
	p = decide(facts(12));
	assert_int_equal(p.record.reason, REASON_CONTINUED);
	assert_int_equal(p.record.parent.pos.index, 1);
	assert_int_equal(p.record.parent.pos.offset, 32 + 24 + 512);
	assert_int_equal(p.record.parent.time_ms, NOW + 5);
	/* What an older object left is behind, and no continuation. */
	p = decide(facts(11));
	assert_int_equal(p.record.reason, REASON_DIVERGED);
	assert_false(p.move_head);
}

static void the_local_state_names_the_history(void **state)
{
	struct lineage_plan first = make_current(facts(10)), p;
	struct lineage_facts f = facts(999);
	const char *g = first.record.generation;

	(void)state;
	put_segment(g, (struct wal_pos){ 0, 0 }, 77, 10, 11, CODEC_ZST);
	f.have_state = true;
	memcpy(f.state.generation, g, 17);
	f.state.acked = (struct wal_pos){ 0, 568 };
	f.state.session = 77;
	p = decide(f);
	assert_int_equal(p.record.reason, REASON_CONTINUED);
	/* A request of ours whose answer did not come before the crash: still ours. */
	f.state.acked = (struct wal_pos){ 0, 0 };
	p = decide(f);
	assert_int_equal(p.record.reason, REASON_CONTINUED);
	/* Another writer went on from there: the store is ahead. */
	f.state.session = 78;
	p = decide(f);
	assert_int_equal(p.record.reason, REASON_DIVERGED);
	assert_non_null(strstr(p.differs, "the store is ahead: generation "));
	assert_non_null(strstr(p.differs,
			       "goes on to 00000000:00000238, this database's part of it "
			       "ends at 00000000:00000000"));
}

static void a_crash_right_after_head_was_moved_is_no_divergence(void **state)
{
	struct lineage_plan first = make_current(facts(10)), p;
	struct lineage_facts f = facts(999);

	(void)state;
	f.have_state = true;
	memcpy(f.state.generation, "0000000000000001", 17);
	memcpy(f.state.next, first.record.generation, 17);
	p = decide(f);
	assert_int_equal(p.record.reason, REASON_CONTINUED);
	assert_true(p.move_head);
}

static void a_foreign_database_goes_aside(void **state)
{
	struct lineage_plan first = make_current(facts(10)), p = decide(facts(999));
	struct err e = ERR_INIT;
	bool none;
	char why[240];
	struct lineage_facts f = facts(999);

	(void)state;
	assert_int_equal(p.record.reason, REASON_DIVERGED);
	assert_false(p.move_head);
	char *want = mem_fmt(
		"this database is not what generation %s, the current one, left behind",
		first.record.generation);

	assert_string_equal(p.differs, want);
	assert_int_equal(lineage_same_history(store, &f, &none, why, &e), 0);
	assert_string_equal(why, want);
	assert_false(none);
	free(want);
	/* Writing its head changes nothing. */
	assert_int_equal(lineage_write_head(store, &p, NOW, &e), 0);
	assert_int_equal(lineage_release(store, &p, NOW, &e), 0);
	assert_string_equal(decide(facts(10)).record.parent.generation,
			    first.record.generation);
}

static void a_head_that_somebody_else_moved_is_not_overwritten(void **state)
{
	struct lineage_plan first = make_current(facts(10));
	struct lineage_plan a = decide(facts(10)), b = decide(facts(10));
	struct err e = ERR_INIT;

	(void)state;
	(void)first;
	assert_int_equal(lineage_write_head(store, &a, NOW, &e), 0);
	assert_int_equal(lineage_write_head(store, &b, NOW, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_string_equal(e.slug, "head_moved");
	/* The one that won may release. */
	struct err none = ERR_INIT;

	assert_int_equal(lineage_release(store, &a, NOW, &none), 0);
}

static void what_holds_lz4_goes_on_in_lz4_unless_told_otherwise(void **state)
{
	struct lineage_facts f = facts(10);

	(void)state;
	f.compression = COMPRESSION_LZ4;
	make_current(f);
	f.compression = COMPRESSION_AUTO;
	assert_int_equal(decide(f).record.compression, CODEC_LZ4);
	assert_true(decide(f).kept_lz4);
	f.compression = COMPRESSION_ZST;
	assert_int_equal(decide(f).record.compression, CODEC_ZST);
	assert_false(decide(f).kept_lz4);
}

static void no_backup_at_all_is_told_apart(void **state)
{
	struct lineage_facts f = facts(10);
	struct err e = ERR_INIT;
	bool none = false;
	char why[240];

	(void)state;
	assert_int_equal(lineage_same_history(store, &f, &none, why, &e), 1);
	assert_true(none);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_empty_store_begins_a_history),
		T(the_same_sum_is_the_same_history),
		T(the_newest_segment_counts_and_its_end_is_the_parents_position),
		T(the_local_state_names_the_history),
		T(a_crash_right_after_head_was_moved_is_no_divergence),
		T(a_foreign_database_goes_aside),
		T(a_head_that_somebody_else_moved_is_not_overwritten),
		T(what_holds_lz4_goes_on_in_lz4_unless_told_otherwise),
		T(no_backup_at_all_is_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
