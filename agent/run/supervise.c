/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run/supervise.h"

#include "agent/exit.h"
#include "agent/run/keeper.h"
#include "agent/run/orphans.h"
#include "agent/run/spawn.h"
#include "agent/run/terminal.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MAX_MS 5000
#define TICK_STOPPING_MS 50
#define KILL_WAIT_MS 500 /* for killed processes to disappear */
#define LAST_WORDS_MS \
	500	      /* for an agent that is to end at once to say what did not make it */
#define EARLY_TRIES 3 /* of an agent that crashes before it was ever ready */
#define NEVER INT64_MAX
#define LINE_INCOMPLETE                                                                  \
	"the last sync is not complete; the database file has what is missing, and the " \
	"next start sends it"

enum phase {
	PHASE_START,	  /* a start-up command runs */
	PHASE_AGENT,	  /* the agent is to become ready (and synced) */
	PHASE_APP,	  /* the app runs */
	PHASE_LEFTOVERS,  /* the app has ended, some of its group has not */
	PHASE_AGENT_STOP, /* the last sync */
	PHASE_DONE,
};

struct supervisor {
	const struct supervise_options *o;
	enum phase phase;
	int status; /* to exit with */
	int signals, terminal;

	pid_t start, app; /* 0: not running */
	pid_t app_group;
	size_t started; /* start-up commands begun */

	struct keeper keeper; /* of the agent */
	int64_t ready_by_ms, sync_by_ms;
	int early_failures;
	bool agent_asked; /* to do its last sync and end */

	int stop_signal;    /* the first one, 0 */
	int64_t kill_at_ms; /* for the start-up command, the app, its leftovers */
	int64_t end_at_ms;  /* for the last sync */
	bool killed;
};

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- setting up ---- */

/* All that can be waited for; what a fault raises stays deadly, and what another process of our group brings on
 * us by using the terminal (a blocked signal comes even if it is ignored) is not the app's. */
static int open_signals(struct supervisor *s, struct err *e)
{
	static const int others[] = { SIGSEGV, SIGBUS,	SIGFPE,	 SIGILL, SIGTRAP,
				      SIGSYS,  SIGABRT, SIGTTIN, SIGTTOU };
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		sigdelset(&set, others[i]);
	if (signal(SIGTTOU, SIG_IGN) == SIG_ERR || signal(SIGTTIN, SIG_IGN) == SIG_ERR ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGCHLD, SIG_DFL) == SIG_ERR ||
	    pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return err_errno(e, "signals");
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? err_errno(e, "signalfd") : 0;
}

/* ---- the clock of stopping ---- */

static void begin_stop(struct supervisor *s)
{
	int64_t now = clock_mono_ms();

	if (s->end_at_ms != NEVER)
		return;
	s->end_at_ms = now + s->o->stop_timeout_ms;
	s->kill_at_ms = now + s->o->stop_timeout_ms / 3 * 2;
}

static void kill_group(pid_t group, int sig)
{
	if (group > 0 && kill(-group, sig) < 0 && errno != ESRCH)
		log_warn("signal cannot be sent", LOGI("group", group), LOGI("signal", sig),
			 LOGI("errno", errno));
}

/* ---- the agent ---- */

static void end_before_app(struct supervisor *s, int status);

/* Statuses that another try will not change. */
static bool is_final(int status)
{
	return status == EXIT_USAGE || (status >= EXIT_NO_BACKUP && status < 20);
}

static void agent_ended(struct supervisor *s, int wait_status)
{
	int64_t lived = clock_mono_ms() - s->keeper.since_ms;
	int status = keeper_ended(&s->keeper, wait_status);

	if (s->phase == PHASE_AGENT_STOP) {
		if (status)
			log_error(LINE_INCOMPLETE, LOGI("agent_status", status));
		s->phase = PHASE_DONE;
		return;
	}
	log_error("the agent has ended", LOGI("status", status), LOGI("lived_ms", lived));
	if (s->phase == PHASE_AGENT && !s->keeper.ever_ready &&
	    (is_final(status) || ++s->early_failures >= EARLY_TRIES))
		end_before_app(s, is_final(status) ? status : EXIT_FAILED);
	else if (s->phase <= PHASE_APP)
		keeper_start_later(&s->keeper);
}

