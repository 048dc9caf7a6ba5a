/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/exit.h"
#include "agent/replicate/engine.h"
#include "agent/run/notify.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/text.h"
#include "cmd/cmds.h"
#include "cmd/common.h"
#include "cmd/version.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define APP_WAIT_MS \
	10000 /* for the readers to be held, before the app starts all the same */
#define STARTING_POLL_MS 10 /* until everything is ready and the first sync has been told */
#define SETTLED_POLL_MS NOTIFY_BEAT_EVERY_MS

struct replicate_args {
	struct common_args common;
	const char *exec, *if_different;
	uint64_t notify_fd;
	int64_t stop_timeout_ms;
};

#define AT(f) offsetof(struct replicate_args, f)
static const struct opt opts[] = {
	{ "exec", 0, OPT_STRING, AT(exec), "CMD",
	  "run this command, and end when it ends" },
	{ "if-different", 0, OPT_CHOICE, AT(if_different), "fork|stop|adopt",
	  "a replica that holds another history: write a generation aside, stop, or make "
	  "this database its current one" },
	{ "notify-fd", 0, OPT_U64, AT(notify_fd), "N",
	  "tell a supervisor over this descriptor: ready, synced, beat" },
	{ "stop-timeout", 0, OPT_DURATION, AT(stop_timeout_ms), "D",
	  "time for the app to end and for the last sync, in all (else shutdown-timeout: "
	  "9s)" },
	{ 0 },
};

/* The main thread's loop. */
struct loop {
	const struct replicate_args *args;
	struct engine *engine;
	struct notify notify;
	int signal_fd;
	const char *exec;
	pid_t app;
	bool app_started, app_ended, ready, stopping;
	bool asked, finishing,
		cut_short; /* by a signal; in the last sync; which another one ends */
	int app_status;
	int failure; /* status of what nobody can go on from, 0 */
	int64_t stop_timeout_ms, began_ms;
	int64_t kill_at_ms, end_at_ms; /* once stopping */
};

static int open_signals(struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigdelset(&set, SIGPIPE);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);

	return fd >= 0 ? fd : err_errno(e, "signalfd");
}

static int start_app(struct loop *l, struct err *e)
{
	struct proc_options o = { .in = -1, .out = 1, .errfd = 2 };
	char **argv = proc_split(l->exec, e);

	if (!argv)
		return err_wrap(e, "-exec");
	l->app = proc_spawn((const char *const *)argv, &o, e);
	proc_free_argv(argv);
	if (l->app < 0)
		return -1;
	l->app_started = true;
	return 0;
}

static void reap(struct loop *l)
{
	int status;

	if (!l->app_started || l->app_ended || waitpid(l->app, &status, WNOHANG) != l->app)
		return;
	l->app_ended = true;
	l->app_status = proc_exit_status(status);
	log_info("the app has ended", LOGI("status", l->app_status));
}

static bool app_runs(const struct loop *l)
{
	return l->app_started && !l->app_ended;
}

/* One deadline: two thirds of the time for the app, the rest for the last sync. */
static void begin_stop(struct loop *l)
{
	int64_t now = clock_mono_ms();

	if (l->stopping)
		return;
	l->stopping = true;
	l->kill_at_ms = now + l->stop_timeout_ms / 3 * 2;
	l->end_at_ms = now + l->stop_timeout_ms;
}

/* A service manager may send SIGTERM to the supervisor and to us, which then comes twice. */
static bool is_supervised(const struct loop *l)
{
	return l->args->notify_fd != 0;
}

static void on_stop_signal(struct loop *l, int sig)
{
	if (l->finishing && l->asked && (sig == SIGINT || !is_supervised(l))) {
		log_warn("another signal, the last sync ends at once", LOGI("signal", sig));
		l->cut_short = true;
		return;
	}
	if (!l->asked)
		log_info("signal received, walback shutting down", LOGI("signal", sig));
	l->asked = true;
	begin_stop(l);
}

static void on_signal(struct loop *l, int sig)
{
	if (sig == SIGCHLD)
		reap(l);
	else if (sig != SIGHUP)
		on_stop_signal(l, sig);
	if (sig != SIGCHLD && app_runs(l))
		kill(l->app, sig);
}

static void read_signals(struct loop *l)
{
	struct signalfd_siginfo si;

	while (read(l->signal_fd, &si, sizeof(si)) == sizeof(si))
		on_signal(l, (int)si.ssi_signo);
}

/* Said at once; the app is asked to end, and what else can be sent is. */
static void look_for_failure(struct loop *l)
{
	struct err e = ERR_INIT;

	if (l->failure || !engine_failed(l->engine, &e))
		return;
	l->failure = cmd_fail(&e);
	begin_stop(l);
	if (app_runs(l))
		kill(l->app, SIGTERM);
}

/* 1: the loop is over. */
static int step(struct loop *l, struct err *e)
{
	int64_t now = clock_mono_ms();

	look_for_failure(l);
	if (!l->ready && engine_ready(l->engine)) {
		l->ready = true;
		notify_ready(&l->notify);
	}
	if (l->exec && !l->app_started && !l->stopping &&
	    (l->ready || now - l->began_ms >= APP_WAIT_MS) && start_app(l, e) < 0)
		return -1;
	if (l->stopping && app_runs(l)) {
		if (now < l->kill_at_ms)
			return 0;
		log_warn("the app does not stop, killing it", LOGI("pid", l->app));
		kill(l->app, SIGKILL);
		l->kill_at_ms = INT64_MAX;
		return 0;
	}
	return l->stopping || l->app_ended;
}

