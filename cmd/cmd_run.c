/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's entrypoint.  This process only supervises (agent/run/supervise.h);
 * the start-up check (internal-start, the second command here) and the agent
 * (replicate) are this program again, with the same options.
 */
#include "agent/exit.h"
#include "agent/run/boot.h"
#include "agent/run/supervise.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"
#include "cmd/cmds.h"
#include "cmd/common.h"
#include "cmd/interrupt.h"

#include <inttypes.h>
#include <string.h>

#define READY_TIMEOUT_MS 120000 /* the agent's reader waits for no network */
#define AGENT_LAST_WORDS_MS \
	INT64_C(500) /* to log what did not make it, before it is killed */
#define AGENT_WORDS_MAX 24

struct run_args {
	struct common_args common;
	const char *db, *url;
	const char *offline, *adopt, *check;
	bool require_backup, accept_loss, replace_unreadable;
	int64_t check_timeout_ms, store_wait_ms, stop_timeout_ms, wait_sync_ms,
		heartbeat_timeout_ms;
};

#define AT(f) offsetof(struct run_args, f)

static const struct opt opts[] = {
	{ "db", 0, OPT_STRING, AT(db), "PATH",
	  "the database, with -replica-url (else as configured)" },
	{ "replica-url", 0, OPT_STRING, AT(url), "URL",
	  "its replica (else as configured)" },
	{ "require-backup", 0, OPT_FLAG, AT(require_backup), NULL,
	  "without database and backup stop (10) instead of starting empty" },
	{ "accept-loss", 0, OPT_FLAG, AT(accept_loss), NULL,
	  "without database and with a damaged backup restore the newest provable moment" },
	{ "offline", 0, OPT_CHOICE, AT(offline), "ok|start-empty|stop",
	  "when no replica answers: start if the database is intact (default), even if "
	  "there is none, or never" },
	{ "replace-unreadable", 0, OPT_FLAG, AT(replace_unreadable), NULL,
	  "treat a file that is no SQLite database as a corrupt one" },
	{ "adopt", 0, OPT_CHOICE, AT(adopt), "local|replica",
	  "when the replica holds another database: which one to go on with, this once" },
	{ "integrity-check", 0, OPT_CHOICE, AT(check), "none|quick|full",
	  "SQLite's check of the database at the start (default quick)" },
	{ "integrity-timeout", 0, OPT_DURATION, AT(check_timeout_ms), "D",
	  "time for that check (default 5m)" },
	{ "store-wait", 0, OPT_DURATION, AT(store_wait_ms), "D",
	  "a store that does not answer within counts as unreachable (default 10s)" },
	{ "wait-for-sync", 0, OPT_DURATION, AT(wait_sync_ms), "D",
	  "start the app once everything is in the store; not within D: stop (11)" },
	{ "stop-timeout", 0, OPT_DURATION, AT(stop_timeout_ms), "D",
	  "time for the app to end and for the last sync, in all (else shutdown-timeout: "
	  "9s)" },
	{ "heartbeat-timeout", 0, OPT_DURATION, AT(heartbeat_timeout_ms), "D",
	  "an agent silent for that long is killed and started again (default 30s)" },
	{ .name = NULL },
};

#define DEFAULTS                                                   \
	{                                                          \
		.check_timeout_ms = 300000, .stop_timeout_ms = -1, \
		.heartbeat_timeout_ms = 30000                      \
	}

static struct config *load(const struct run_args *a, struct err *e)
{
	struct config *c;

	if (!a->db != !a->url) {
		err_set(e, ERR_USAGE, "-db and -replica-url go together");
		err_hint(e, "-db PATH -replica-url URL, or neither");
		return NULL;
	}
	c = cmd_load_config(&a->common, a->db, a->url ? &a->url : NULL, a->url ? 1 : 0, e);
	if (c && !c->ndbs) {
		err_set(e, ERR_USAGE, "no database is configured");
		err_hint(e, "set DATABASE_PATH and WALBACK_REPLICA_URL, or name one under "
			    "dbs:");
		config_free(c);
		return NULL;
	}
	if (c && cmd_need_replicas(c, e) < 0) {
		config_free(c);
		return NULL;
	}
	return c;
}

