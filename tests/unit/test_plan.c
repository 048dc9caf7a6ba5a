/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/exit.h"
#include "agent/restore/plan.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define A "aaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbb"
#define C "cccccccccccccccc"

/* A catalog from lines "key time". */
static struct catalog *catalog_of(const char *const *lines)
{
	struct catalog *c = catalog_new();

	for (; *lines; lines++) {
		char key[256];
		long long ms = 0;

		assert_int_equal(sscanf(*lines, "%255s %lld", key, &ms), 2);
		catalog_add(c, key, 100, ms);
	}
	catalog_sort(c);
	return c;
}

static void set_record(struct catalog *c, const char *id, int64_t created_ms,
		       const char *parent)
{
	struct lineage l = { .created_at_ms = created_ms, .has_parent = parent != NULL };

	strcpy(l.generation, id);
	if (parent)
		strcpy(l.parent.generation, parent);
	for (size_t i = 0; i < c->ngens; i++)
		if (strcmp(c->gens[i].id, id) == 0)
			c->gens[i].record = mem_dup(&l, sizeof(l));
}

static void set_head(struct catalog *c, const char *id)
{
	c->has_head = true;
	strcpy(c->head.generation, id);
}

#define SNAP(g, i) "generations/" g "/snapshots/" i ".snapshot.lz4"
#define SEG(g, p) "generations/" g "/wal/" p ".wal.lz4"
#define REC(g) "generations/" g "/generation.json 1"

/* ---- which generation ---- */

static void expect_generation(const struct catalog *c, struct plan_target t,
			      const char *want)
{
	struct err e = ERR_INIT;
	const struct cat_generation *g = plan_generation(c, &t, NULL, &e);

	if (!g)
		fail_msg("%s", e.msg);
	assert_string_equal(g->id, want);
}

static void expect_no_generation(const struct catalog *c, struct plan_target t, int status,
				 const char *slug, const char *message)
{
	struct err e = ERR_INIT;

	assert_null(plan_generation(c, &t, NULL, &e));
	assert_int_equal(exit_from_err(&e), status);
	assert_string_equal(e.slug, slug);
	assert_string_equal(e.msg, message);
	assert_true(e.hint[0] != '\0');
}

static const struct plan_target latest = { .kind = PLAN_LATEST };

static void without_records_the_newest_with_a_snapshot_is_current(void **state)
{
	static const char *const lines[] = {
		SNAP(A, "00000000") " 1000",	     SEG(A, "00000000_00000000") " 5000",
		SNAP(B, "00000000") " 2000",	     SEG(B, "00000000_00000000") " 4000",
		SEG(C, "00000000_00000000") " 9000", NULL
	};
	struct catalog *c CLEANUP(catalog_freep) = catalog_of(lines);
	struct buf notes CLEANUP(buf_free) = BUF(1000);
	struct err e = ERR_INIT;

	(void)state;
	assert_string_equal(plan_generation(c, &latest, &notes, &e)->id, A);
	assert_string_equal((char *)notes.p,
			    "generation " C " is newer but has no snapshot: passed over\n");
	expect_generation(c, (struct plan_target){ .generation = B }, B);
	expect_no_generation(c, (struct plan_target){ .generation = C }, 13, "no_snapshot",
			     "generation " C
			     " has no snapshot: nothing can be restored from it");
	expect_no_generation(c, (struct plan_target){ .generation = "dddddddddddddddd" },
			     10, "no_generation",
			     "no backup found: there is no generation dddddddddddddddd");
}