static int poll_ms(const struct loop *l)
{
	if (!l->ready || l->stopping)
		return STARTING_POLL_MS;
	return l->notify.fd >= 0 ? SETTLED_POLL_MS / 2 : 60000;
}

static void beat(struct loop *l)
{
	if (engine_alive(l->engine))
		notify_beat(&l->notify, clock_mono_ms());
}

/* Of the last sync. */
static bool tick(void *arg)
{
	struct loop *l = arg;

	beat(l);
	read_signals(l);
	return !l->cut_short;
}

static int finish(struct loop *l)
{
	begin_stop(l); /* unless that was before the app ended */
	int64_t left = l->end_at_ms - clock_mono_ms();

	l->finishing = true;
	bool all = engine_finish(l->engine, left > 0 ? left : 0, tick, l);

	log_info("walback shut down", LOGB("everything_sent", all));
	if (l->failure)
		return l->failure;
	if (l->app_ended && l->app_status)
		return l->app_status;
	return all ? EXIT_OK : EXIT_FAILED;
}

static int run_loop(struct loop *l, struct err *e)
{
	bool synced = false;

	for (;;) {
		int rc = step(l, e);

		if (rc != 0)
			return rc < 0 ? -1 : 0;
		struct pollfd fds[] = { { .fd = l->signal_fd, .events = POLLIN },
					{ .fd = engine_fd(l->engine), .events = POLLIN } };
		int wait = l->notify.fd >= 0 && !synced ? STARTING_POLL_MS : poll_ms(l);

		if (poll(fds, 2, wait) < 0 && errno != EINTR)
			return err_errno(e, "poll");
		read_signals(l);
		engine_dispatch(l->engine);
		if (l->notify.fd >= 0) {
			beat(l);
			bool now = engine_synced(l->engine);

			if (now && !synced)
				notify_synced(&l->notify);
			synced = now;
		}
	}
}

static void say_start(const struct config *c)
{
	for (size_t i = 0; i < c->ndbs; i++)
		for (size_t k = 0; k < c->dbs[i].nreplicas; k++)
			log_info("replicating", LOGS("db", c->dbs[i].path),
				 LOGS("replica", c->dbs[i].replicas[k].name));
	if (!c->ndbs)
		log_error("no databases configured", LOGS("hint", "name them under dbs:"));
}

static int replicate(struct loop *l, const struct config *c, struct err *e)
{
	struct engine_options o = { .config = c, .version = walback_version() };

	o.stop_if_different =
		l->args->if_different && !strcmp(l->args->if_different, "stop");
	o.adopt_local = l->args->if_different && !strcmp(l->args->if_different, "adopt");
	if (cmd_need_replicas(c, e) < 0)
		return -1;
	l->exec = l->args->exec;
	if (!l->exec && !l->args->notify_fd) /* the supervisor has started that one */
		l->exec = c->exec;
	/* An app's terminal is the app's. */
	o.show_bar = !l->exec && !l->args->notify_fd && !l->args->common.quiet;
	l->stop_timeout_ms = l->args->stop_timeout_ms > 0 ? l->args->stop_timeout_ms
							  : c->shutdown_timeout_ms;
	l->signal_fd = open_signals(e);
	if (l->signal_fd < 0)
		return -1;
	l->engine = engine_new(&o, e);
	if (!l->engine)
		return -1;
	say_start(c);
	engine_start(l->engine);
	l->began_ms = clock_mono_ms();
	return run_loop(l, e) < 0 ? -1 : finish(l);
}

/* From here on nothing is left to be sent: what cannot be waited for may be ended. */
static void let_signals_kill(const struct loop *l)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	if (!is_supervised(l))
		sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static struct config *load(const struct replicate_args *a, struct err *e)
{
	const struct common_args *common = &a->common;
	size_t n = (size_t)common->noperands;

	if (n == 1) {
		err_set(e, ERR_USAGE, "must specify at least one replica URL for %s",
			common->operands[0]);
		err_hint(e, "walback replicate %s s3://BUCKET/PATH", common->operands[0]);
		return NULL;
	}
	return cmd_load_config(common, n ? common->operands[0] : NULL,
			       n ? (const char *const *)common->operands + 1 : NULL,
			       n ? n - 1 : 0, e);
}

static int run(int argc, char **argv)
{
	struct replicate_args a = { 0 };
	struct err e = ERR_INIT;
	int status;

	if (!cmd_begin(&cmd_replicate, argc, argv, &a, &status))
		return status;
	CLEANUP(config_freep) struct config *c = load(&a, &e);
	struct loop l = { .args = &a, .signal_fd = -1, .notify = { .fd = -1 } };

	if (!c || notify_open(&l.notify, a.notify_fd ? (int)a.notify_fd : -1, &e) < 0)
		return cmd_fail(&e);
	status = replicate(&l, c, &e);
	if (status < 0)
		status = cmd_fail(&e);
	if (app_runs(&l))
		kill(l.app, SIGTERM);
	if (l.cut_short) /* as after a kill: nothing that may take its time */
		_exit(status);
	let_signals_kill(&l);
	engine_destroy(l.engine);
	if (l.signal_fd >= 0)
		close(l.signal_fd);
	notify_close(&l.notify);
	return status;
}

const struct command cmd_replicate = {
	.name = "replicate",
	.run = run,
	.opts = opts,
	.operands = "[DB URL...]",
	.help = "replicate databases until told to stop",
	.max_operands = -1,
	.config = true,
	.logs = true,
};
