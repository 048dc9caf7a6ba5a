/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A WAL with wrong checksums set right, so that the frames' content matters:
 * what verifies goes onto a database, whose sum must be that of the file.
 */
#include "base/bytes.h"
#include "base/hash.h"
#include "wal/apply.h"
#include "wal/dbhdr.h"
#include "wal/frame.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES_MAX 60 /* larger databases only cost time */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void begin(struct apply *a, uint32_t ps)
{
	static uint8_t page[65536];
	struct err e = ERR_INIT;

	memcpy(page, "SQLite format 3", 16);
	page[16] = (uint8_t)(ps == 65536 ? 0 : ps >> 8);
	page[17] = ps == 65536;
	if (apply_image(a, page, ps, &e) || apply_image_end(a, &e))
		abort();
}

static void check_sum(int fd, uint32_t ps, uint32_t pages, const struct pagesum *sums)
{
	static uint8_t page[65536];
	uint64_t sum = 0;

	for (uint32_t i = 1; i <= pages; i++) {
		if (pread(fd, page, ps, (off_t)(i - 1) * ps) != (ssize_t)ps)
			abort();
		sum ^= hash_page(i, page, ps);
	}
	if (sum != pagesum_value(sums) || pages != pagesum_pages(sums))
		abort();
}

static void frames(struct apply *a, struct wal_header *h, const uint8_t *p, size_t n,
		   bool strict)
{
	size_t size = WAL_FRAME_HEADER_SIZE + (size_t)h->page_size;
	struct wal_sum at = h->sum, again;
	struct err e = ERR_INIT;

	for (; n >= size; p += size, n -= size) {
		uint8_t f[WAL_FRAME_HEADER_SIZE];
		uint32_t pgno = get_be32(p), commit = get_be32(p + 4) % PAGES_MAX;

		again = at;
		wal_frame_format(f, h, &at, pgno, commit, p + WAL_FRAME_HEADER_SIZE);
		if (wal_frame_verify(h, &again, f, p + WAL_FRAME_HEADER_SIZE) !=
		    (pgno != 0))
			abort();
		if (apply_frame(a, pgno, commit, p + WAL_FRAME_HEADER_SIZE, strict, &e))
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static int fd = -1;
	struct wal_header h, again;
	struct err e = ERR_INIT;
	uint8_t b[WAL_HEADER_SIZE];

	if (fd < 0)
		fd = memfd_create("db", 0);
	if (fd < 0 || ftruncate(fd, 0))
		abort();
	if (n < WAL_HEADER_SIZE)
		return wal_header_parse(&h, p, n, &e) ? 0 : (abort(), 0);
	if (!wal_header_parse(&h, p, n, &e)) {
		wal_header_format(b, &h);
		if (memcmp(b, p, sizeof b) != 0)
			abort();
	}
	h = (struct wal_header){ .big_endian = p[3] & 1,
				 .page_size = 512U << p[8] % 8,
				 .salt = { get_be32(p + 16), get_be32(p + 20) } };
	wal_header_format(b, &h);
	if (wal_header_parse(&again, b, sizeof b, &e))
		abort();
	struct pagesum *sums = pagesum_new(h.page_size, NULL, &e);
	struct apply *a = apply_new(fd, "db", h.page_size, sums);

	begin(a, h.page_size);
	frames(a, &h, p + WAL_HEADER_SIZE, n - WAL_HEADER_SIZE, p[9] & 1);
	check_sum(fd, h.page_size, apply_pages(a), sums);
	apply_destroy(a);
	pagesum_destroy(sums);
	return 0;
}
