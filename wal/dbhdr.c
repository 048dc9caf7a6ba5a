/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout used here, integers big-endian:
 *
 *   0  16  "SQLite format 3\0"
 *  16   2  page size; 1 means 65536
 *  18   1  write version, 19  1  read version: 1 rollback journal, 2 WAL
 *  24   4  change counter
 *  28   4  size in pages, meant only if 92 equals 24
 *  40   4  schema cookie
 *  92   4  the change counter for which 28 is valid
 */
#include "wal/dbhdr.h"

#include "base/bytes.h"

#include <string.h>

static const uint8_t MAGIC[16] = "SQLite format 3";

bool db_page_size_ok(uint32_t page_size)
{
	return page_size >= 512 && page_size <= 65536 && !(page_size & (page_size - 1));
}

uint32_t db_lock_page(uint32_t page_size)
{
	return DB_LOCK_BYTE / page_size + 1;
}

bool dbhdr_magic(const uint8_t *p, size_t n)
{
	return n >= sizeof MAGIC && !memcmp(p, MAGIC, sizeof MAGIC);
}

int dbhdr_parse(struct dbhdr *out, const uint8_t *p, size_t n, struct err *e)
{
	if (n < DBHDR_SIZE)
		return err_set(e, ERR_CORRUPT,
			       "a database header has %d bytes, here are %zu", DBHDR_SIZE,
			       n);
	if (!dbhdr_magic(p, n))
		return err_set(e, ERR_CORRUPT,
			       "not a SQLite database (or an encrypted one)");
	uint32_t page_size = get_be16(p + 16);

	if (page_size == 1)
		page_size = 65536;
	if (!db_page_size_ok(page_size))
		return err_set(e, ERR_CORRUPT, "the database header's page size is %u",
			       page_size);
	*out = (struct dbhdr){
		.page_size = page_size,
		.write_version = p[18],
		.read_version = p[19],
		.change_counter = get_be32(p + 24),
		.pages = get_be32(p + 28),
		.schema_cookie = get_be32(p + 40),
	};
	out->pages_valid = out->pages && get_be32(p + 92) == out->change_counter;
	return 0;
}
