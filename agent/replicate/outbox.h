/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finished segments of one replica on their way to the store, oldest first.
 *
 * While the store keeps up they stay in memory; above a limit the bytes go to
 * files in the spool folder, named as in the store; above the spool's limit
 * nothing more is taken.  The local side puts, the network side takes; both may do
 * so at the same time.
 */
#ifndef AGENT_OUTBOX_H
#define AGENT_OUTBOX_H

#include "agent/store/layout.h"
#include "base/buf.h"
#include "base/err.h"
#include "wal/pos.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outbox_item {
	char key[LAYOUT_KEY_MAX];
	struct wal_pos pos, end; /* of the stored WAL */
	int64_t time_ms;	 /* of its last commit */
	uint32_t commits;
	uint64_t db_sum; /* after its last whole commit */
	size_t size;
	struct buf bytes; /* empty while spooled */
	bool spooled;
	struct outbox_item *next;
};

struct outbox;

/* spool_dir is made when it is first needed. */
struct outbox *outbox_new(const char *spool_dir, size_t memory_limit, uint64_t spool_limit);
void outbox_destroy(struct outbox *o);

/* Takes item (from mem_alloc, bytes filled in) over in every case.  ERR_EXISTS (slug spool_full): over the limit;
 * ERR_IO: the spool cannot be written.  Either way the item is gone. */
MUST_CHECK int outbox_put(struct outbox *o, struct outbox_item *item, struct err *e);

/* The oldest item, its bytes in memory again, or NULL (*e untouched: none; else ERR_IO).  It stays in the outbox and
 * unchanged until outbox_pop or outbox_clear. */
struct outbox_item *outbox_peek(struct outbox *o, struct err *e);
/* The oldest one is acknowledged: forget it. */
void outbox_pop(struct outbox *o);
/* Its spool folder is another outbox's from now on: files that go there by the same names are not its own. */
void outbox_disown(struct outbox *o);
/* Drop everything (a new generation begins); not while an item is in use. */
void outbox_clear(struct outbox *o);

/* Where the newest item that was ever put ends. */
struct wal_pos outbox_end(struct outbox *o);
size_t outbox_count(struct outbox *o);
uint64_t outbox_bytes(struct outbox *o);

#endif
