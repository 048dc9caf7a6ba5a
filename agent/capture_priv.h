/* SPDX-License-Identifier: Apache-2.0 */
/* What capture.c and barrier.c share; for nobody else. */
#ifndef AGENT_CAPTURE_PRIV_H
#define AGENT_CAPTURE_PRIV_H

#include "agent/capture.h"
#include "base/log.h"
#include "wal/follow.h"

/* Pages copied while the write lock is held, to be delivered after it. */
struct stash {
	uint8_t *p;
	size_t len, cap;
};

void stash_free(struct stash *s);

struct capture {
	struct capture_options opt;
	struct capture_sink sink;
	struct capture_stats stats;
	struct sq *sq;
	const volatile void *map;
	struct follow *follow;
	struct pagesum *sums;
	struct stash stash;
	struct log_trouble trouble;  /* of checkpoints */
	struct wal_index rest_index; /* at the end of the last completed barrier */
	int64_t now_ms;		     /* wall clock of the wake-up */
	uint64_t seen;
	int cur; /* the reader that is open */
	bool settled;
	bool rested; /* at mark 0 and nothing committed since */
	bool may_reset; /* a reset would lose nothing: mark 0 unbroken, no frame delivered since */
};

int capture_index(struct capture *c, struct wal_index *ix, struct err *e);
/* follow_page_fn: delivers (arg is the capture). */
int capture_page(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
		 struct err *e);
int capture_follow(struct capture *c, const struct wal_index *ix, follow_page_fn *fn,
		   struct err *e);

#endif
