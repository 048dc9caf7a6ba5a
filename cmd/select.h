/* SPDX-License-Identifier: Apache-2.0 */
/* Which database a command means: its operand is a configured path or a replica's URL. */
#ifndef CMD_SELECT_H
#define CMD_SELECT_H

#include "agent/config/config.h"
#include "base/err.h"
#include "cmd/opts.h"

struct selection {
	struct config *config; /* owned */
	const struct db_config *db;
	bool by_url; /* only a replica is named: db->path is "" */
};

/* Without an operand: the only database of the configuration.  ERR_USAGE. */
MUST_CHECK int selection_load(struct selection *s, const struct common_args *a,
			      struct err *e);
void selection_free(struct selection *s);

#endif
