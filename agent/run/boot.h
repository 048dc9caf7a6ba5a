/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Make one database ready for the app: finish an interrupted swap, gather the
 * facts, decide, and do what was decided.  Runs in a process of its own
 * (`walback internal-start`), so that a crash or a hang never touches PID 1.
 *
 * Operators look for these lines, which are kept literally:
 *   DATABASE RESTORE REQUIRED
 *   Database successfully restored and verified
 *   WARNING: No backup found or restore failed
 */
#ifndef AGENT_BOOT_H
#define AGENT_BOOT_H

#include "agent/config/config.h"
#include "agent/run/facts.h"
#include "agent/run/startup.h"
#include "base/err.h"
#include "base/stop.h"

#include <stdint.h>

struct boot_request {
	const struct db_config *db;
	struct startup_options options;
	enum sq_check_mode check;
	int64_t check_timeout_ms, store_wait_ms;
	const struct stop *stop;
	int64_t now_ms; /* Unix time, for quarantine names */
	bool quiet;	/* no progress */
};

/* 0: the app may have it.  -1: stop, with e->exit (10 to 16, or 1); nothing local was touched unless the
 * message says so. */
MUST_CHECK int boot_run(const struct boot_request *r, const struct facts_ops *ops,
			struct err *e);

#endif
