/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands that list a replica share: reading every replica of the
 * database, and rows that go into a table or, with -json, one object a line.
 *
 * Tables are complete before they are printed; JSON goes out as it grows.
 *
 * A replica that cannot be read is reported and passed over; the command fails
 * only when none could be read, so that "empty" is never said of a store
 * that did not answer.
 */
#ifndef CMD_LISTS_H
#define CMD_LISTS_H

#include "agent/store/catalog.h"
#include "base/json.h"
#include "cmd/common.h"
#include "cmd/select.h"

struct list_args {
	struct common_args common;
	const char *replica, *generation;
};

/* One readable replica. */
struct listing {
	const struct list_args *args;
	const struct db_config *db;
	const struct replica_config *replica;
	struct store *store;
	struct catalog *catalog;
	struct table *table; /* rows go here, or to json */
	struct buf *json;
	int status; /* of what went out already */
};

struct list_command {
	const struct command *command;
	const char *const *columns;
	size_t ncolumns;
	unsigned want; /* enum catalog_want */
	int (*rows)(struct listing *l, struct err *e);
};

/* The whole command; returns the exit status. */
int list_run(const struct list_command *c, int argc, char **argv);

/* Ends an object in l->json. */
void list_json_line(struct listing *l);

/* The generations that -generation leaves, by id; n of them, malloc'd. */
const struct cat_generation **list_generations(const struct listing *l, size_t *n);

#endif