/* ---- internal-start ---- */

static void to_request(const struct run_args *a, const struct config *c,
		       struct boot_request *r)
{
	int check = a->check ? sq_check_mode_parse(a->check) : SQ_CHECK_QUICK;

	*r = (struct boot_request){
		.check = (enum sq_check_mode)check,
		.check_timeout_ms = a->check_timeout_ms,
		.store_wait_ms = a->store_wait_ms > 0 ? a->store_wait_ms : c->store_wait_ms,
		.stop = interrupt_token(),
		.now_ms = clock_wall_ms(),
		.quiet = a->common.quiet,
		.options = { .require_backup = a->require_backup,
			     .accept_loss = a->accept_loss,
			     .replace_unreadable = a->replace_unreadable },
	};
	if (a->offline && strcmp(a->offline, "ok") != 0)
		r->options.offline =
			!strcmp(a->offline, "stop") ? OFFLINE_STOP : OFFLINE_START_EMPTY;
	if (a->adopt)
		r->options.adopt = !strcmp(a->adopt, "local") ? ADOPT_LOCAL : ADOPT_REPLICA;
}

static int start_run(int argc, char **argv)
{
	struct run_args a = DEFAULTS;
	struct boot_request r;
	struct err e = ERR_INIT;
	int status;

	if (!cmd_begin(&cmd_internal_start, argc, argv, &a, &status))
		return status;
	CLEANUP(config_freep) struct config *c = load(&a, &e);

	if (!c)
		return cmd_fail(&e);
	to_request(&a, c, &r);
	r.db = config_db(c, a.common.operands[0], &e);
	return r.db && boot_run(&r, &facts_real_ops, &e) == 0 ? EXIT_OK : cmd_fail(&e);
}

const struct command cmd_internal_start = {
	.name = "internal-start",
	.run = start_run,
	.opts = opts,
	.operands = "DB",
	.help = "the start-up check of one database",
	.min_operands = 1,
	.max_operands = 1,
	.config = true,
	.hidden = true,
};

/* ---- run ---- */

/* The words for the children; they point into argv and the configuration. */
struct words {
	const char ***starts; /* one command for each database */
	size_t nstarts;
	const char *agent[AGENT_WORDS_MAX], *later[AGENT_WORDS_MAX];
	char *self, *stop_ms;
	char **exec; /* the configuration's exec, split */
};

static void free_words(struct words *w)
{
	for (size_t i = 0; w->starts && i < w->nstarts; i++)
		free(w->starts[i]);
	free(w->starts);
	free(w->self);
	free(w->stop_ms);
	if (w->exec)
		proc_free_argv(w->exec);
}

/* The same options, then the database. */
static void add_starts(struct words *w, const struct config *c, char *const *options,
		       size_t noptions)
{
	w->nstarts = c->ndbs;
	w->starts = mem_array(c->ndbs, sizeof(*w->starts));
	for (size_t i = 0; i < c->ndbs; i++) {
		const char **v = mem_array(noptions + 4, sizeof(*v));
		size_t n = 0;

		v[n++] = w->self;
		v[n++] = cmd_internal_start.name;
		for (size_t k = 0; k < noptions; k++)
			v[n++] = options[k];
		v[n] = c->dbs[i].path;
		w->starts[i] = v;
	}
}

