/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/pool.h"
#include "base/stop.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum { LONG_MS = 10000 };

/* What a test job does, and what it saw. */
struct probe {
	_Atomic int runs, inside;
	_Atomic bool together; /* two workers were in it at once */
	_Atomic int64_t last_ms;
	int64_t busy_ms;
	struct stop *started, *gate; /* set at the first run; waited for */
};

static void probe_run(void *arg)
{
	struct probe *p = arg;

	if (p->inside++)
		p->together = true;
	p->last_ms = clock_mono_ms();
	if (p->started)
		stop_set(p->started, 0);
	if (p->gate)
		stop_wait_ms(p->gate, LONG_MS);
	clock_sleep_ms(p->busy_ms);
	p->inside--;
	p->runs++;
}

/* Wait until the count is there; the number of runs then. */
static int runs_reach(struct probe *p, int n)
{
	for (int64_t end = clock_mono_ms() + LONG_MS; p->runs < n && clock_mono_ms() < end;)
		clock_sleep_ms(1);
	return p->runs;
}

static void a_job_runs_only_when_it_was_woken(void **state)
{
	struct probe p = { 0 };
	struct pool *pool = pool_new("test", 2);
	struct job *j = job_new(pool, probe_run, &p);

	(void)state;
	clock_sleep_ms(10);
	assert_int_equal(p.runs, 0);
	job_wake(j);
	assert_int_equal(runs_reach(&p, 1), 1);
	clock_sleep_ms(10);
	assert_int_equal(p.runs, 1);
	job_destroy(j);
	pool_destroy(pool);
}

static void a_wake_while_it_runs_makes_it_run_once_more(void **state)
{
	struct probe p = { .started = stop_new(), .gate = stop_new() };
	struct pool *pool = pool_new("test", 3);
	struct job *j = job_new(pool, probe_run, &p);

	(void)state;
	job_wake(j);
	assert_true(stop_wait_ms(p.started, LONG_MS));
	for (int i = 0; i < 10; i++)
		job_wake(j);
	stop_set(p.gate, 0);
	assert_int_equal(runs_reach(&p, 2), 2);
	clock_sleep_ms(20);
	assert_int_equal(p.runs, 2);
	assert_false(p.together);
	job_destroy(j);
	pool_destroy(pool);
	stop_destroy(p.started);
	stop_destroy(p.gate);
}

static void wakes_before_it_runs_are_one(void **state)
{
	struct probe p = { 0 }, blocker = { .started = stop_new(), .gate = stop_new() };
	struct pool *pool = pool_new("test", 1);
	struct job *b = job_new(pool, probe_run, &blocker),
		   *j = job_new(pool, probe_run, &p);

	(void)state;
	job_wake(b);
	assert_true(stop_wait_ms(blocker.started, LONG_MS));
	for (int i = 0; i < 10; i++)
		job_wake(j);
	stop_set(blocker.gate, 0);
	assert_int_equal(runs_reach(&p, 1), 1);
	clock_sleep_ms(20);
	assert_int_equal(p.runs, 1);
	job_destroy(b);
	job_destroy(j);
	pool_destroy(pool);
	stop_destroy(blocker.started);
	stop_destroy(blocker.gate);
}

static void different_jobs_run_side_by_side(void **state)
{
	struct probe a = { .started = stop_new(), .gate = stop_new() };
	struct probe b = { .started = stop_new() };
	struct pool *pool = pool_new("test", 2);
	struct job *ja = job_new(pool, probe_run, &a), *jb = job_new(pool, probe_run, &b);

	(void)state;
	job_wake(ja);
	assert_true(stop_wait_ms(a.started, LONG_MS));
	job_wake(jb);
	assert_int_equal(runs_reach(&b, 1), 1);
	assert_int_equal(a.runs, 0);
	stop_set(a.gate, 0);
	job_destroy(ja);
	assert_int_equal(a.runs, 1);
	job_destroy(jb);
	pool_destroy(pool);
	stop_destroy(a.started);
	stop_destroy(a.gate);
	stop_destroy(b.started);
}

static void a_timer_fires_at_its_time(void **state)
{
	struct probe p = { 0 };
	struct pool *pool = pool_new("test", 2);
	struct job *j = job_new(pool, probe_run, &p);
	int64_t at = clock_mono_ms() + 40;

	(void)state;
	job_wake_at(j, at);
	assert_int_equal(runs_reach(&p, 1), 1);
	assert_in_range(p.last_ms - at, 0, LONG_MS / 2);
	clock_sleep_ms(20);
	assert_int_equal(p.runs, 1);
	job_wake_at(j, INT64_MIN); /* long ago: at once */
	assert_int_equal(runs_reach(&p, 2), 2);
	job_destroy(j);
	pool_destroy(pool);
}