/* Once it has its reader (before that it could only end, with nothing sent); without an app there is
 * nothing to wait for. */
static void ask_agent_to_stop(struct supervisor *s)
{
	if (s->agent_asked || (s->app_group && !s->keeper.ready))
		return;
	s->agent_asked = true;
	keeper_signal(&s->keeper, SIGTERM);
	keeper_signal(&s->keeper, SIGCONT);
}

/* An agent that is down at this moment is started for its last sync: the disk may not outlive us. */
static void stop_agent(struct supervisor *s)
{
	struct err e = ERR_INIT;

	begin_stop(s);
	s->killed = false;
	s->phase = PHASE_AGENT_STOP;
	s->keeper.again_ms = KEEPER_NEVER;
	if (!s->keeper.pid && (!s->app_group || keeper_start(&s->keeper, &e) < 0)) {
		if (s->app_group)
			log_error(LINE_INCOMPLETE, LOGE(&e));
		s->phase = PHASE_DONE;
		return;
	}
	ask_agent_to_stop(s);
}

static void end_agent(struct supervisor *s)
{
	int64_t now = clock_mono_ms();

	ask_agent_to_stop(s);
	if (now < s->end_at_ms)
		return;
	if (s->killed) { /* the kernel cannot take it away: a dead disk */
		s->phase = PHASE_DONE;
		return;
	}
	log_error(LINE_INCOMPLETE, LOGI("stop_timeout_ms", s->o->stop_timeout_ms));
	keeper_signal(&s->keeper, SIGKILL);
	s->killed = true;
	s->end_at_ms = now + KILL_WAIT_MS;
}

/* ---- from phase to phase ---- */

static void end_before_app(struct supervisor *s, int status)
{
	s->status = s->stop_signal ? 128 + s->stop_signal : status;
	stop_agent(s);
}

static int next_start(struct supervisor *s, struct err *e)
{
	struct spawn_options so = SPAWN_PLAIN;

	if (s->started == s->o->nstarts) {
		s->phase = PHASE_AGENT;
		s->ready_by_ms = clock_mono_ms() + s->o->ready_timeout_ms;
		return keeper_start(&s->keeper, e);
	}
	so.null_input = true;
	so.ignore_ttou = true;
	s->start = spawn_child(s->o->starts[s->started++], &so, e);
	return s->start < 0 ? -1 : 0;
}

static int start_ended(struct supervisor *s, int wait_status, struct err *e)
{
	int status = proc_exit_status(wait_status);

	s->start = 0;
	if (WIFSIGNALED(wait_status) && !s->stop_signal)
		log_error("the start-up check ended by a signal",
			  LOGI("signal", WTERMSIG(wait_status)));
	if (status == 0 && !s->stop_signal)
		return next_start(s, e);
	s->phase = PHASE_DONE;
	s->status = s->stop_signal	       ? 128 + s->stop_signal
		    : WIFSIGNALED(wait_status) ? EXIT_FAILED
					       : status;
	return 0;
}

static void start_app(struct supervisor *s)
{
	struct spawn_options so = SPAWN_PLAIN;
	struct err e = ERR_INIT;

	bool foreground = terminal_is_ours(s->terminal);

	so.terminal = foreground ? s->terminal : -1;
	s->app = spawn_child(s->o->app, &so, &e);
	if (s->app < 0) {
		s->app = 0;
		log_error("the app cannot be started", LOGE(&e));
		if (foreground)
			terminal_take_back(s->terminal, tcgetpgrp(s->terminal));
		end_before_app(s, e.exit ? e.exit : EXIT_FAILED);
		return;
	}
	s->app_group = s->app;
	s->phase = PHASE_APP;
	log_info("the app was started", LOGS("app", s->o->app[0]), LOGI("pid", s->app));
}

