/* SPDX-License-Identifier: Apache-2.0 */
/* The last bytes of a stream that comes in pieces: does it end like an object with a trailer? */
#ifndef WAL_TAIL_H
#define WAL_TAIL_H

#include "wal/trailer.h"

#include <string.h>

struct tail {
	uint8_t b[TRAILER_TAIL]; /* zeros in front while fewer have come */
};

static inline void tail_add(struct tail *t, const uint8_t *p, size_t n)
{
	size_t size = sizeof t->b;

	if (n >= size) {
		memcpy(t->b, p + n - size, size);
	} else if (n) {
		memmove(t->b, t->b + n, size - n);
		memcpy(t->b + size - n, p, n);
	}
}

static inline bool tail_has_trailer(const struct tail *t)
{
	uint64_t distance;

	return trailer_find(t->b, sizeof t->b, &distance);
}

#endif