static void the_earlier_of_two_times_counts(void **state)
{
	struct probe p = { 0 };
	struct pool *pool = pool_new("test", 2);
	struct job *j = job_new(pool, probe_run, &p);
	int64_t start = clock_mono_ms();

	(void)state;
	job_wake_at(j, start + 3600000);
	job_wake_at(j, start + 30);
	job_wake_at(j, start + 7200000);
	assert_int_equal(runs_reach(&p, 1), 1);
	assert_in_range(p.last_ms - start, 30, LONG_MS / 2);
	/* The later ones are forgotten, not postponed. */
	clock_sleep_ms(20);
	assert_int_equal(p.runs, 1);
	job_destroy(j);
	pool_destroy(pool);
}

static void a_cancelled_timer_does_not_fire(void **state)
{
	struct probe p = { 0 };
	struct pool *pool = pool_new("test", 1);
	struct job *j = job_new(pool, probe_run, &p);

	(void)state;
	job_wake_at(j, clock_mono_ms() + 200);
	job_wake_cancel(j);
	job_wake_cancel(j);
	clock_sleep_ms(250);
	assert_int_equal(p.runs, 0);
	job_wake_at(j, clock_mono_ms() + 5);
	assert_int_equal(runs_reach(&p, 1), 1);
	job_destroy(j);
	pool_destroy(pool);
}

static void a_timer_fires_while_every_other_worker_is_busy(void **state)
{
	struct probe blocker = { .started = stop_new(), .gate = stop_new() }, p = { 0 };
	struct pool *pool = pool_new("test", 2);
	struct job *b = job_new(pool, probe_run, &blocker),
		   *j = job_new(pool, probe_run, &p);

	(void)state;
	/* The worker that keeps the time may be the one that takes the blocker. */
	job_wake_at(j, clock_mono_ms() + 50);
	clock_sleep_ms(5);
	job_wake(b);
	assert_true(stop_wait_ms(blocker.started, LONG_MS));
	assert_int_equal(runs_reach(&p, 1), 1);
	assert_int_equal(blocker.runs, 0);
	stop_set(blocker.gate, 0);
	job_destroy(b);
	job_destroy(j);
	pool_destroy(pool);
	stop_destroy(blocker.started);
	stop_destroy(blocker.gate);
}

enum { JOBS = 500 };

static void many_timers_fire_in_order(void **state)
{
	static struct probe probes[JOBS];
	static struct job *jobs[JOBS];
	static int64_t due[JOBS];
	struct pool *pool = pool_new("test", 1);
	int64_t start = clock_mono_ms() + 300;

	(void)state;
	for (int i = 0; i < JOBS; i++) {
		jobs[i] = job_new(pool, probe_run, &probes[i]);
		due[i] = start + (i * 7919) % JOBS / 10;
		job_wake_at(jobs[i], due[i]);
	}
	/* Every third is taken back, from all over the heap. */
	for (int i = 0; i < JOBS; i += 3)
		job_wake_cancel(jobs[i]);
	for (int i = 0; i < JOBS; i++) {
		if (i % 3 == 0)
			continue;
		assert_int_equal(runs_reach(&probes[i], 1), 1);
		assert_true(probes[i].last_ms >= due[i]);
	}
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(probes[i].runs, i % 3 != 0);
		for (int k = 0; k < JOBS; k++)
			if (probes[i].runs && probes[k].runs && due[i] < due[k])
				assert_true(probes[i].last_ms <= probes[k].last_ms);
	}
	for (int i = 0; i < JOBS; i++)
		job_destroy(jobs[i]);
	pool_destroy(pool);
}

static void destroying_a_job_waits_until_it_is_not_running(void **state)
{
	struct probe p = { .started = stop_new(), .busy_ms = 30 };
	struct pool *pool = pool_new("test", 2);
	struct job *j = job_new(pool, probe_run, &p);

	(void)state;
	job_wake(j);
	assert_true(stop_wait_ms(p.started, LONG_MS));
	job_wake(j); /* dropped with the job */
	job_destroy(j);
	assert_int_equal(p.runs, 1);
	assert_int_equal(p.inside, 0);
	job_destroy(NULL);
	pool_destroy(pool);
	stop_destroy(p.started);
}

static void a_job_that_left_is_woken_in_vain(void **state)
{
	struct probe p = { .busy_ms = 30 };
	struct pool *pool = pool_new("test", 2);
	struct job *j = job_new(pool, probe_run, &p);

	(void)state;
	job_wake(j);
	while (!p.inside)
		clock_sleep_ms(1);
	job_wake(j);
	job_leave(j);
	assert_int_equal(p.runs, 1);
	job_leave(j);
	job_wake(j);
	job_wake_at(j, clock_mono_ms());
	clock_sleep_ms(20);
	assert_int_equal(p.runs, 1);
	job_destroy(j);
	pool_destroy(pool);
}

