/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What agent/swap/swap.c stands on: the names of one swap, its lock, its record and
 * the sum by which a file is known again.
 */
#ifndef AGENT_SWAP_RECORD_H
#define AGENT_SWAP_RECORD_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct swap {
	char *db, *dir;		  /* the database and its folder */
	char *meta, *json, *lock; /* .NAME-walback, swap.json and swap.lock in it */
	char *temp, *quarantine;  /* NULL until planned or read */
	uint64_t sum;
	bool old; /* there was a database to quarantine */
	int lock_fd;
};

#define SWAP_NONE             \
	{                     \
		.lock_fd = -1 \
	}

void swap_init(struct swap *s, const char *db_path);
/* Gives the lock back; the lock and an empty folder disappear. */
void swap_free(struct swap *s);

/* ERR_EXISTS, exit 15: another process has it for longer than 10 s. */
MUST_CHECK int swap_lock(struct swap *s, struct err *e);

MUST_CHECK int swap_write_record(const struct swap *s, struct err *e);
/* Fills temp, quarantine, sum, old.  ERR_CORRUPT: not a record of ours. */
MUST_CHECK int swap_read_record(struct swap *s, struct err *e);
MUST_CHECK int swap_remove_record(const struct swap *s, struct err *e);

/* NAME.<label>.<time>, or the same with .2 and so on: neither it nor its side files exist.  NULL: *e set. */
MUST_CHECK char *swap_free_name(const char *db, const char *label, int64_t now_ms,
				struct err *e);

/* The sum of the file's pages (docs/format.md); ERR_CORRUPT when it is no database of whole pages. */
MUST_CHECK int swap_sum_of_file(const char *path, uint64_t *sum, struct err *e);

/* lstat: 1 there, 0 not there, -1 cannot tell. */
MUST_CHECK int swap_look(const char *path, struct stat *st, struct err *e);

#endif
