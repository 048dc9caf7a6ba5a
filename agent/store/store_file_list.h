/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects of a file replica: which names are objects, and the walk over a
 * tree that may hold anything.  Symbolic links below the root are not followed,
 * files that are no regular files are passed over.
 */
#ifndef AGENT_STORE_FILE_LIST_H
#define AGENT_STORE_FILE_LIST_H

#include "agent/store/store.h"

#define STORE_FILE_TEMP ".walback-"

/* Each part between slashes is a plain name that is neither hidden ("." in front, ".tmp" behind) nor empty. */
bool store_file_key_valid(const char *key);

struct store_file_list {
	const char *root;
	const struct stop *stop;
	bool delimiter; /* direct children only; folders that hold objects end in '/' */
	int (*cb)(void *arg, const struct store_object *o); /* non-zero: enough */
	void *arg;
};

/* As store_ops.list: prefix is a string prefix of keys; a missing folder is empty.
 * ETags are not given.  ERR_CORRUPT for folders nested too deep. */
MUST_CHECK int store_file_list(const struct store_file_list *w, const char *prefix,
			       struct err *e);

/* Remove temporary files (".*.walback-*.tmp") in this folder that a killed writer left:
 * older than five minutes and not locked by a living one.  Failures do not matter. */
void store_file_sweep(const char *dir);

#endif
