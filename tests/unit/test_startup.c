/* SPDX-License-Identifier: Apache-2.0 */
/* Every cell of the start-up table, and every flag that changes one. */
#include "agent/exit.h"
#include "agent/run/startup.h"
#include "tests/unit/unit.h"

#include <string.h>

#define PLAIN     \
	{         \
		0 \
	}

struct cell {
	enum db_state file;
	enum backup_state backup;
	enum history history;
	struct startup_options o;
	enum startup_action action;
	int exit;
};

static const struct cell cells[] = {
	/* absent */
	{ DB_ABSENT, BACKUP_EXISTS, 0, PLAIN, STARTUP_RESTORE, 0 },
	{ DB_ABSENT, BACKUP_EXISTS, 0, { .require_backup = true }, STARTUP_RESTORE, 0 },
	{ DB_ABSENT, BACKUP_NONE, 0, PLAIN, STARTUP_EMPTY, 0 },
	{ DB_ABSENT, BACKUP_NONE, 0, { .require_backup = true }, STARTUP_STOP, 10 },
	{ DB_ABSENT, BACKUP_DAMAGED, 0, PLAIN, STARTUP_STOP, 13 },
	{ DB_ABSENT, BACKUP_DAMAGED, 0, { .accept_loss = true }, STARTUP_RESTORE_OLDER, 0 },
	{ DB_ABSENT,
	  BACKUP_DAMAGED,
	  0,
	  { .offline = OFFLINE_START_EMPTY },
	  STARTUP_STOP,
	  13 },
	{ DB_ABSENT, BACKUP_UNREACHABLE, 0, PLAIN, STARTUP_STOP, 11 },
	{ DB_ABSENT, BACKUP_UNREACHABLE, 0, { .offline = OFFLINE_OK }, STARTUP_STOP, 11 },
	{ DB_ABSENT, BACKUP_UNREACHABLE, 0, { .offline = OFFLINE_STOP }, STARTUP_STOP, 11 },
	{ DB_ABSENT, BACKUP_UNREACHABLE, 0, { .accept_loss = true }, STARTUP_STOP, 11 },
	{ DB_ABSENT,
	  BACKUP_UNREACHABLE,
	  0,
	  { .offline = OFFLINE_START_EMPTY },
	  STARTUP_EMPTY,
	  0 },
	{ DB_ABSENT, BACKUP_DENIED, 0, PLAIN, STARTUP_STOP, 12 },
	{ DB_ABSENT,
	  BACKUP_DENIED,
	  0,
	  { .offline = OFFLINE_START_EMPTY },
	  STARTUP_EMPTY,
	  0 },
	{ DB_ABSENT, BACKUP_AMBIGUOUS, 0, PLAIN, STARTUP_STOP, 16 },

	/* corrupt */
	{ DB_CORRUPT, BACKUP_EXISTS, 0, PLAIN, STARTUP_RESTORE, 0 },
	{ DB_CORRUPT, BACKUP_NONE, 0, PLAIN, STARTUP_STOP, 14 },
	{ DB_CORRUPT, BACKUP_NONE, 0, { .require_backup = true }, STARTUP_STOP, 14 },
	{ DB_CORRUPT, BACKUP_DAMAGED, 0, PLAIN, STARTUP_STOP, 13 },
	{ DB_CORRUPT, BACKUP_DAMAGED, 0, { .accept_loss = true }, STARTUP_STOP, 13 },
	{ DB_CORRUPT, BACKUP_UNREACHABLE, 0, PLAIN, STARTUP_STOP, 11 },
	{ DB_CORRUPT,
	  BACKUP_UNREACHABLE,
	  0,
	  { .offline = OFFLINE_START_EMPTY },
	  STARTUP_STOP,
	  11 },
	{ DB_CORRUPT, BACKUP_DENIED, 0, PLAIN, STARTUP_STOP, 12 },
	{ DB_CORRUPT, BACKUP_AMBIGUOUS, 0, PLAIN, STARTUP_STOP, 16 },

	/* unreadable: its own stop, whatever the store says, unless declared corrupt */
	{ DB_UNREADABLE, BACKUP_EXISTS, 0, PLAIN, STARTUP_STOP, 14 },
	{ DB_UNREADABLE, BACKUP_NONE, 0, PLAIN, STARTUP_STOP, 14 },
	{ DB_UNREADABLE, BACKUP_DAMAGED, 0, PLAIN, STARTUP_STOP, 14 },
	{ DB_UNREADABLE, BACKUP_UNREACHABLE, 0, PLAIN, STARTUP_STOP, 14 },
	{ DB_UNREADABLE, BACKUP_DENIED, 0, PLAIN, STARTUP_STOP, 14 },
	{ DB_UNREADABLE,
	  BACKUP_EXISTS,
	  0,
	  { .replace_unreadable = true },
	  STARTUP_RESTORE,
	  0 },
	{ DB_UNREADABLE, BACKUP_NONE, 0, { .replace_unreadable = true }, STARTUP_STOP, 14 },
	{ DB_UNREADABLE,
	  BACKUP_DAMAGED,
	  0,
	  { .replace_unreadable = true },
	  STARTUP_STOP,
	  13 },
	{ DB_UNREADABLE,
	  BACKUP_UNREACHABLE,
	  0,
	  { .replace_unreadable = true },
	  STARTUP_STOP,
	  11 },

	/* unusable, busy: never corrupt, whatever is asked for */
	{ DB_UNUSABLE, BACKUP_EXISTS, 0, PLAIN, STARTUP_STOP, 1 },
	{ DB_UNUSABLE, BACKUP_NONE, 0, { .replace_unreadable = true }, STARTUP_STOP, 1 },
	{ DB_UNUSABLE, BACKUP_UNREACHABLE, 0, PLAIN, STARTUP_STOP, 1 },
	{ DB_BUSY, BACKUP_EXISTS, 0, PLAIN, STARTUP_STOP, 15 },
	{ DB_BUSY, BACKUP_DAMAGED, 0, { .accept_loss = true }, STARTUP_STOP, 15 },

	/* intact */
	{ DB_INTACT, BACKUP_EXISTS, HISTORY_SAME, PLAIN, STARTUP_REPLICATE, 0 },
	{ DB_INTACT,
	  BACKUP_EXISTS,
	  HISTORY_SAME,
	  { .adopt = ADOPT_REPLICA },
	  STARTUP_REPLICATE,
	  0 },
	{ DB_INTACT, BACKUP_EXISTS, HISTORY_FOREIGN, PLAIN, STARTUP_STOP, 16 },
	{ DB_INTACT,
	  BACKUP_EXISTS,
	  HISTORY_FOREIGN,
	  { .adopt = ADOPT_LOCAL },
	  STARTUP_ADOPT_LOCAL,
	  0 },
	{ DB_INTACT,
	  BACKUP_EXISTS,
	  HISTORY_FOREIGN,
	  { .adopt = ADOPT_REPLICA },
	  STARTUP_ADOPT_REPLICA,
	  0 },
	{ DB_INTACT, BACKUP_NONE, 0, PLAIN, STARTUP_REPLICATE, 0 },
	{ DB_INTACT, BACKUP_NONE, 0, { .require_backup = true }, STARTUP_REPLICATE, 0 },
	{ DB_INTACT, BACKUP_DAMAGED, 0, PLAIN, STARTUP_REPLICATE, 0 },
	{ DB_INTACT, BACKUP_UNREACHABLE, 0, PLAIN, STARTUP_REPLICATE, 0 },
	{ DB_INTACT,
	  BACKUP_UNREACHABLE,
	  0,
	  { .offline = OFFLINE_START_EMPTY },
	  STARTUP_REPLICATE,
	  0 },
	{ DB_INTACT, BACKUP_UNREACHABLE, 0, { .offline = OFFLINE_STOP }, STARTUP_STOP, 11 },
	{ DB_INTACT, BACKUP_DENIED, 0, PLAIN, STARTUP_REPLICATE, 0 },
	{ DB_INTACT, BACKUP_DENIED, 0, { .offline = OFFLINE_STOP }, STARTUP_STOP, 12 },
	{ DB_INTACT, BACKUP_AMBIGUOUS, 0, PLAIN, STARTUP_STOP, 16 },
};

