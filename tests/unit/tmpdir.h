/* SPDX-License-Identifier: Apache-2.0 */
/* A folder for one test: `char *dir = tmpdir_new(); ... tmpdir_remove(dir);` */
#ifndef TESTS_UNIT_TMPDIR_H
#define TESTS_UNIT_TMPDIR_H

#include "base/file.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

static inline char *tmpdir_new(void)
{
	const char *base = getenv("TMPDIR");
	char *dir = mem_fmt("%s/walback-test-XXXXXX", base && *base ? base : "/tmp");

	assert_non_null(mkdtemp(dir));
	return dir;
}

static inline void tmpdir_remove(char *dir)
{
	struct err e = ERR_INIT;

	if (file_remove_tree(dir, &e))
		fail_msg("%s", e.msg);
	free(dir);
}

#endif
