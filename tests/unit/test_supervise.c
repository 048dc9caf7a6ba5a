/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor in a process of its own (this program, called as `supervise ...`),
 * with shell commands as start-up check, agent and app.  Each leaves marks in a log.
 */
#include "agent/run/supervise.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Says it is ready, beats until told to stop, and then ends well. */
#define AGENT                                                                  \
	"echo agent-begins >&2; trap 'echo agent-last-sync >&2; exit 0' TERM;" \
	"echo ready >&3; while :; do echo beat >&3; sleep 0.1; done"
#define LIMIT_MS 20000

struct setup {
	const char *start, *agent, *app;
	const char *stop_ms, *beat_ms, *ready_ms, *sync_ms;
};

struct run {
	char *dir, log[300];
	pid_t pid;
};

static int new_run(void **state)
{
	struct run *r = calloc(1, sizeof(*r));

	r->dir = tmpdir_new();
	snprintf(r->log, sizeof(r->log), "%s/log", r->dir);
	setenv("DIR", r->dir, 1);
	*state = r;
	return 0;
}

static int drop_run(void **state)
{
	struct run *r = *state;

	if (r->pid)
		kill(r->pid, SIGKILL);
	tmpdir_remove(r->dir);
	free(r);
	return 0;
}

static const char *text(const struct run *r)
{
	static char all[65536];
	FILE *f = fopen(r->log, "r");
	size_t n = f ? fread(all, 1, sizeof(all) - 1, f) : 0;

	if (f)
		fclose(f);
	all[n] = 0;
	return all;
}

static bool said(const struct run *r, const char *what)
{
	return strstr(text(r), what) != NULL;
}

static void begin(struct run *r, const struct setup *s)
{
	const char *argv[] = { "/proc/self/exe",
			       "supervise",
			       s->stop_ms ? s->stop_ms : "3000",
			       s->beat_ms ? s->beat_ms : "5000",
			       s->ready_ms ? s->ready_ms : "5000",
			       s->sync_ms ? s->sync_ms : "0",
			       s->start ? s->start : "echo start-ran >&2",
			       s->agent ? s->agent : AGENT,
			       s->app ? s->app : "true",
			       NULL };
	struct proc_options o = { .in = -1, .out = 1 };
	struct err e = ERR_INIT;

	o.errfd = open(r->log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
	o.own_group = true;
	r->pid = proc_spawn(argv, &o, &e);
	assert_true(r->pid > 0);
	close(o.errfd);
}

static void await(const struct run *r, const char *what)
{
	int64_t end = clock_mono_ms() + LIMIT_MS;

	while (!said(r, what)) {
		if (clock_mono_ms() > end)
			fail_msg("no \"%s\" in:\n%s", what, text(r));
		clock_sleep_ms(20);
	}
}

static int finish(struct run *r)
{
	struct err e = ERR_INIT;
	int status = 0;
	int ended = proc_wait(r->pid, clock_mono_ms() + LIMIT_MS, NULL, &status, &e);

	if (ended != 1) {
		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, 0);
		r->pid = 0;
		fail_msg("it does not end:\n%s", text(r));
	}
	r->pid = 0;
	return proc_exit_status(status);
}

static int run(struct run *r, const struct setup *s)
{
	begin(r, s);
	return finish(r);
}

static void assert_order(const struct run *r, const char *const *words, size_t n)
{
	const char *at = text(r);

	for (size_t i = 0; i < n; i++) {
		const char *found = strstr(at, words[i]);

		if (!found)
			fail_msg("no \"%s\" in its place:\n%s", words[i], text(r));
		at = found + 1;
	}
}

static void check_then_agent_then_app_then_last_sync(void **state)
{
	static const char *const order[] = { "start-ran", "agent-begins", "app-ran",
					     "agent-last-sync" };
	struct run *r = *state;

	assert_int_equal(run(r, &(struct setup){ .app = "echo app-ran >&2; exit 7" }), 7);
	assert_order(r, order, 4);
}

