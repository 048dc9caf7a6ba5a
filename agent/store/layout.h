/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of objects to facts and back (docs/format.md, "Keys").  Pure.
 *
 * Keys are relative to the replica's root, without a leading slash.  Whatever
 * is not exactly of the grammar is LAYOUT_OTHER and is nobody's business:
 * half-written uploads, foreign files, names in upper case.
 */
#ifndef AGENT_LAYOUT_H
#define AGENT_LAYOUT_H

#include "base/err.h"
#include "wal/codec.h"
#include "wal/pos.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAYOUT_KEY_MAX 160  /* the longest key that layout_format makes, with its NUL */
#define LAYOUT_NAME_MAX 100 /* characters of a tag's or an audit record's name */
#define LAYOUT_INDEX_MAX \
	0x7fffffffU /* Litestream's limit: the index is a signed 32-bit number */

enum layout_kind {
	LAYOUT_OTHER = 0,
	LAYOUT_SNAPSHOT, /* generations/<gen>/snapshots/<index>.snapshot.<codec> */
	LAYOUT_SEGMENT, /* generations/<gen>/wal/<index>_<offset>[-<session>].wal.<codec> */
	LAYOUT_LINEAGE, /* generations/<gen>/generation.json */
	LAYOUT_HEAD,	/* walback/head.json */
	LAYOUT_TAG,	/* walback/tags/<name>.json */
	LAYOUT_AUDIT,	/* walback/audit/<name>.json */
	LAYOUT_VERIFIED, /* walback/verified.json */
	LAYOUT_LTX, /* Litestream 0.5: ltx/<level>/<min>-<max>.ltx or <level>/<min>-<max>.ltx */
};

struct fact {
	enum layout_kind kind;
	char generation[17]; /* snapshot, segment, lineage */
	struct wal_pos pos;  /* segment; a snapshot: offset 0 */
	enum codec codec;    /* snapshot, segment */
	bool has_session;
	uint64_t session; /* segment, of stores without conditional writes */
	/* Digits of the offset in the name: 8 below 4 GiB, else as many as it takes.  A reader also
	 * takes names padded beyond that; layout_format puts as many digits as said here (0: right). */
	uint8_t offset_digits;
	uint8_t level;			/* LTX */
	uint64_t min_txid, max_txid;	/* LTX */
	char name[LAYOUT_NAME_MAX + 1]; /* tag, audit */
};

/* Never fails: what is not of the grammar is LAYOUT_OTHER. */
struct fact layout_parse(const char *key);

/* The key of a fact (LTX and OTHER have none: ""). */
void layout_format(const struct fact *f, char out[LAYOUT_KEY_MAX]);

/* The two that are wanted all the time. */
void layout_snapshot_key(const char *generation, uint32_t index, enum codec c,
			 char out[LAYOUT_KEY_MAX]);
void layout_segment_key(const char *generation, struct wal_pos pos, enum codec c,
			char out[LAYOUT_KEY_MAX]);

/* False for names with more digits than their offset needs (a copy tool's, not a writer's). */
bool layout_canonical(const struct fact *f);

/* 16 lower-case hex digits. */
bool layout_generation_ok(const char *s);
/* 1 to LAYOUT_NAME_MAX of [0-9A-Za-z._-], not beginning with a dot. */
bool layout_name_ok(const char *s);

#define LAYOUT_HEAD_KEY "walback/head.json"
#define LAYOUT_GENERATIONS "generations/"
#define LAYOUT_TAGS "walback/tags/"

#endif
