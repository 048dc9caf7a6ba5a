/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run/facts.h"
#include "agent/run/history.h"

const struct facts_ops facts_real_ops = { .check = dbcheck_ask,
					  .restore = restore_run,
					  .same_history = history_same };