static void the_app_waits_until_the_agent_is_ready(void **state)
{
	static const char *const order[] = { "now-ready", "app-ran" };
	struct run *r = *state;

	assert_int_equal(
		run(r, &(struct setup){ .agent = "sleep 0.5; echo now-ready >&2;" AGENT,
					.app = "echo app-ran >&2" }),
		0);
	assert_order(r, order, 2);
}

static void a_failed_check_is_the_end(void **state)
{
	struct run *r = *state;

	assert_int_equal(
		run(r, &(struct setup){ .start = "exit 13", .app = "echo app-ran >&2" }),
		13);
	assert_false(said(r, "agent-begins"));
	assert_false(said(r, "app-ran"));
}

static void a_crashed_check_is_the_end_too(void **state)
{
	struct run *r = *state;

	assert_int_equal(run(r, &(struct setup){ .start = "kill -SEGV $$" }), 1);
	assert_true(said(r, "ended by a signal"));
}

static void the_exit_status_is_the_apps(void **state)
{
	struct run *r = *state;

	assert_int_equal(run(r, &(struct setup){ .app = "kill -KILL $$" }), 137);
	assert_int_equal(run(r, &(struct setup){ .app = "exit 255" }), 255);
}

static void an_app_that_cannot_be_run_gives_127_or_126(void **state)
{
	struct run *r = *state;

	setenv("APP", "/nonexistent/app", 1);
	assert_int_equal(run(r, &(struct setup){ .app = "exec-APP" }), 127);
	assert_true(said(r, "the app cannot be started"));
	setenv("APP", "/etc/passwd", 1);
	assert_int_equal(run(r, &(struct setup){ .app = "exec-APP" }), 126);
	assert_true(said(r, "agent-last-sync"));
	unsetenv("APP");
}

static void signals_go_to_the_apps_group(void **state)
{
	struct run *r = *state;

	begin(r,
	      &(struct setup){
		      .app = "trap 'echo got-usr1 >&2' USR1; trap 'echo got-hup >&2' HUP;"
			     "trap 'echo got-term >&2; exit 5' TERM;"
			     "echo app-ready >&2; while :; do sleep 0.05; done" });
	await(r, "app-ready");
	kill(r->pid, SIGUSR1);
	await(r, "got-usr1");
	kill(r->pid, SIGHUP);
	await(r, "got-hup");
	kill(r->pid, SIGTERM);
	assert_int_equal(finish(r), 5);
	assert_true(said(r, "agent-last-sync"));
}

static void an_app_that_ignores_term_is_killed_and_the_last_sync_still_runs(void **state)
{
	struct run *r = *state;
	int64_t began;

	begin(r, &(struct setup){ .app = "trap '' TERM; echo app-ready >&2;"
					 "while :; do sleep 0.05; done",
				  .stop_ms = "900" });
	await(r, "app-ready");
	began = clock_mono_ms();
	kill(r->pid, SIGTERM);
	assert_int_equal(finish(r), 137);
	assert_true(clock_mono_ms() - began >= 550);
	assert_true(said(r, "the app does not stop, killing it"));
	assert_true(said(r, "agent-last-sync"));
}

static void a_last_sync_that_does_not_end_is_cut_off_and_said(void **state)
{
	struct run *r = *state;
	int64_t began = clock_mono_ms();

	assert_int_equal(
		run(r,
		    &(struct setup){ .agent = "trap '' TERM; echo ready >&3;"
					      "while :; do echo beat >&3; sleep 0.1; done",
				     .app = "exit 3",
				     .stop_ms = "600" }),
		3);
	assert_true(clock_mono_ms() - began < 5000);
	assert_true(said(r, "the last sync is not complete"));
}

static void what_the_app_left_running_is_ended_before_the_last_sync(void **state)
{
	static const char *const order[] = { "grandchild-got-term", "agent-last-sync" };
	struct run *r = *state;

	assert_int_equal(
		run(r,
		    &(struct setup){
			    .app = "(trap 'sleep 0.2; echo grandchild-got-term >&2;"
				   "exit' TERM; echo up > $DIR/up;"
				   "while :; do sleep 0.05; done) & "
				   "while ! test -e $DIR/up; do sleep 0.02; done" }),
		0);
	assert_order(r, order, 2);
}

