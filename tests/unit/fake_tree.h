/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of a replica that a seed makes up: generations, and what does not belong there. */
#ifndef TESTS_UNIT_FAKE_TREE_H
#define TESTS_UNIT_FAKE_TREE_H

#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_tree {
	char **keys; /* sorted, without twins */
	size_t n, cap;
	uint64_t rng;
};

static inline uint32_t fake_random(struct fake_tree *t, uint32_t below)
{
	t->rng = t->rng * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(t->rng >> 33) % below;
}

/* Takes key. */
static inline void fake_tree_add(struct fake_tree *t, char *key)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->keys = mem_grow(t->keys, t->cap, sizeof(*t->keys));
	}
	t->keys[t->n++] = key;
}

static inline int fake_tree_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline void fake_tree_sort(struct fake_tree *t)
{
	size_t kept = 0;

	qsort(t->keys, t->n, sizeof(*t->keys), fake_tree_cmp);
	for (size_t i = 0; i < t->n; i++) {
		if (kept && strcmp(t->keys[kept - 1], t->keys[i]) == 0)
			free(t->keys[i]);
		else
			t->keys[kept++] = t->keys[i];
	}
	t->n = kept;
}

static inline void fake_tree_stray(struct fake_tree *t, const char *root, const char *g)
{
	static const char *const names[] = {
		"wal.bak",	 "wal/00000001_",
		"wal/x",	 "a_b/c",
		"other/d_e",	 "snapshots/0000000A.snapshot.zst",
		"wal/0000000_0", "zz"
	};

	fake_tree_add(t, mem_fmt("%sgenerations/%s/%s", root, g,
				 names[fake_random(t, sizeof(names) / sizeof(names[0]))]));
}

static inline void fake_tree_segment(struct fake_tree *t, const char *root, const char *g,
				     uint32_t index, uint32_t n)
{
	int digits = fake_random(t, 9) ? 8 : 10;
	const char *codec = fake_random(t, 2) ? "zst" : "lz4";

	fake_tree_add(t, mem_fmt("%sgenerations/%s/wal/%08x_%0*x.wal.%s", root, g, index,
				 digits, n * 4152, codec));
}

static inline void fake_tree_generation(struct fake_tree *t, const char *root,
					uint32_t indexes, uint32_t segments)
{
	uint32_t high = fake_random(t, UINT32_MAX), low = fake_random(t, UINT32_MAX);
	char g[17];

	snprintf(g, sizeof(g), "%08x%08x", high, low);
	if (fake_random(t, 3))
		fake_tree_add(t, mem_fmt("%sgenerations/%s/generation.json", root, g));
	for (uint32_t i = 0; i < indexes; i++) {
		if (fake_random(t, 5) == 0)
			fake_tree_add(t, mem_fmt("%sgenerations/%s/snapshots/"
						 "%08x.snapshot.zst",
						 root, g, i));
		for (uint32_t n = fake_random(t, segments + 1); n > 0; n--)
			fake_tree_segment(t, root, g, i, n);
		if (fake_random(t, 20) == 0)
			fake_tree_stray(t, root, g);
	}
}

static inline struct fake_tree fake_tree_make(uint64_t seed, const char *root,
					      uint32_t generations, uint32_t indexes,
					      uint32_t segments)
{
	struct fake_tree t = { .rng = seed };

	for (uint32_t i = 0; i < generations; i++)
		fake_tree_generation(&t, root, 1 + fake_random(&t, indexes), segments);
	fake_tree_add(&t, mem_fmt("%sgenerations/lost_and/found", root));
	fake_tree_add(&t, mem_fmt("%sgenerations/.trash", root));
	fake_tree_sort(&t);
	return t;
}

static inline void fake_tree_free(struct fake_tree *t)
{
	while (t->n)
		free(t->keys[--t->n]);
	free(t->keys);
}

#endif
