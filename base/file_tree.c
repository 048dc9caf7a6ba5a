/* SPDX-License-Identifier: Apache-2.0 */
/* Making, replacing and removing names: the middle part of base/file.h. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { TEMP_TRIES = 100, TEMP_EXTRA = 32 };

/* ".NAME.walback-RANDOM.tmp" beside path; a long NAME is cut to fit. */
static char *temp_name(const char *path)
{
	AUTO_FREE char *dir = file_dirname(path);
	AUTO_FREE char *name =
		mem_fmt(".%.*s.walback-%08x.tmp", NAME_MAX - TEMP_EXTRA,
			file_basename(path), (unsigned)random_u64() ^ (unsigned)getpid());

	return file_join(dir, name);
}

static int open_temp(const char *path, mode_t mode, char **temp, struct err *e)
{
	for (int i = 0; i < TEMP_TRIES; i++) {
		*temp = temp_name(path);
		int fd = open(*temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

		if (fd >= 0)
			return fd;
		if (errno != EEXIST)
			break;
		free(STEAL(*temp));
	}
	/* Not the temporary name: it differs each time, and a log would not see that it is the same. */
	err_errno(e, "create %s", path);
	free(STEAL(*temp));
	return -1;
}

static int fill_temp(int fd, const char *temp, const void *p, size_t n, struct err *e)
{
	if (file_write_full(fd, p, n, temp, e) || file_sync(fd, temp, e)) {
		close(fd);
		return -1;
	}
	return file_close(&fd, temp, e);
}

/* link(2) works everywhere but on file systems without hard links, which have renameat2. */
int file_rename_new(const char *temp, const char *path, struct err *e)
{
	if (!link(temp, path)) {
		/* The name is there; a leftover temp is only untidy. */
		unlink(temp);
		return 0;
	}
	if ((errno == EPERM || errno == ENOTSUP || errno == ENOSYS || errno == EMLINK) &&
	    !renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE))
		return 0;
	return err_errno(e, "create %s", path);
}

int file_write_atomic(const char *path, const void *p, size_t n, mode_t mode,
		      bool if_absent, struct err *e)
{
	AUTO_FREE char *temp = NULL;
	int fd = open_temp(path, mode, &temp, e);

	if (fd < 0)
		return -1;
	if (fill_temp(fd, temp, p, n, e) ||
	    (if_absent ? file_rename_new(temp, path, e) : file_rename(temp, path, e))) {
		unlink(temp);
		return -1;
	}
	return file_sync_dir(path, e);
}

/* One folder; fine if it is there. */
static int make_dir(const char *path, mode_t mode, struct err *e)
{
	struct stat st;

	if (!mkdir(path, mode))
		return file_sync_dir(path, e);
	if (errno == EEXIST && !stat(path, &st)) {
		if (S_ISDIR(st.st_mode))
			return 0;
		errno = ENOTDIR;
	}
	return err_errno(e, "create folder %s", path);
}

int file_mkdirs(const char *path, mode_t mode, struct err *e)
{
	AUTO_FREE char *part = mem_str(path);
	struct stat st;

	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return 0;
	for (char *p = part + 1; *part && *p; p++) {
		if (*p != '/' || p[-1] == '/')
			continue;
		*p = 0;
		/* A folder we may not write to is fine as long as it is there. */
		if ((stat(part, &st) || !S_ISDIR(st.st_mode)) && make_dir(part, mode, e))
			return -1;
		*p = '/';
	}
	return make_dir(path, mode, e);
}

int file_rename(const char *from, const char *to, struct err *e)
{
	if (rename(from, to))
		return err_errno(e, "rename %s to %s", from, to);
	return 0;
}

/* What a kernel, a sandbox or a file system says that has no such call. */
static bool not_to_be_had(int error)
{
	return error == EINVAL || error == ENOSYS || error == EPERM ||
	       error == EOPNOTSUPP || error == EMLINK;
}

/* It did not come to the end: our file leaves the new name, errno stays. */
static int take_back(const char *to)
{
	int saved = errno;

	unlink(to);
	errno = saved;
	return -1;
}

/* The new name alone or, with errno, the old one. */
static int link_new(const char *from, const char *to)
{
	if (link(from, to))
		return -1;
	return unlink(from) ? take_back(to) : 0;
}

/* Only one can make the file that holds the name; what is replaced is that empty file of ours. */
static int hold_new(const char *from, const char *to)
{
	int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return -1;
	close(fd);
	return rename(from, to) ? take_back(to) : 0;
}

/* A link was made, and then came a crash. */
static bool one_file(const char *from, const char *to)
{
	struct stat a;
	struct stat b;

	return !lstat(from, &a) && !lstat(to, &b) && file_same(&a, &b);
}

static int move_new(const char *from, const char *to)
{
	int rc = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);

	if (rc && not_to_be_had(errno))
		rc = link_new(from, to);
	if (rc && not_to_be_had(errno))
		rc = hold_new(from, to);
	if (!rc || errno != EEXIST)
		return rc;
	if (one_file(from, to))
		return unlink(from);
	errno = EEXIST;
	return -1;
}

int file_move_new(const char *from, const char *to, struct err *e)
{
	if (move_new(from, to))
		return err_errno(e, "rename %s to %s", from, to);
	return 0;
}

int file_unlink(const char *path, struct err *e)
{
	if (unlink(path) && errno != ENOENT)
		return err_errno(e, "remove %s", path);
	return 0;
}

static int remove_entry(const FTSENT *entry, struct err *e)
{
	int failed = 0;

	switch (entry->fts_info) {
	case FTS_D: /* its second visit, FTS_DP, removes it */
		return 0;
	case FTS_DP:
		failed = rmdir(entry->fts_accpath);
		break;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		errno = entry->fts_errno;
		failed = 1;
		break;
	default:
		failed = unlink(entry->fts_accpath);
	}
	return failed && errno != ENOENT ? err_errno(e, "remove %s", entry->fts_path) : 0;
}

int file_remove_tree(const char *path, struct err *e)
{
	AUTO_FREE char *root = mem_str(path);
	char *const roots[] = { root, NULL };
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	int rc = 0;

	if (!walk)
		return err_errno(e, "remove %s", path);
	for (;;) {
		errno = 0;
		FTSENT *entry = fts_read(walk);

		if (!entry) {
			if (errno)
				rc = err_errno(e, "remove %s", path);
			break;
		}
		rc = remove_entry(entry, e);
		if (rc)
			break;
	}
	fts_close(walk);
	return rc;
}

int file_free_space(const char *path, uint64_t *bytes, struct err *e)
{
	AUTO_FREE char *dir = file_dirname(path);
	struct statvfs fs;

	if (statvfs(path, &fs) && (errno != ENOENT || statvfs(dir, &fs)))
		return err_errno(e, "free space at %s", path);
	*bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}
