/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits to segments, for one replica: each frames for itself into its generation's stored
 * indexes (docs/format.md).  A segment is cut when the caller says, at 16 MiB inside a
 * transaction, and where a stored index ends (about 8 MiB).  Local side only, one thread.
 */
#ifndef AGENT_FRAMER_H
#define AGENT_FRAMER_H

#include "agent/replicate/outbox.h"
#include "base/err.h"
#include "wal/codec.h"
#include "wal/pos.h"

#include <stdbool.h>
#include <stdint.h>

struct framer_start {
	char generation[17];
	uint64_t session;
	enum codec codec;
	uint32_t page_size;
	uint64_t db_sum; /* of the database now */
	uint32_t pages;
	int64_t time_ms; /* of its last commit */
};

struct framer;

/* At offset 0 of index 0; finished segments go to out. */
struct framer *framer_new(const struct framer_start *s, struct outbox *out);
void framer_destroy(struct framer *f);

/* A page, the transaction's last one with commit != 0; then framer_commit.  ERR_USAGE (slug transaction_too_large):
 * more than 3 GiB in an lz4 path; errors of outbox_put.  After an error nothing but destroy may follow: the
 * generation cannot go on. */
MUST_CHECK int framer_page(struct framer *f, uint32_t pgno, uint32_t commit,
			   const uint8_t *page, struct err *e);
MUST_CHECK int framer_commit(struct framer *f, int64_t time_ms, uint64_t db_sum,
			     uint32_t pages, struct err *e);

/* Commits not cut yet. */
uint32_t framer_pending(const struct framer *f);
/* End the segment being built; nothing pending: nothing. */
MUST_CHECK int framer_cut(struct framer *f, struct err *e);
/* Cut, and go to offset 0 of the next index (not if there already). */
MUST_CHECK int framer_next_index(struct framer *f, struct err *e);

/* Where the next byte goes: after framer_cut, a boundary between transactions. */
struct wal_pos framer_pos(const struct framer *f);
/* Where the last finished segment ended (the end of an index, not offset 0 of the next one); zero: none yet. */
struct wal_pos framer_sent(const struct framer *f);
uint64_t framer_bytes(const struct framer *f);	/* raw, since framer_new */
int64_t framer_time_ms(const struct framer *f); /* of the last commit */

#endif