static void an_orphan_that_left_the_group_is_ended_too(void **state)
{
	struct run *r = *state;

	assert_int_equal(
		run(r,
		    &(struct setup){
			    .app = "setsid sh -c 'trap \"\" TERM; echo $$ > $DIR/pid;"
				   "while :; do sleep 0.05; done' &"
				   "while ! test -s $DIR/pid; do sleep 0.02; done",
			    .stop_ms = "900" }),
		0);
	assert_true(said(r, "what the app left running is killed"));
	assert_int_equal(system("kill -0 $(cat $DIR/pid) 2>/dev/null") != 0, 1);
}

/* Its last sync hangs; told to hurry it says what is missing. */
#define SLOW_LAST_SYNC                                                        \
	"trap 'echo agent-hurries >&2; exit 1' INT;"                          \
	"trap 'echo agent-last-sync >&2; while :; do sleep 0.05; done' TERM;" \
	"echo ready >&3; while :; do echo beat >&3; sleep 0.05; done"

static void an_interrupt_in_the_last_sync_ends_it_at_once(void **state)
{
	struct run *r = *state;
	int64_t began;

	begin(r, &(struct setup){ .agent = SLOW_LAST_SYNC,
				  .app = "trap 'exit 4' INT TERM; echo app-ready >&2;"
					 "while :; do sleep 0.05; done",
				  .stop_ms = "60000",
				  .beat_ms = "60000" });
	await(r, "app-ready");
	began = clock_mono_ms();
	kill(r->pid, SIGINT);
	await(r, "agent-last-sync");
	assert_false(said(r, "the last sync ends at once"));
	kill(r->pid, SIGINT);
	assert_int_equal(finish(r), 4);
	assert_true(clock_mono_ms() - began < LIMIT_MS);
	assert_true(said(r, "agent-hurries"));
	assert_true(said(r, "the last sync is not complete"));
}

/* Whoever manages containers may repeat it, and the disk may go with the container. */
static void a_repeated_term_leaves_the_last_sync_its_time(void **state)
{
	struct run *r = *state;

	begin(r, &(struct setup){ .agent = "trap 'echo agent-last-sync >&2; sleep 1;"
					   "echo agent-done >&2; exit 0' TERM;"
					   "echo ready >&3; while :; do sleep 0.05; done",
				  .app = "trap 'exit 4' TERM; echo app-ready >&2;"
					 "while :; do sleep 0.05; done",
				  .stop_ms = "60000",
				  .beat_ms = "60000" });
	await(r, "app-ready");
	kill(r->pid, SIGTERM);
	await(r, "agent-last-sync");
	kill(r->pid, SIGTERM);
	assert_int_equal(finish(r), 4);
	assert_true(said(r, "agent-done"));
}

static void a_dead_agent_is_started_again_and_the_app_stays(void **state)
{
	struct run *r = *state;

	begin(r, &(struct setup){ .agent = "echo $$ > $DIR/agent;" AGENT,
				  .app = "trap 'exit 4' TERM; echo app-ready >&2;"
					 "while :; do sleep 0.05; done" });
	await(r, "app-ready");
	assert_int_equal(system("kill -KILL $(cat $DIR/agent)"), 0);
	await(r, "the agent was started again");
	kill(r->pid, SIGTERM);
	assert_int_equal(finish(r), 4);
	assert_true(said(r, "the agent has ended"));
	assert_true(said(r, "agent-last-sync"));
}

/* What was asked for one start is not asked again once it is done. */
static void an_agent_that_was_synced_is_started_again_with_other_words(void **state)
{
	static const char *const order[] = { "first-try", "first-try", "later-try" };
	struct run *r = *state;

	setenv("LATER", "echo later-try >&2; echo ready >&3; exit 1", 1);
	begin(r, &(struct setup){
			 .agent = "echo first-try >&2; echo ready >&3; [ -e $DIR/once ] && "
				  "echo synced >&3; touch $DIR/once; sleep 0.1; exit 1",
			 .app = "trap exit TERM; while :; do sleep 0.05; done" });
	await(r, "later-try");
	kill(r->pid, SIGTERM);
	(void)finish(r);
	unsetenv("LATER");
	assert_order(r, order, 3);
}

