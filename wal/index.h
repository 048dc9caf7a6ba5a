/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wal-index header: what is committed in a live WAL.
 *
 * SQLite writes a commit frame, syncs it, and only then publishes this header in the
 * -shm; a commit frame beyond its mxFrame may never have happened.  Layout: sqlite.org/
 * walformat.html, section 2.1; native byte order but the salts, which are bytes.
 */
#ifndef WAL_INDEX_H
#define WAL_INDEX_H

#include "wal/frame.h"

#include <stdbool.h>
#include <stdint.h>

#define WAL_INDEX_HEADER 136 /* both copies, and the checkpoint information */

struct wal_index {
	uint32_t change; /* counts transactions */
	bool big_endian; /* checksum words of the WAL */
	uint32_t page_size;
	uint32_t mx_frame;  /* committed frames in the WAL; 0: empty */
	uint32_t pages;	    /* database size in pages */
	struct wal_sum sum; /* running checksum after frame mx_frame */
	uint32_t salt[2];
};

/* Read the header from mapped memory that other processes change.  True when both copies are equal
 * and their checksum is right; false: being written, or not initialised; try again. */
bool wal_index_read(const volatile void *map, struct wal_index *out);

/* How many frames of the WAL are in the database file by now. */
uint32_t wal_index_backfilled(const volatile void *map);

/* A cheap look: bytes that change with every commit and every reset.  For "is there anything new". */
uint64_t wal_index_glance(const volatile void *map);

#endif
