/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A start with facts made up: what is asked, what is restored from where, and
 * what is left on the disk.  Also the child that the in-use question starts.
 */
#include "agent/exit.h"
#include "agent/run/boot.h"
#include "agent/swap/inuse.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW_MS 1795230131000 /* 2026-11-21T03:02:11Z */

/* What the world answers; one at a time. */
static struct {
	pthread_mutex_t mu;
	enum db_state file;
	int check_fails;
	struct {
		int plan_exit, restore_exit; /* 0: well */
		int64_t time_ms;
	} replica[2];
	bool have_provable;
	int same; /* 1, 0, -1 */
	char asked[256];
} world = { .mu = PTHREAD_MUTEX_INITIALIZER };

static void ask(const char *what, const char *name)
{
	pthread_mutex_lock(&world.mu);
	size_t n = strlen(world.asked);

	snprintf(world.asked + n, sizeof(world.asked) - n, "%s:%s ", what, name);
	pthread_mutex_unlock(&world.mu);
}

static int check(const char *db_path, enum sq_check_mode mode, int64_t timeout_ms,
		 struct dbcheck *out, struct err *e)
{
	(void)db_path;
	(void)mode;
	(void)timeout_ms;
	*out = (struct dbcheck){ .state = world.file, .leftovers = true };
	if (world.file == DB_CORRUPT)
		strcpy(out->message, "Page 3: torn");
	return world.check_fails ? err_set(e, ERR_BUG, "no child") : 0;
}

static void make(const char *path, const char *who)
{
	sqlite3 *db = NULL;
	char *sql = sqlite3_mprintf("CREATE TABLE t(a); INSERT INTO t VALUES(%Q)", who);

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_free(sql);
	sqlite3_close(db);
}

static int refuse(struct err *e, int status)
{
	err_set(e, status == EXIT_DENIED ? ERR_DENIED : ERR_AGAIN, "status %d", status);
	err_hint(e, "the replica's own hint");
	return err_exit(e, status);
}

static int restore(const struct restore_request *r, struct restore_report *rep,
		   struct err *e)
{
	int i = strcmp(r->replica, "b") == 0;
	int status =
		r->dry_run ? world.replica[i].plan_exit : world.replica[i].restore_exit;

	if (r->target.kind == PLAN_POSITION)
		status = 0;
	ask(r->dry_run			    ? "plan"
	    : r->target.kind == PLAN_LATEST ? "restore"
					    : "older",
	    r->replica);
	*rep = (struct restore_report){ .temp_fd = -1,
					.time_ms = world.replica[i].time_ms };
	rep->have_provable = world.have_provable;
	if (status)
		return refuse(e, status);
	if (r->dry_run)
		return 0;
	assert_true(r->temp_only);
	rep->temp = mem_fmt("%s.walback-tmp", r->db->path);
	rep->replica_name = mem_str(r->replica);
	make(rep->temp, r->replica);
	return 0;
}

static int same_history(const struct db_config *db, const struct replica_config *rc,
			int64_t store_wait_ms, char why[240], struct err *e)
{
	(void)db;
	(void)store_wait_ms;
	ask("history", rc->name);
	strcpy(why, world.same == 0 ? "another one" : "");
	return world.same < 0 ? refuse(e, EXIT_UNREACHABLE) : world.same;
}

static const struct facts_ops fakes = { check, restore, same_history };

struct box {
	char *dir, path[300];
	char names[2][2];
	struct replica_config replicas[2];
	struct db_config db;
};

static int new_box(void **state)
{
	struct box *b = calloc(1, sizeof(*b));

	b->dir = tmpdir_new();
	snprintf(b->path, sizeof(b->path), "%s/app.db", b->dir);
	for (int i = 0; i < 2; i++) {
		b->names[i][0] = (char)('a' + i);
		b->replicas[i].name = b->names[i];
		memset(&world.replica[i], 0, sizeof(world.replica[i]));
	}
	b->db = (struct db_config){ .path = b->path,
				    .replicas = b->replicas,
				    .nreplicas = 2 };
	world.asked[0] = 0;
	world.file = DB_ABSENT;
	world.check_fails = 0;
	world.have_provable = false;
	world.same = 1;
	*state = b;
	return 0;
}

static int drop_box(void **state)
{
	struct box *b = *state;

	tmpdir_remove(b->dir);
	free(b);
	return 0;
}