static void a_hung_agent_is_killed_and_started_again(void **state)
{
	struct run *r = *state;

	begin(r, &(struct setup){ .agent = "echo $$ > $DIR/agent;" AGENT,
				  .app = "trap 'exit 4' TERM; echo app-ready >&2;"
					 "while :; do sleep 0.05; done",
				  .beat_ms = "600" });
	await(r, "app-ready");
	assert_int_equal(system("kill -STOP $(cat $DIR/agent)"), 0);
	await(r, "the agent hangs, killing it");
	await(r, "the agent was started again");
	kill(r->pid, SIGTERM);
	assert_int_equal(finish(r), 4);
}

/* The disk may not outlive the container: an agent in its back-off is brought up for the last sync. */
static void an_agent_that_is_down_at_the_end_is_started_for_the_last_sync(void **state)
{
	static const char *const order[] = { "agent-begins", "the agent has ended",
					     "the app has ended", "agent-begins",
					     "agent-last-sync" };
	struct run *r = *state;

	assert_int_equal(
		run(r, &(struct setup){ .agent = "echo $$ > $DIR/agent;" AGENT,
					.app = "kill -KILL $(cat $DIR/agent); sleep 0.3" }),
		0);
	assert_order(r, order, 5);
}

static void an_agent_that_refuses_is_the_end_before_the_app(void **state)
{
	struct run *r = *state;

	assert_int_equal(
		run(r, &(struct setup){ .agent = "exit 15", .app = "echo app-ran >&2" }),
		15);
	assert_false(said(r, "app-ran"));
}

static void an_agent_that_keeps_crashing_is_the_end_before_the_app(void **state)
{
	struct run *r = *state;

	assert_int_equal(
		run(r, &(struct setup){ .agent = "echo try >> $DIR/tries; kill -SEGV $$",
					.app = "echo app-ran >&2" }),
		1);
	assert_int_equal(system("test $(wc -l < $DIR/tries) = 3"), 0);
	assert_false(said(r, "app-ran"));
}

static void an_agent_that_never_becomes_ready_is_the_end(void **state)
{
	struct run *r = *state;

	assert_int_equal(
		run(r,
		    &(struct setup){ .agent = "while :; do echo beat >&3; sleep 0.1; done",
				     .ready_ms = "400",
				     .app = "echo app-ran >&2" }),
		1);
	assert_true(said(r, "does not become ready"));
	assert_false(said(r, "app-ran"));
}

static void waiting_for_the_first_sync_has_an_end(void **state)
{
	static const char *const order[] = { "now-synced", "app-ran" };
	struct run *r = *state;

	assert_int_equal(
		run(r, &(struct setup){ .sync_ms = "300", .app = "echo app-ran >&2" }), 11);
	assert_false(said(r, "app-ran"));
	assert_int_equal(
		run(r,
		    &(struct setup){
			    .agent = "echo ready >&3; sleep 0.3; echo now-synced >&2;"
				     "echo synced >&3;" AGENT,
			    .sync_ms = "9000",
			    .app = "echo app-ran >&2" }),
		0);
	assert_order(r, order, 2);
}

static void a_signal_before_the_app_ends_everything(void **state)
{
	struct run *r = *state;

	begin(r, &(struct setup){ .start = "echo starting >&2; exec sleep 60",
				  .app = "echo app-ran >&2" });
	await(r, "starting");
	kill(r->pid, SIGTERM);
	assert_int_equal(finish(r), 143);
	begin(r, &(struct setup){ .agent = "echo waiting >&2; exec sleep 60",
				  .app = "echo app-ran >&2" });
	await(r, "waiting");
	kill(r->pid, SIGINT);
	assert_int_equal(finish(r), 130);
	assert_false(said(r, "app-ran"));
}

static void a_check_that_ignores_term_is_killed(void **state)
{
	struct run *r = *state;

	begin(r, &(struct setup){ .start = "trap '' TERM; echo starting >&2;"
					   "while :; do sleep 0.05; done",
				  .stop_ms = "600" });
	await(r, "starting");
	kill(r->pid, SIGTERM);
	assert_int_equal(finish(r), 143);
	assert_true(said(r, "the start-up check does not stop"));
}

