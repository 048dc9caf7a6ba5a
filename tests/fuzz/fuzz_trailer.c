/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trailer as it is, and the same bytes as a body with the envelope set right.
 * What is accepted must come out of the formatter as it went in.
 */
#include "base/bytes.h"
#include "base/hash.h"
#include "wal/codec.h"
#include "wal/trailer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void try(const uint8_t *p, size_t n)
{
	struct trailer t;
	struct err e = ERR_INIT;
	struct buf b = BUF(1 << 24);

	if (trailer_parse(&t, p, n, &e))
		return;
	trailer_format(&t, &b);
	if (b.len != n || memcmp(b.p, p, n) != 0)
		abort();
	if (t.kind == TRAILER_SEGMENT) {
		struct wal_pos end = trailer_end(&t),
			       last = trailer_commit_end(&t, t.ncommits);

		if (end.offset - t.pos.offset != t.raw_len)
			abort();
		if (t.ncommits && wal_pos_cmp(last, end) > 0)
			abort();
		if (trailer_commits_until(&t, t.time_ms) != t.ncommits)
			abort();
	}
	buf_free(&b);
	trailer_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf b = BUF(1 << 24);
	uint8_t x[8];

	try(p, n);
	put_le32(x, CODEC_TRAILER_MAGIC);
	put_le32(x + 4, (uint32_t)n + 16);
	buf_add(&b, x, sizeof x);
	buf_add(&b, p, n);
	put_le32(x, (uint32_t)n);
	put_le32(x + 4, hash_crc32c(p, n));
	buf_add(&b, x, sizeof x);
	buf_add(&b, "WALBACK1", 8);
	try(b.p, b.len);
	buf_free(&b);
	return 0;
}