static int boot(const struct box *b, struct startup_options o, struct err *e)
{
	const struct boot_request r = { .db = &b->db, .options = o, .now_ms = NOW_MS };

	*e = (struct err)ERR_INIT;
	return boot_run(&r, &fakes, e);
}

static void assert_starts(const struct box *b, struct startup_options o)
{
	struct err e;

	if (boot(b, o, &e) < 0)
		fail_msg("%s", e.msg);
}

static void assert_stops(const struct box *b, struct startup_options o, int status)
{
	struct err e;

	assert_int_equal(boot(b, o, &e), -1);
	if (exit_from_err(&e) != status)
		fail_msg("%d: %s", exit_from_err(&e), e.msg);
}

static void assert_is(const struct box *b, const char *name, const char *who)
{
	AUTO_FREE char *path = mem_fmt("%s/%s", b->dir, name);
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT a FROM t", -1, &st, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(st, 0), who);
	sqlite3_finalize(st);
	sqlite3_close(db);
}

static bool asked(const char *what)
{
	return strstr(world.asked, what) != NULL;
}

static void the_replica_with_the_newest_commit_is_restored(void **state)
{
	const struct box *b = *state;

	world.replica[1].time_ms = 7;
	assert_starts(b, (struct startup_options){ 0 });
	assert_is(b, "app.db", "b");
	assert_true(asked("plan:a") && asked("plan:b") && asked("restore:b"));
	assert_false(asked("restore:a"));
}

static void one_that_turns_out_damaged_gives_way_to_the_next(void **state)
{
	const struct box *b = *state;

	world.replica[1].time_ms = 7;
	world.replica[1].restore_exit = EXIT_DAMAGED;
	assert_starts(b, (struct startup_options){ 0 });
	assert_is(b, "app.db", "a");
}

static void damage_found_by_the_restore_decides_again(void **state)
{
	const struct box *b = *state;

	world.replica[0].restore_exit = world.replica[1].restore_exit = EXIT_DAMAGED;
	assert_stops(b, (struct startup_options){ 0 }, EXIT_DAMAGED);
	assert_int_equal(access(b->path, F_OK), -1);
	world.have_provable = true;
	assert_starts(b, (struct startup_options){ .accept_loss = true });
	assert_true(asked("older:"));
	assert_int_equal(access(b->path, F_OK), 0);
}

static void the_way_out_of_damage_leads_to_what_can_be_proven(void **state)
{
	const struct box *b = *state;
	struct err e;

	world.replica[0].restore_exit = world.replica[1].restore_exit = EXIT_DAMAGED;
	world.have_provable = true;
	assert_int_equal(boot(b, (struct startup_options){ 0 }, &e), -1);
	assert_non_null(strstr(e.hint, "--accept-loss"));
	assert_non_null(strstr(e.msg, "status 13 (the replica's own hint)"));
	world.have_provable = false;
	assert_int_equal(boot(b, (struct startup_options){ 0 }, &e), -1);
	assert_string_equal(e.hint, "the replica's own hint");
	/* Damage that the list shows. */
	world.replica[0].plan_exit = world.replica[1].plan_exit = EXIT_DAMAGED;
	assert_int_equal(boot(b, (struct startup_options){ 0 }, &e), -1);
	assert_string_equal(e.hint, "the replica's own hint");
	/* What a replica says has no part in what is wrong with the file. */
	world.file = DB_UNREADABLE;
	make(b->path, "old");
	assert_int_equal(boot(b, (struct startup_options){ 0 }, &e), -1);
	assert_non_null(strstr(e.hint, "--replace-unreadable"));
	assert_null(strstr(e.msg, "status 13"));
}

static void consent_to_loss_is_not_for_a_corrupt_file(void **state)
{
	const struct box *b = *state;

	make(b->path, "old");
	world.file = DB_CORRUPT;
	world.have_provable = true;
	world.replica[0].restore_exit = world.replica[1].restore_exit = EXIT_DAMAGED;
	assert_stops(b, (struct startup_options){ .accept_loss = true }, EXIT_DAMAGED);
	assert_false(asked("older:"));
	assert_is(b, "app.db", "old");
}