static void wait_for_agent(struct supervisor *s)
{
	int64_t now = clock_mono_ms();

	if (s->keeper.ready && s->o->wait_sync_ms > 0 && s->sync_by_ms == NEVER)
		s->sync_by_ms = now + s->o->wait_sync_ms;
	if (s->keeper.ready && (s->o->wait_sync_ms <= 0 || s->keeper.synced)) {
		start_app(s);
	} else if (s->sync_by_ms <= now) {
		log_error("not everything reached the store in the time of --wait-for-sync",
			  LOGI("ms", s->o->wait_sync_ms));
		end_before_app(s, EXIT_UNREACHABLE);
	} else if (!s->keeper.ever_ready && s->ready_by_ms <= now) {
		log_error("the agent does not become ready",
			  LOGI("ms", s->o->ready_timeout_ms));
		end_before_app(s, EXIT_FAILED);
	}
}

static void app_ended(struct supervisor *s, int wait_status)
{
	s->app = 0;
	s->status = proc_exit_status(wait_status);
	log_info("the app has ended", LOGI("status", s->status));
	terminal_take_back(s->terminal, s->app_group);
	begin_stop(s);
	s->phase = PHASE_LEFTOVERS;
	s->killed = false;
	kill_group(s->app_group, SIGTERM);
	kill_group(s->app_group, SIGCONT);
	orphans_signal(s->keeper.pid, SIGTERM);
}

static void end_leftovers(struct supervisor *s)
{
	bool left = kill(-s->app_group, 0) == 0 || orphans_exist(s->keeper.pid);
	int64_t now = clock_mono_ms();

	if (left && !s->killed && now >= s->kill_at_ms) {
		log_warn("what the app left running is killed",
			 LOGI("group", s->app_group));
		kill_group(s->app_group, SIGKILL);
		orphans_signal(s->keeper.pid, SIGKILL);
		s->killed = true;
		s->kill_at_ms = now + KILL_WAIT_MS;
	} else if (!left || (s->killed && now >= s->kill_at_ms)) {
		stop_agent(s);
	}
}

/* Deadlines of what was asked to stop. */
static void enforce(struct supervisor *s)
{
	int64_t now = clock_mono_ms();

	if ((s->start || s->app) && !s->killed && now >= s->kill_at_ms) {
		log_warn(s->app ? "the app does not stop, killing it"
				: "the start-up check does not stop, killing it");
		kill_group(s->app ? s->app_group : s->start, SIGKILL);
		s->killed = true;
	}
}

static void step(struct supervisor *s, int64_t ran_ms)
{
	enum phase before;

	enforce(s);
	if (s->phase <= PHASE_APP)
		keeper_tick(&s->keeper, ran_ms);
	do {
		before = s->phase;
		if (s->phase == PHASE_AGENT && s->stop_signal)
			end_before_app(s, 0);
		else if (s->phase == PHASE_AGENT)
			wait_for_agent(s);
		else if (s->phase == PHASE_LEFTOVERS)
			end_leftovers(s);
		else if (s->phase == PHASE_AGENT_STOP)
			end_agent(s);
	} while (s->phase != before);
}

/* ---- events ---- */

/* Somebody at a terminal is in a hurry.  Not at a second SIGTERM: whoever manages containers may repeat it,
 * and the disk may go with the container. */
static void cut_last_sync_short(struct supervisor *s)
{
	log_warn("another signal, the last sync ends at once", LOGI("signal", SIGINT));
	keeper_signal(&s->keeper, SIGINT);
	s->end_at_ms = earlier(s->end_at_ms, clock_mono_ms() + LAST_WORDS_MS);
}

static bool is_stop(int sig)
{
	return sig == SIGTERM || sig == SIGINT || sig == SIGQUIT;
}

