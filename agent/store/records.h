/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small JSON documents that steer a replica: a generation's lineage
 * record (generation.json) and the head (head.json).  docs/format.md,
 * "Lineage record" and "Head".  Parsing refuses what the format does not
 * allow; texts for people (host, version, db) come out free of control
 * characters.
 */
#ifndef AGENT_RECORDS_H
#define AGENT_RECORDS_H

#include "base/buf.h"
#include "base/err.h"
#include "wal/codec.h"
#include "wal/pos.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORDS_TEXT_MAX 256
#define RECORDS_SIZE_MAX 16384 /* bytes of a document */

enum lineage_reason { REASON_INIT, REASON_ROLLBACK, REASON_DIVERGED, REASON_CONTINUED };
const char *lineage_reason_name(enum lineage_reason r); /* "init", ... */

struct lineage_parent {
	char generation[17];
	struct wal_pos pos;
	int64_t time_ms; /* of the last commit at pos */
};

struct lineage {
	char generation[17];
	int64_t created_at_ms;
	enum lineage_reason reason;
	bool has_parent;
	struct lineage_parent parent;
	uint64_t session; /* of the writer that made it */
	char host[RECORDS_TEXT_MAX], version[RECORDS_TEXT_MAX];
	enum codec compression;
	uint32_t page_size;
	char db[RECORDS_TEXT_MAX]; /* file name, for people */
};

struct head {
	char generation[17];
	uint64_t epoch; /* for display */
	enum lineage_reason reason;
	int64_t updated_at_ms;
	uint64_t session;
	char host[RECORDS_TEXT_MAX];
	int64_t since_ms;
	bool released;
	int64_t released_at_ms;
	bool has_intent;
	char intent_action[32]; /* "rollback" */
	char intent_by[RECORDS_TEXT_MAX];
	int64_t intent_at_ms;
};

/* ERR_CORRUPT naming `what` and the first thing that is wrong. */
MUST_CHECK int records_lineage_parse(struct lineage *out, const void *p, size_t n,
				     const char *what, struct err *e);
MUST_CHECK int records_head_parse(struct head *out, const void *p, size_t n,
				  const char *what, struct err *e);

/* Appends the document and a newline. */
void records_lineage_format(const struct lineage *l, struct buf *out);
void records_head_format(const struct head *h, struct buf *out);

#endif