static void children_have_clean_signals(void **state)
{
	struct run *r = *state;

	assert_int_equal(
		run(r,
		    &(struct setup){
			    .app = "test $(grep -cE '^Sig(Blk|Ign):[[:space:]]*0+$' "
				   "/proc/self/status) = 2" }),
		0);
}

/* Nobody replicates an app whose supervisor is gone: it is asked to end. */
static void children_do_not_outlive_a_killed_supervisor(void **state)
{
	struct run *r = *state;

	begin(r,
	      &(struct setup){ .app = "trap 'echo app-got-term >&2; exit' TERM;"
				      "echo app-ready >&2; while :; do sleep 0.05; done" });
	await(r, "app-ready");
	kill(r->pid, SIGKILL);
	await(r, "app-got-term");
	await(r, "agent-last-sync");
	waitpid(r->pid, NULL, 0);
	r->pid = 0;
}

static int64_t ms(const char *s)
{
	return strtoll(s, NULL, 10);
}

static int supervise(char **argv)
{
	const char *const start[] = { "/bin/sh", "-c", argv[6], NULL };
	const char *const agent[] = { "/bin/sh", "-c", argv[7], NULL };
	const char *const shell_app[] = { "/bin/sh", "-c", argv[8], NULL };
	const char *const later[] = { "/bin/sh", "-c", getenv("LATER"), NULL };
	const char *const other_app[] = { getenv("APP"), NULL };
	const char *const *const starts[] = { start };
	struct supervise_options o = { .starts = starts,
				       .nstarts = 1,
				       .agent = agent,
				       .agent_later = getenv("LATER") ? later : NULL,
				       .app = shell_app,
				       .stop_timeout_ms = ms(argv[2]),
				       .beat_timeout_ms = ms(argv[3]),
				       .ready_timeout_ms = ms(argv[4]),
				       .wait_sync_ms = ms(argv[5]) };
	struct err e = ERR_INIT;
	int status;

	if (!strcmp(argv[8], "exec-APP"))
		o.app = other_app;
	log_setup(LOG_DEBUG, false);
	status = supervise_run(&o, &e);
	if (status < 0)
		fprintf(stderr, "%s\n", e.msg);
	return status < 0 ? 99 : status;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, new_run, drop_run)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(check_then_agent_then_app_then_last_sync),
		CASE(the_app_waits_until_the_agent_is_ready),
		CASE(a_failed_check_is_the_end),
		CASE(a_crashed_check_is_the_end_too),
		CASE(the_exit_status_is_the_apps),
		CASE(an_app_that_cannot_be_run_gives_127_or_126),
		CASE(signals_go_to_the_apps_group),
		CASE(an_app_that_ignores_term_is_killed_and_the_last_sync_still_runs),
		CASE(a_last_sync_that_does_not_end_is_cut_off_and_said),
		CASE(an_interrupt_in_the_last_sync_ends_it_at_once),
		CASE(a_repeated_term_leaves_the_last_sync_its_time),
		CASE(what_the_app_left_running_is_ended_before_the_last_sync),
		CASE(an_orphan_that_left_the_group_is_ended_too),
		CASE(a_dead_agent_is_started_again_and_the_app_stays),
		CASE(an_agent_that_was_synced_is_started_again_with_other_words),
		CASE(a_hung_agent_is_killed_and_started_again),
		CASE(an_agent_that_is_down_at_the_end_is_started_for_the_last_sync),
		CASE(an_agent_that_refuses_is_the_end_before_the_app),
		CASE(an_agent_that_keeps_crashing_is_the_end_before_the_app),
		CASE(an_agent_that_never_becomes_ready_is_the_end),
		CASE(waiting_for_the_first_sync_has_an_end),
		CASE(a_signal_before_the_app_ends_everything),
		CASE(a_check_that_ignores_term_is_killed),
		CASE(children_have_clean_signals),
		CASE(children_do_not_outlive_a_killed_supervisor),
	};

	if (argc == 9)
		return supervise(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
