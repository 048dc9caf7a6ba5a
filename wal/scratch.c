/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/scratch.h"

#include "base/cleanup.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* Where the file system has no O_TMPFILE: a name for a moment. */
static int open_named(const char *dir)
{
	AUTO_FREE char *path = mem_fmt("%s/.walback-XXXXXX", dir);
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd >= 0)
		unlink(path);
	return fd;
}

static int open_in(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd >= 0 ? fd : open_named(dir);
}

int scratch_open(const char *dir, struct err *e)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in this program sets the environment */
	const char *tmp = getenv("TMPDIR");

	if (!dir)
		dir = tmp && *tmp ? tmp : "/var/tmp";
	int fd = open_in(dir);

	if (fd >= 0)
		return fd;
	err_errno(e, "make a temporary file in %s", dir);
	return err_hint(e, "set TMPDIR to a folder with room");
}

int scratch_open_beside(int fd, struct err *e)
{
	char link[40], path[PATH_MAX];

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path - 1);
	char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;

	if (!slash || path[0] != '/')
		return scratch_open(NULL, e);
	slash[slash == path] = 0;
	int made = open_in(path);

	return made >= 0 ? made : scratch_open(NULL, e);
}

int scratch_reserve(int fd, uint64_t n, const char *what, struct err *e)
{
	int r;

	if (n > INT64_MAX) {
		errno = EFBIG;
		return err_errno(e, "%s", what);
	}
	do
		r = posix_fallocate(fd, 0, (off_t)n);
	while (r == EINTR);
	if (!r)
		return 0;
	errno = r;
	return err_errno(e, "%s", what);
}