static void destroying_the_pool_waits_for_running_jobs_and_drops_the_rest(void **state)
{
	struct probe p = { .started = stop_new(), .busy_ms = 30 }, waiting = { 0 };
	struct pool *pool = pool_new("test", 1);
	struct job *j = job_new(pool, probe_run, &p);
	struct job *w = job_new(pool, probe_run, &waiting);

	(void)state;
	job_wake(j);
	assert_true(stop_wait_ms(p.started, LONG_MS));
	job_wake(w);
	pool_destroy(pool);
	assert_int_equal(p.runs, 1);
	assert_int_equal(waiting.runs, 0);
	/* Jobs may outlive their pool; they do nothing then. */
	job_wake(j);
	job_wake_at(j, 0);
	job_wake_cancel(j);
	job_destroy(j);
	job_destroy(w);
	pool_destroy(NULL);
	stop_destroy(p.started);
}

struct seen {
	_Atomic bool done;
	char name[16];
	sigset_t mask;
};

static void look(void *arg)
{
	struct seen *s = arg;

	pthread_getname_np(pthread_self(), s->name, sizeof(s->name));
	pthread_sigmask(SIG_BLOCK, NULL, &s->mask);
	s->done = true;
}

static void workers_are_named_and_take_no_signals(void **state)
{
	struct seen s = { 0 };
	struct pool *pool = pool_new("walback-local", 1);
	struct job *j = job_new(pool, look, &s);
	sigset_t mine;

	(void)state;
	job_wake(j);
	for (int i = 0; i < LONG_MS && !s.done; i++)
		clock_sleep_ms(1);
	job_destroy(j);
	pool_destroy(pool);
	assert_true(s.done);
	assert_string_equal(s.name, "walback-local");
	assert_true(sigismember(&s.mask, SIGTERM));
	assert_true(sigismember(&s.mask, SIGCHLD));
	assert_true(sigismember(&s.mask, SIGUSR2));
	pthread_sigmask(SIG_BLOCK, NULL, &mine);
	assert_false(sigismember(&mine, SIGTERM));
}

/* A job that sets itself a timer, as a database does. */
struct again {
	_Atomic int runs;
	struct job *job;
};

static void run_again(void *arg)
{
	struct again *a = arg;

	if (++a->runs % 2)
		job_wake(a->job);
	else
		job_wake_at(a->job, clock_mono_ms() + 1);
}

static void *hammer(void *arg)
{
	struct job **jobs = arg;

	for (int i = 0; i < 3000; i++) {
		job_wake(jobs[i % 8]);
		job_wake_at(jobs[(i + 3) % 8], clock_mono_ms() + i % 5);
		if (i % 7 == 0)
			job_wake_cancel(jobs[(i + 5) % 8]);
	}
	return NULL;
}

static void jobs_woken_from_everywhere_never_run_twice_at_once(void **state)
{
	static struct probe probes[8];
	static struct again self;
	struct pool *pool = pool_new("test", 4);
	struct job *jobs[8];
	pthread_t threads[3];

	(void)state;
	for (int i = 0; i < 8; i++)
		jobs[i] = job_new(pool, probe_run, &probes[i]);
	self.job = job_new(pool, run_again, &self);
	job_wake(self.job);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, jobs), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 8; i++) {
		int before = probes[i].runs;

		job_wake(jobs[i]);
		assert_true(runs_reach(&probes[i], before + 1) > before);
		assert_false(probes[i].together);
		job_destroy(jobs[i]);
	}
	int before = self.runs;

	for (int i = 0; i < LONG_MS && self.runs < before + 10; i++)
		clock_sleep_ms(1);
	assert_true(self.runs >= before + 10);
	pool_destroy(pool);
	job_destroy(self.job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job_runs_only_when_it_was_woken),
		cmocka_unit_test(a_wake_while_it_runs_makes_it_run_once_more),
		cmocka_unit_test(wakes_before_it_runs_are_one),
		cmocka_unit_test(different_jobs_run_side_by_side),
		cmocka_unit_test(a_timer_fires_at_its_time),
		cmocka_unit_test(the_earlier_of_two_times_counts),
		cmocka_unit_test(a_cancelled_timer_does_not_fire),
		cmocka_unit_test(a_timer_fires_while_every_other_worker_is_busy),
		cmocka_unit_test(many_timers_fire_in_order),
		cmocka_unit_test(destroying_a_job_waits_until_it_is_not_running),
		cmocka_unit_test(a_job_that_left_is_woken_in_vain),
		cmocka_unit_test(
			destroying_the_pool_waits_for_running_jobs_and_drops_the_rest),
		cmocka_unit_test(workers_are_named_and_take_no_signals),
		cmocka_unit_test(jobs_woken_from_everywhere_never_run_twice_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