static void without_records_a_time_goes_by_the_newest_object_until_then(void **state)
{
	static const char *const lines[] = { SNAP(A, "00000000") " 1000",
					     SEG(A, "00000000_00000000") " 5000",
					     SNAP(B, "00000000") " 2000",
					     SEG(B, "00000000_00000000") " 4000", NULL };
	struct catalog *c CLEANUP(catalog_freep) = catalog_of(lines);

	(void)state;
	expect_generation(c, (struct plan_target){ .kind = PLAN_TIME, .time_ms = 1000 }, A);
	expect_generation(c, (struct plan_target){ .kind = PLAN_TIME, .time_ms = 1999 }, A);
	expect_generation(c, (struct plan_target){ .kind = PLAN_TIME, .time_ms = 2000 }, B);
	expect_generation(c, (struct plan_target){ .kind = PLAN_TIME, .time_ms = 4999 }, B);
	expect_generation(c, (struct plan_target){ .kind = PLAN_TIME, .time_ms = 5000 }, A);
	expect_generation(c, (struct plan_target){ .kind = PLAN_TIME, .time_ms = 99999 },
			  A);
	expect_no_generation(
		c, (struct plan_target){ .kind = PLAN_TIME, .time_ms = 999 }, 10,
		"before_first",
		"no backup that old: the first moment is 1970-01-01T00:00:01.000Z");
}

static void head_names_the_current_one_and_parents_rule_until_their_child(void **state)
{
	static const char *const lines[] = { REC(A),
					     SNAP(A, "00000000") " 1000",
					     SEG(A, "00000000_00000000") " 9000",
					     REC(B),
					     SNAP(B, "00000000") " 5000",
					     REC(C),
					     SNAP(C, "00000000") " 7000",
					     NULL };
	struct catalog *c CLEANUP(catalog_freep) = catalog_of(lines);

	(void)state;
	set_head(c, C);
	set_record(c, C, 7000, B);
	set_record(c, B, 5000, A);
	set_record(c, A, 1000, NULL);
	expect_generation(c, latest, C);
	expect_generation(c, (struct plan_target){ .kind = PLAN_TIME, .time_ms = 7000 }, C);
	expect_generation(c, (struct plan_target){ .kind = PLAN_TIME, .time_ms = 6999 }, B);
	expect_generation(c, (struct plan_target){ .kind = PLAN_TIME, .time_ms = 5000 }, B);
	expect_generation(c, (struct plan_target){ .kind = PLAN_TIME, .time_ms = 4999 }, A);
	expect_generation(c, (struct plan_target){ .kind = PLAN_TIME, .time_ms = 1 }, A);
	/* Only a time looks at parents. */
	expect_generation(c, (struct plan_target){ .kind = PLAN_INDEX, .index = 0 }, C);
}

static void parents_that_name_each_other_do_not_go_on_for_ever(void **state)
{
	static const char *const lines[] = { REC(A), SNAP(A, "00000000") " 1000", REC(B),
					     SNAP(B, "00000000") " 5000", NULL };
	struct catalog *c CLEANUP(catalog_freep) = catalog_of(lines);
	struct err e = ERR_INIT;
	const struct plan_target t = { .kind = PLAN_TIME, .time_ms = 1 };

	(void)state;
	set_head(c, B);
	set_record(c, B, 5000, A);
	set_record(c, A, 6000, B);
	assert_non_null(plan_generation(c, &t, NULL, &e));
}

static void what_stops_a_restore_before_it_begins(void **state)
{
	static const char *const nothing[] = { "lock.json 5", NULL };
	static const char *const ltx[] = {
		"ltx/0/0000000000000001-0000000000000001.ltx 5000",
		"0009/0000000000000001-0000000000000003.ltx 6000", NULL
	};
	static const char *const wal_only[] = { SEG(A, "00000000_00000000") " 1", NULL };
	static const char *const stale[] = { REC(A), SNAP(A, "00000000") " 1000",
					     SNAP(B, "00000000") " 1001", NULL };
	struct catalog *c;

	(void)state;
	c = catalog_of(nothing);
	expect_no_generation(c, latest, 10, "no_backup",
			     "no backup found: the replica holds no generation");
	catalog_free(c);

	c = catalog_of(ltx);
	expect_no_generation(
		c, latest, 13, "ltx_only",
		"the replica holds 2 LTX files of Litestream 0.5, which walback "
		"cannot read yet");
	catalog_free(c);

	c = catalog_of(wal_only);
	expect_no_generation(c, latest, 13, "no_snapshot",
			     "generation " A
			     " has no snapshot: nothing can be restored from it");
	set_head(c, B);
	expect_no_generation(c, latest, 13, "no_snapshot",
			     "head.json names generation " B ", which has no objects");
	set_head(c, A);
	expect_no_generation(c, latest, 13, "no_snapshot",
			     "head.json names generation " A ", which has no snapshot");
	c->head_error = mem_str("head.json is no JSON");
	expect_no_generation(c, latest, 13, "bad_head",
			     "which generation is current cannot be told: head.json is no "
			     "JSON");
	catalog_free(c);

	c = catalog_of(stale);
	set_head(c, A);
	expect_no_generation(c, latest, 16, "stale_head",
			     "head.json names generation " A
			     " (newest object 1970-01-01T00:00:01.000Z), "
			     "but Litestream's generation " B
			     " is newer (1970-01-01T00:00:01.001Z)");
	expect_generation(c, (struct plan_target){ .generation = A }, A);
	expect_generation(c, (struct plan_target){ .generation = B }, B);
	catalog_free(c);
}