static void every_cell_of_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++) {
		const struct cell *c = &cells[i];
		const struct startup_facts f = { c->file, c->backup, c->history };
		struct startup_decision d;

		startup_decide(&d, &f, &c->o);
		if (d.action != c->action || d.exit != c->exit)
			fail_msg("cell %zu (%s, %s): %s %d", i, db_state_name(c->file),
				 backup_state_name(c->backup),
				 startup_action_name(d.action), d.exit);
	}
}

static void for_each_state(void (*check)(const struct startup_facts *,
					 const struct startup_options *,
					 const struct startup_decision *))
{
	for (int file = DB_ABSENT; file <= DB_INTACT; file++)
		for (int backup = BACKUP_EXISTS; backup <= BACKUP_AMBIGUOUS; backup++)
			for (int bits = 0; bits < 3 * 3 * 3 * 8; bits++) {
				const struct startup_facts f = { (enum db_state)file,
								 (enum backup_state)backup,
								 (enum history)(bits % 3) };
				const struct startup_options o = {
					.offline = (enum offline_policy)(bits / 3 % 3),
					.adopt = (enum adopt_policy)(bits / 9 % 3),
					.require_backup = bits / 27 & 1,
					.accept_loss = bits / 54 & 1,
					.replace_unreadable = bits / 108 & 1,
				};
				struct startup_decision d;

				startup_decide(&d, &f, &o);
				check(&f, &o, &d);
			}
}

