/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor: runs the start-up commands, then the agent, then the app,
 * and stays until the app has ended and the agent has done its last sync.  Fit
 * to be PID 1; otherwise it makes itself the reaper of its descendants.
 *
 * One thread, no database, no network, no allocation that grows: restore and
 * replication are children, so their crash or hang never touches the app.
 *
 * - Signals go to the app's process group.  TERM, INT and QUIT also start the
 *   clock of stop_timeout_ms: two thirds for the app, the rest for the last sync.
 * - During the last sync an INT that is not the first signal, or comes from the terminal, ends
 *   it at once.
 * - When the app's main process has ended, what is left of its group, and any
 *   orphan that came to us, gets TERM, then KILL, before the last sync.
 * - An agent that dies, or says nothing for beat_timeout_ms (killed then), is
 *   started again with back-off; the app is not disturbed.
 */
#ifndef AGENT_SUPERVISE_H
#define AGENT_SUPERVISE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define SUPERVISE_NOTIFY_FD 3 /* the agent's end of the pipe (agent/run/notify.h) */

struct supervise_options {
	const char *const *const
		*starts; /* commands to run one after the other before all else */
	size_t nstarts;
	const char *const *agent; /* told to speak on SUPERVISE_NOTIFY_FD */
	/* Instead, when it is started again after it once said "synced"; NULL: agent. */
	const char *const *agent_later;
	const char *const *app;
	int64_t stop_timeout_ms;
	int64_t beat_timeout_ms;
	int64_t ready_timeout_ms; /* for the agent's first "ready" */
	int64_t wait_sync_ms; /* > 0: the app starts once the agent said "synced", within this time */
};

/*
 * The status to exit with: the app's own (128+n for a signal); 126 or 127 when it cannot be
 * executed; the status of a start-up command that failed; the agent's when it fails before
 * it was ever ready; 11 when wait_sync_ms passed; 128+n when a signal came before the app
 * had started.  What happened has been logged.  -1 with *e: the supervisor itself cannot work.
 */
MUST_CHECK int supervise_run(const struct supervise_options *o, struct err *e);

#endif
