/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML text as a tree: scalars, lists and maps with their lines.
 *
 * Only the first document counts.  Anchors, aliases and merge keys (<<) work;
 * the tree as seen through its aliases has at most YAML_NODES_MAX nodes and
 * YAML_DEPTH_MAX levels, so that a few lines cannot grow into gigabytes.
 * Of two equal keys in a map the later one wins, as in Litestream.
 */
#ifndef AGENT_CONFIG_YAML_H
#define AGENT_CONFIG_YAML_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { YAML_DEPTH_MAX = 32, YAML_NODES_MAX = 1000000 };

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml {
	enum yaml_kind kind;
	int line;   /* from 1 */
	bool null;  /* an absent or null scalar: "", ~, null */
	char *text; /* YAML_TEXT: never NULL */
	struct yaml_pair {
		struct yaml *key; /* YAML_MAP: a scalar, or NULL for keys that are not */
		struct yaml *value;
	} * items; /* YAML_MAP and YAML_LIST (there key is NULL) */
	size_t n;
};

struct yaml_doc; /* owns the nodes, and wipes their texts when freed */

/* NULL with ERR_USAGE "NAME:LINE: ..." */
MUST_CHECK struct yaml_doc *yaml_parse(const char *text, size_t n, const char *name,
				       struct err *e);
/* NULL when the document is empty (only comments, or nothing). */
const struct yaml *yaml_root(const struct yaml_doc *d);
void yaml_doc_free(struct yaml_doc *d); /* NULL is fine */
void yaml_doc_freep(struct yaml_doc **d);

/* There was a second document, which nobody reads; its line, or 0. */
int yaml_second_document(const struct yaml_doc *d);

#endif
