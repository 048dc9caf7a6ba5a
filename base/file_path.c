/* SPDX-License-Identifier: Apache-2.0 */
/* Names of files: the last part of base/file.h. */
#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum { LINKS_MAX = 40 };

char *file_dirname(const char *path)
{
	size_t n = strlen(path) - strlen(file_basename(path));

	if (!n)
		return mem_str(".");
	while (n > 1 && path[n - 1] == '/')
		n--;
	return mem_strn(path, n);
}

const char *file_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *file_join(const char *dir, const char *name)
{
	size_t n = strlen(dir);

	return mem_fmt("%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
}

/* Where a link that leads to nothing points to; NULL if path is no link. */
static char *dangling_target(const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target));

	if (n <= 0 || (size_t)n >= sizeof(target))
		return NULL;
	target[n] = 0;
	if (target[0] == '/')
		return mem_str(target);
	AUTO_FREE char *dir = file_dirname(path);

	return file_join(dir, target);
}

/* The folder resolved, the last part as it is. */
static char *resolve_folder(const char *path, struct err *e)
{
	AUTO_FREE char *dir = file_dirname(path);
	AUTO_FREE char *real = realpath(dir, NULL);

	if (!real) {
		err_errno(e, "%s", path);
		return NULL;
	}
	return file_join(real, file_basename(path));
}

char *file_realpath(const char *path, struct err *e)
{
	AUTO_FREE char *at = mem_str(path);

	for (int i = 0; i < LINKS_MAX; i++) {
		char *real = realpath(at, NULL);

		if (real)
			return real;
		if (errno != ENOENT)
			break;
		char *next = dangling_target(at);

		if (!next)
			return resolve_folder(at, e);
		free(at);
		at = next;
	}
	err_errno(e, "%s", path);
	return NULL;
}