/* adopt: the replica's head moves to this database whatever it is. */
static void add_words(const struct words *w, const struct run_args *a, bool adopt,
		      const char *words[AGENT_WORDS_MAX])
{
	const struct common_args *c = &a->common;
	size_t n = 0;

	words[n++] = w->self;
	words[n++] = cmd_replicate.name;
	words[n++] = "-notify-fd=3";
	words[n++] = "-stop-timeout";
	words[n++] = w->stop_ms;
	if (adopt)
		words[n++] = "-if-different=adopt";
	if (c->config) {
		words[n++] = "-config";
		words[n++] = c->config;
	}
	if (c->no_expand_env)
		words[n++] = "-no-expand-env";
	if (c->quiet)
		words[n++] = "-quiet";
	if (c->verbose)
		words[n++] = "-v";
	if (c->log_level) {
		words[n++] = "-log-level";
		words[n++] = c->log_level;
	}
	if (a->db) {
		words[n++] = "--";
		words[n++] = a->db;
		words[n] = a->url;
	}
}

/* The head was taken once: an agent that is started again must not take it back from who has it then. */
static void add_agent(struct words *w, const struct run_args *a, int64_t stop_timeout_ms)
{
	int64_t stop_ms = stop_timeout_ms > 2 * AGENT_LAST_WORDS_MS
				  ? stop_timeout_ms - AGENT_LAST_WORDS_MS
				  : stop_timeout_ms;

	w->stop_ms = mem_fmt("%" PRId64 "ms", stop_ms);
	add_words(w, a, a->adopt && !strcmp(a->adopt, "local"), w->agent);
	add_words(w, a, false, w->later);
}

static const char *const *find_app(struct words *w, const struct run_args *a,
				   const struct config *c, struct err *e)
{
	if (a->common.noperands)
		return (const char *const *)a->common.operands;
	if (c->exec) {
		w->exec = proc_split(c->exec, e);
		return (const char *const *)w->exec;
	}
	err_set(e, ERR_USAGE, "run: no app to run");
	err_hint(e, "walback run [option...] -- APP ARGS...");
	return NULL;
}

static int check_args(const struct run_args *a, struct err *e)
{
	if (a->stop_timeout_ms == 0 || a->stop_timeout_ms < -1 ||
	    a->heartbeat_timeout_ms <= 0 || a->check_timeout_ms <= 0 ||
	    a->store_wait_ms < 0 || a->wait_sync_ms < 0) {
		err_set(e, ERR_USAGE, "run: a time-out must be positive");
		return err_hint(e, "walback run -help has the defaults");
	}
	return 0;
}

static int supervise(const struct run_args *a, char *const *options, size_t noptions,
		     struct err *e)
{
	CLEANUP(config_freep) struct config *c = load(a, e);
	CLEANUP(free_words) struct words w = { 0 };
	struct supervise_options o = { .beat_timeout_ms = a->heartbeat_timeout_ms,
				       .ready_timeout_ms = READY_TIMEOUT_MS,
				       .wait_sync_ms = a->wait_sync_ms };

	if (!c || check_args(a, e) < 0 || !(o.app = find_app(&w, a, c, e)))
		return -1;
	o.stop_timeout_ms =
		a->stop_timeout_ms > 0 ? a->stop_timeout_ms : c->shutdown_timeout_ms;
	w.self = proc_self();
	add_starts(&w, c, options, noptions);
	add_agent(&w, a, o.stop_timeout_ms);
	o.starts = (const char *const *const *)w.starts;
	o.nstarts = w.nstarts;
	o.agent = w.agent;
	o.agent_later = w.later;
	return supervise_run(&o, e);
}

static int run(int argc, char **argv)
{
	struct run_args a = DEFAULTS;
	struct err e = ERR_INIT;
	AUTO_FREE char **words = mem_array((size_t)argc + 1, sizeof(*words));
	int status;

	memcpy(words, argv, (size_t)argc * sizeof(*words)); /* parsing reorders them */
	if (!cmd_begin(&cmd_run, argc, argv, &a, &status))
		return status;
	status = supervise(&a, words + 1, (size_t)(argc - 1 - a.common.noperands), &e);
	return status < 0 ? cmd_fail(&e) : status;
}

const struct command cmd_run = {
	.name = "run",
	.run = run,
	.opts = opts,
	.operands = "[--] APP ARGS...",
	.help = "entrypoint: check, restore if needed, replicate, run the app",
	.max_operands = -1,
	.config = true,
	.app = true,
};
