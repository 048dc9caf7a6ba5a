/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the local database the one whose history a replica's head names?  Known from
 * the local state, else from the sum of its pages (docs/protocol.md).
 */
#ifndef AGENT_HISTORY_H
#define AGENT_HISTORY_H

#include "agent/config/config.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* 1 yes, 0 no (why), -1: the store's error, or the file cannot be read.  The file is hashed, by a child
 * process, only when the state does not answer. */
MUST_CHECK int history_same(const struct db_config *db, const struct replica_config *rc,
			    int64_t store_wait_ms, char why[240], struct err *e);

/* The child's side (`walback internal-dbsum PATH`): bring the -wal into the file as far as nobody holds it
 * back, hash the pages, print one JSON line.  Returns the exit status. */
int history_sum_main(const char *db_path);

#endif