static void on_signal(struct supervisor *s, int sig)
{
	if (sig == SIGCHLD)
		return; /* every turn reaps */
	/* Of the first Ctrl-C at a terminal only the app heard. */
	if (sig == SIGINT && (s->stop_signal || s->terminal >= 0) &&
	    s->phase == PHASE_AGENT_STOP && !s->killed)
		cut_last_sync_short(s);
	if (is_stop(sig)) {
		if (!s->stop_signal)
			log_info("stopping", LOGI("signal", sig));
		s->stop_signal = s->stop_signal ? s->stop_signal : sig;
		begin_stop(s);
	}
	if (s->phase == PHASE_START && is_stop(sig))
		kill_group(s->start, SIGTERM);
	else if (s->app)
		kill_group(s->app_group, sig);
	if (s->app && (is_stop(sig) || sig == SIGHUP))
		kill_group(s->app_group,
			   SIGCONT); /* one that is stopped could not act on it */
}

static void read_signals(struct supervisor *s)
{
	struct signalfd_siginfo si;

	while (read(s->signals, &si, sizeof(si)) == sizeof(si))
		on_signal(s, (int)si.ssi_signo);
}

static int reap(struct supervisor *s, struct err *e)
{
	int status = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (WIFSTOPPED(status)) {
			if (pid == s->app && s->terminal >= 0)
				terminal_app_stopped(s->terminal, s->app_group,
						     WSTOPSIG(status));
			continue;
		}
		if (pid == s->start) {
			if (start_ended(s, status, e) < 0)
				return -1;
		} else if (pid == s->keeper.pid) {
			agent_ended(s, status);
		} else if (pid == s->app) {
			app_ended(s, status);
		}
	}
	return 0;
}

/* Until the next deadline of this phase. */
static int64_t wait_ms(const struct supervisor *s)
{
	int64_t now = clock_mono_ms();
	int64_t until = earlier(now + TICK_MAX_MS, now + s->o->beat_timeout_ms / 4);

	if ((s->start || s->app) && !s->killed)
		until = earlier(until, s->kill_at_ms);
	if (s->phase <= PHASE_APP && keeper_waiting(&s->keeper))
		until = earlier(until, s->keeper.again_ms);
	if (s->phase == PHASE_AGENT)
		until = earlier(until, earlier(s->ready_by_ms, s->sync_by_ms));
	if (s->phase == PHASE_LEFTOVERS || (s->killed && s->app))
		until = earlier(until, now + TICK_STOPPING_MS);
	if (s->phase == PHASE_AGENT_STOP)
		until = earlier(until, s->end_at_ms);
	return until > now ? until - now : 0;
}

/* Silence counts only while we run ourselves: a frozen container must not cost the agent its life. */
static int turn(struct supervisor *s, struct err *e)
{
	struct pollfd fds[] = { { .fd = s->signals, .events = POLLIN },
				{ .fd = s->keeper.fd, .events = POLLIN } };
	int64_t asked = wait_ms(s);
	int64_t before = clock_mono_ms();
	int64_t ran;

	if (poll(fds, 2, (int)asked) < 0 && errno != EINTR)
		return err_errno(e, "poll");
	ran = earlier(clock_mono_ms() - before, asked + 1000);
	read_signals(s);
	keeper_read(&s->keeper);
	if (reap(s, e) < 0)
		return -1;
	step(s, ran);
	return 0;
}

int supervise_run(const struct supervise_options *o, struct err *e)
{
	struct supervisor s = { .o = o,
				.signals = -1,
				.ready_by_ms = NEVER,
				.sync_by_ms = NEVER,
				.kill_at_ms = NEVER,
				.end_at_ms = NEVER };
	int rc = 0;

	keeper_init(&s.keeper, o->agent, SUPERVISE_NOTIFY_FD, o->beat_timeout_ms);
	s.keeper.later = o->agent_later;
	if (getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return err_errno(e, "become the reaper of descendants");
	if (open_signals(&s, e) < 0)
		return -1;
	s.terminal = terminal_find();
	rc = next_start(&s, e);
	while (rc == 0 && s.phase != PHASE_DONE)
		rc = turn(&s, e);
	if (rc < 0) {
		kill_group(s.start, SIGTERM);
		kill_group(s.app_group, SIGTERM);
		keeper_signal(&s.keeper, SIGTERM);
	}
	keeper_free(&s.keeper);
	close(s.signals);
	return rc < 0 ? -1 : s.status;
}