static void a_corrupt_file_goes_to_quarantine_only_after_the_restore(void **state)
{
	const struct box *b = *state;

	make(b->path, "old");
	world.file = DB_CORRUPT;
	world.replica[0].restore_exit = world.replica[1].restore_exit = EXIT_UNREACHABLE;
	assert_stops(b, (struct startup_options){ 0 }, EXIT_UNREACHABLE);
	assert_is(b, "app.db", "old");
	world.replica[0].restore_exit = 0;
	assert_starts(b, (struct startup_options){ 0 });
	assert_is(b, "app.db", "a");
	assert_is(b, "app.db.corrupted.20261121T030211Z", "old");
}

static void one_unreachable_replica_forbids_to_start_empty(void **state)
{
	const struct box *b = *state;

	world.replica[0].plan_exit = EXIT_NO_BACKUP;
	world.replica[1].plan_exit = EXIT_UNREACHABLE;
	assert_stops(b, (struct startup_options){ 0 }, EXIT_UNREACHABLE);
	world.replica[1].plan_exit = EXIT_DENIED;
	assert_stops(b, (struct startup_options){ 0 }, EXIT_DENIED);
	world.replica[1].plan_exit = EXIT_FAILED; /* no answer that says "none" */
	assert_stops(b, (struct startup_options){ 0 }, EXIT_UNREACHABLE);
	world.replica[1].plan_exit = EXIT_NO_BACKUP;
	assert_starts(b, (struct startup_options){ 0 });
	assert_int_equal(access(b->path, F_OK), -1);
}

static void an_intact_file_is_compared_with_the_newest_replica(void **state)
{
	const struct box *b = *state;
	struct err e;

	make(b->path, "mine");
	world.file = DB_INTACT;
	world.replica[1].time_ms = 7;
	assert_starts(b, (struct startup_options){ 0 });
	assert_true(asked("history:b"));
	assert_false(asked("history:a"));
	world.same = 0;
	assert_int_equal(boot(b, (struct startup_options){ 0 }, &e), -1);
	assert_int_equal(e.exit, EXIT_DIFFER);
	assert_non_null(strstr(e.msg, "another one"));
	assert_starts(b, (struct startup_options){ .adopt = ADOPT_LOCAL });
	assert_is(b, "app.db", "mine");
	assert_starts(b, (struct startup_options){ .adopt = ADOPT_REPLICA });
	assert_is(b, "app.db", "b");
	assert_is(b, "app.db.replaced.20261121T030211Z", "mine");
}

/* The store went away between two questions: as if it had not answered the first one. */
static void a_history_that_cannot_be_asked_is_an_unreachable_store(void **state)
{
	const struct box *b = *state;

	make(b->path, "mine");
	world.file = DB_INTACT;
	world.same = -1;
	assert_starts(b, (struct startup_options){ 0 });
	assert_stops(b, (struct startup_options){ .offline = OFFLINE_STOP },
		     EXIT_UNREACHABLE);
}

static void a_check_that_cannot_be_made_is_an_error(void **state)
{
	const struct box *b = *state;

	world.check_fails = 1;
	assert_stops(b, (struct startup_options){ 0 }, EXIT_FAILED);
}

static void an_interrupted_replacement_is_finished_first(void **state)
{
	const struct box *b = *state;
	AUTO_FREE char *meta = mem_fmt("%s/.app.db-walback", b->dir);
	AUTO_FREE char *json = mem_fmt("%s/swap.json", meta);
	FILE *f;

	assert_int_equal(mkdir(meta, 0700), 0);
	f = fopen(json, "w");
	fputs("nonsense", f);
	fclose(f);
	assert_stops(b, (struct startup_options){ 0 }, EXIT_FAILED);
	assert_string_equal(world.asked, ""); /* before anything else */
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, new_box, drop_box)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(the_replica_with_the_newest_commit_is_restored),
		CASE(one_that_turns_out_damaged_gives_way_to_the_next),
		CASE(damage_found_by_the_restore_decides_again),
		CASE(the_way_out_of_damage_leads_to_what_can_be_proven),
		CASE(consent_to_loss_is_not_for_a_corrupt_file),
		CASE(a_corrupt_file_goes_to_quarantine_only_after_the_restore),
		CASE(one_unreachable_replica_forbids_to_start_empty),
		CASE(an_intact_file_is_compared_with_the_newest_replica),
		CASE(a_history_that_cannot_be_asked_is_an_unreachable_store),
		CASE(a_check_that_cannot_be_made_is_an_error),
		CASE(an_interrupted_replacement_is_finished_first),
	};

	if (argc > 2)
		return inuse_main(argv[2]);
	log_setup(LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