static void check_stop_is_said(const struct startup_facts *f,
			       const struct startup_options *o,
			       const struct startup_decision *d)
{
	(void)o;
	if (d->action == STARTUP_STOP)
		assert_true(d->exit > 0 && d->slug && d->reason && d->remedy);
	else
		assert_true(d->exit == 0 && (!d->warn || d->reason));
	assert_true(!d->slug || strcmp(d->slug, "startup_undecided") != 0);
	/* A store that refuses and one that is silent have different remedies. */
	assert_int_equal(d->exit == EXIT_DENIED,
			 d->slug && strcmp(d->slug, "store_denied") == 0);
	assert_int_equal(d->exit == EXIT_UNREACHABLE,
			 d->slug && strcmp(d->slug, "store_unreachable") == 0);
	if (f->backup == BACKUP_DENIED)
		assert_true(d->exit != EXIT_UNREACHABLE &&
			    (!d->warn || !strstr(d->reason, "no replica answers")));
}

static void check_empty_needs_certainty(const struct startup_facts *f,
					const struct startup_options *o,
					const struct startup_decision *d)
{
	if (d->action == STARTUP_EMPTY)
		assert_true(f->file == DB_ABSENT && (f->backup == BACKUP_NONE ||
						     o->offline == OFFLINE_START_EMPTY));
	if (d->action == STARTUP_RESTORE)
		assert_true(f->backup == BACKUP_EXISTS && f->file != DB_INTACT &&
			    f->file != DB_UNUSABLE && f->file != DB_BUSY);
	if (d->action == STARTUP_ADOPT_REPLICA)
		assert_int_equal(o->adopt, ADOPT_REPLICA);
}

static void every_stop_names_reason_code_and_remedy(void **state)
{
	(void)state;
	for_each_state(check_stop_is_said);
}

static void nothing_is_replaced_or_begun_empty_on_a_guess(void **state)
{
	(void)state;
	for_each_state(check_empty_needs_certainty);
}

static void several_replicas_become_one_fact(void **state)
{
	static const struct {
		struct backup_fact f[3];
		size_t n;
		enum backup_state want;
		size_t chosen;
	} rows[] = {
		{ { { BACKUP_EXISTS, 5 }, { BACKUP_EXISTS, 9 }, { BACKUP_EXISTS, 7 } },
		  3,
		  BACKUP_EXISTS,
		  1 },
		{ { { BACKUP_EXISTS, 5 }, { BACKUP_EXISTS, 5 } }, 2, BACKUP_EXISTS, 0 },
		{ { { BACKUP_UNREACHABLE, 0 }, { BACKUP_EXISTS, 1 } },
		  2,
		  BACKUP_EXISTS,
		  1 },
		{ { { BACKUP_NONE, 0 }, { BACKUP_UNREACHABLE, 0 } },
		  2,
		  BACKUP_UNREACHABLE,
		  1 },
		{ { { BACKUP_DAMAGED, 0 }, { BACKUP_UNREACHABLE, 0 } },
		  2,
		  BACKUP_UNREACHABLE,
		  1 },
		{ { { BACKUP_DENIED, 0 }, { BACKUP_UNREACHABLE, 0 } },
		  2,
		  BACKUP_UNREACHABLE,
		  1 },
		{ { { BACKUP_NONE, 0 }, { BACKUP_DENIED, 0 } }, 2, BACKUP_DENIED, 1 },
		{ { { BACKUP_NONE, 0 }, { BACKUP_DAMAGED, 0 } }, 2, BACKUP_DAMAGED, 1 },
		{ { { BACKUP_DAMAGED, 0 }, { BACKUP_AMBIGUOUS, 0 } },
		  2,
		  BACKUP_AMBIGUOUS,
		  1 },
		{ { { BACKUP_NONE, 0 }, { BACKUP_NONE, 0 } }, 2, BACKUP_NONE, 0 },
		{ { { BACKUP_EXISTS, -1 } }, 1, BACKUP_EXISTS, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t chosen = 99;
		enum backup_state s = startup_merge(rows[i].f, rows[i].n, &chosen);

		if (s != rows[i].want || chosen != rows[i].chosen)
			fail_msg("row %zu: %s %zu", i, backup_state_name(s), chosen);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_of_the_table),
		cmocka_unit_test(every_stop_names_reason_code_and_remedy),
		cmocka_unit_test(nothing_is_replaced_or_begun_empty_on_a_guess),
		cmocka_unit_test(several_replicas_become_one_fact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
