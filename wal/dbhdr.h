/* SPDX-License-Identifier: Apache-2.0 */
/* The first 100 bytes of a SQLite database file (sqlite.org/fileformat2.html, section 1.3). */
#ifndef WAL_DBHDR_H
#define WAL_DBHDR_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DBHDR_SIZE 100
#define DB_LOCK_BYTE 0x40000000U

struct dbhdr {
	uint32_t page_size; /* 512..65536 */
	uint32_t pages;	  /* size in pages as the header says; only valid if pages_valid */
	bool pages_valid; /* version-valid-for equals the change counter */
	uint32_t change_counter, schema_cookie;
	uint8_t write_version, read_version; /* 2, 2: WAL mode */
};

/* ERR_CORRUPT: too short, not SQLite's magic, a page size that is none. */
MUST_CHECK int dbhdr_parse(struct dbhdr *out, const uint8_t *p, size_t n, struct err *e);
bool dbhdr_magic(const uint8_t *p, size_t n); /* the first 16 bytes are SQLite's */

bool db_page_size_ok(uint32_t page_size);
/* The page that holds byte 0x40000000; never stored, counts as zeros. */
uint32_t db_lock_page(uint32_t page_size);

#endif