static void newer_ltx_files_need_a_choice(void **state)
{
	static const char *const lines[] = {
		SNAP(A, "00000000") " 1000",
		"ltx/0/0000000000000001-0000000000000001.ltx 5000", NULL
	};
	struct catalog *c CLEANUP(catalog_freep) = catalog_of(lines);
	struct plan_target t = { .kind = PLAN_TIME, .time_ms = 1000 };
	struct err e = ERR_INIT;

	(void)state;
	expect_generation(c, t, A);
	t.time_ms = 1001;
	assert_null(plan_generation(c, &t, NULL, &e));
	assert_string_equal(e.slug, "newer_ltx");
	assert_null(plan_generation(c, &latest, NULL, &e));
	assert_int_equal(exit_from_err(&e), 16);
	expect_generation(c, (struct plan_target){ .generation = A }, A);
}

/* ---- which snapshot ---- */

static void a_snapshot_serves_from_its_valid_position_on(void **state)
{
	const struct plan_snapshot s = { .replay = { 2, 0 },
					 .valid = { 3, 500 },
					 .time_ms = 7000 };
	const struct {
		struct plan_target t;
		bool serves;
	} cases[] = {
		{ { .kind = PLAN_LATEST }, true },
		{ { .kind = PLAN_TIME, .time_ms = 6999 }, false },
		{ { .kind = PLAN_TIME, .time_ms = 7000 }, true },
		{ { .kind = PLAN_INDEX, .index = 2 }, false },
		{ { .kind = PLAN_INDEX, .index = 3 }, true },
		{ { .kind = PLAN_POSITION, .pos = { 3, 499 } }, false },
		{ { .kind = PLAN_POSITION, .pos = { 3, 500 } }, true },
		{ { .kind = PLAN_POSITION, .pos = { 4, 0 } }, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(plan_snapshot_serves(&s, &cases[i].t), cases[i].serves);
}

/* ---- the chain ---- */

struct chain_case {
	const char *name;
	const char *lines[10];
	uint32_t snapshot; /* which of them */
	struct wal_pos replay;
	struct plan_target t;
	size_t first, end;
	bool hole;
	struct wal_pos at;
};

#define LATEST                      \
	{                           \
		.kind = PLAN_LATEST \
	}

static const struct chain_case chains[] = {
	{ "snapshot alone",
	  { SNAP(A, "00000000") " 1" },
	  0,
	  { 0, 0 },
	  LATEST,
	  0,
	  0,
	  false,
	  { 0, 0 } },
	{ "two indexes",
	  { SNAP(A, "00000000") " 1", SEG(A, "00000000_00000000") " 1",
	    SEG(A, "00000000_00001038") " 1", SEG(A, "00000001_00000000") " 1" },
	  0,
	  { 0, 0 },
	  LATEST,
	  0,
	  3,
	  false,
	  { 0, 0 } },
	{ "older indexes are left out",
	  { SNAP(A, "00000002") " 1", SEG(A, "00000000_00001038") " 1",
	    SEG(A, "00000002_00000000") " 1" },
	  0,
	  { 2, 0 },
	  LATEST,
	  1,
	  2,
	  false,
	  { 0, 0 } },
	{ "the first index is missing",
	  { SNAP(A, "00000000") " 1", SEG(A, "00000001_00000000") " 1" },
	  0,
	  { 0, 0 },
	  LATEST,
	  0,
	  0,
	  true,
	  { 0, 0 } },
	{ "the first object is missing",
	  { SNAP(A, "00000000") " 1", SEG(A, "00000000_00001038") " 1" },
	  0,
	  { 0, 0 },
	  LATEST,
	  0,
	  0,
	  true,
	  { 0, 0 } },
	{ "an index is missing",
	  { SNAP(A, "00000000") " 1", SEG(A, "00000000_00000000") " 1",
	    SEG(A, "00000002_00000000") " 1" },
	  0,
	  { 0, 0 },
	  LATEST,
	  0,
	  1,
	  true,
	  { 1, 0 } },
	{ "an index begins late",
	  { SNAP(A, "00000000") " 1", SEG(A, "00000000_00000000") " 1",
	    SEG(A, "00000001_00001038") " 1" },
	  0,
	  { 0, 0 },
	  LATEST,
	  0,
	  1,
	  true,
	  { 1, 0 } },
	{ "a hole behind the wanted index does not matter",
	  { SNAP(A, "00000000") " 1", SEG(A, "00000000_00000000") " 1",
	    SEG(A, "00000002_00000000") " 1" },
	  0,
	  { 0, 0 },
	  { .kind = PLAN_INDEX, .index = 0 },
	  0,
	  1,
	  false,
	  { 0, 0 } },
	{ "nor behind the wanted position",
	  { SNAP(A, "00000000") " 1", SEG(A, "00000000_00000000") " 1",
	    SEG(A, "00000000_00001038") " 1", SEG(A, "00000002_00000000") " 1" },
	  0,
	  { 0, 0 },
	  { .kind = PLAN_POSITION, .pos = { 0, 0x1038 } },
	  0,
	  1,
	  false,
	  { 0, 0 } },
	{ "by time up to the first later object",
	  { SNAP(A, "00000000") " 1", SEG(A, "00000000_00000000") " 5",
	    SEG(A, "00000000_00001038") " 9", SEG(A, "00000001_00000000") " 7" },
	  0,
	  { 0, 0 },
	  { .kind = PLAN_TIME, .time_ms = 8 },
	  0,
	  1,
	  false,
	  { 0, 0 } },
	{ "times of ours are inside: read on",
	  { REC(A), SNAP(A, "00000000") " 1", SEG(A, "00000000_00000000") " 5",
	    SEG(A, "00000000_00001038") " 9" },
	  0,
	  { 0, 0 },
	  { .kind = PLAN_TIME, .time_ms = 8 },
	  0,
	  2,
	  false,
	  { 0, 0 } },
	{ "two endings at one place",
	  { REC(A), SNAP(A, "00000000") " 1", SEG(A, "00000000_00000000") " 5",
	    "generations/" A "/wal/00000000_00000000.wal.zst 5" },
	  0,
	  { 0, 0 },
	  LATEST,
	  0,
	  0,
	  true,
	  { 0, 0 } },
	{ "two sessions at one place",
	  { REC(A), SNAP(A, "00000000") " 1", SEG(A, "00000000_00000000") " 5",
	    SEG(A, "00000000_00001038-00000000000000aa") " 5",
	    SEG(A, "00000000_00001038-00000000000000bb") " 5" },
	  0,
	  { 0, 0 },
	  LATEST,
	  0,
	  1,
	  true,
	  { 0, 0x1038 } },
	{ "replay inside an index",
	  { REC(A), SNAP(A, "00000000") " 1", SEG(A, "00000000_00000000") " 5",
	    SEG(A, "00000000_00001038") " 5" },
	  0,
	  { 0, 0x1038 },
	  LATEST,
	  1,
	  2,
	  false,
	  { 0, 0 } },
	{ "a compacted object covers the replay position",
	  { REC(A), SNAP(A, "00000000") " 1", SEG(A, "00000000_00000000") " 5",
	    SEG(A, "00000000_00002050") " 5" },
	  0,
	  { 0, 0x1038 },
	  LATEST,
	  0,
	  2,
	  false,
	  { 0, 0 } },
	{ "replay at the end of an index",
	  { REC(A), SNAP(A, "00000000") " 1", SEG(A, "00000000_00000000") " 5",
	    SEG(A, "00000001_00000000") " 5" },
	  0,
	  { 0, 0x1038 },
	  LATEST,
	  1,
	  2,
	  false,
	  { 0, 0 } },
	{ "Litestream's snapshot far beyond older WAL that is newer",
	  { SNAP(A, "00000005") " 1", SEG(A, "00000002_00000000") " 5" },
	  0,
	  { 5, 0 },
	  LATEST,
	  1,
	  1,
	  true,
	  { 3, 0 } },
	{ "Litestream's newest snapshot before its WAL",
	  { SNAP(A, "00000003") " 6", SEG(A, "00000002_00000000") " 5" },
	  0,
	  { 3, 0 },
	  LATEST,
	  1,
	  1,
	  false,
	  { 0, 0 } },
};

static void chains_go_to_the_target_or_the_first_hole(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		const struct chain_case *k = &chains[i];
		struct catalog *c CLEANUP(catalog_freep) = catalog_of(k->lines);
		const struct cat_generation *g = catalog_find(c, A);
		struct plan p;

		plan_chain(&p, g, &g->snapshots[k->snapshot], k->replay, &k->t);
		if (p.first != k->first || p.end != k->end || p.hole != k->hole ||
		    wal_pos_cmp(p.at, k->at) != 0)
			fail_msg("%s: [%zu, %zu) hole %d at %x:%llx", k->name, p.first,
				 p.end, p.hole, p.at.index,
				 (unsigned long long)p.at.offset);
		assert_int_equal(p.twin != NULL,
				 strncmp(k->name, "two ", 4) == 0 && k->hole);
	}
}

static void snapshots_are_listed_for_targets_they_may_serve(void **state)
{
	static const char *const lines[] = { SNAP(A, "00000002") " 5000", NULL };
	static const char *const ours[] = { REC(A), SNAP(A, "00000002") " 5000", NULL };
	struct catalog *c CLEANUP(catalog_freep) = catalog_of(lines);
	struct catalog *o CLEANUP(catalog_freep) = catalog_of(ours);
	const struct {
		struct plan_target t;
		bool plain, with_record;
	} cases[] = {
		{ { .kind = PLAN_LATEST }, true, true },
		{ { .kind = PLAN_TIME, .time_ms = 4999 }, false, true },
		{ { .kind = PLAN_TIME, .time_ms = 5000 }, true, true },
		{ { .kind = PLAN_INDEX, .index = 0 }, false, false },
		{ { .kind = PLAN_INDEX, .index = 1 }, false, true },
		{ { .kind = PLAN_INDEX, .index = 2 }, true, true },
		{ { .kind = PLAN_POSITION, .pos = { 1, 99 } }, false, false },
		{ { .kind = PLAN_POSITION, .pos = { 2, 0 } }, true, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct cat_generation *g = catalog_find(c, A);

		assert_int_equal(plan_snapshot_listed(g, &g->snapshots[0], &cases[i].t),
				 cases[i].plain);
		g = catalog_find(o, A);
		assert_int_equal(plan_snapshot_listed(g, &g->snapshots[0], &cases[i].t),
				 cases[i].with_record);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_records_the_newest_with_a_snapshot_is_current),
		cmocka_unit_test(
			without_records_a_time_goes_by_the_newest_object_until_then),
		cmocka_unit_test(
			head_names_the_current_one_and_parents_rule_until_their_child),
		cmocka_unit_test(parents_that_name_each_other_do_not_go_on_for_ever),
		cmocka_unit_test(what_stops_a_restore_before_it_begins),
		cmocka_unit_test(newer_ltx_files_need_a_choice),
		cmocka_unit_test(a_snapshot_serves_from_its_valid_position_on),
		cmocka_unit_test(snapshots_are_listed_for_targets_they_may_serve),
		cmocka_unit_test(chains_go_to_the_target_or_the_first_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
