/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/cleanup.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_STEP = 65536, WRITE_MOST = 0x40000000 };

/* read(2) or pread(2), again after a signal. */
static ssize_t read_some(int fd, void *p, size_t n, int64_t offset)
{
	ssize_t got = 0;

	if (n > WRITE_MOST)
		n = WRITE_MOST;
	do
		got = offset < 0 ? read(fd, p, n) : pread(fd, p, n, (off_t)offset);
	while (got < 0 && errno == EINTR);
	return got;
}

static ssize_t write_some(int fd, const void *p, size_t n, int64_t offset)
{
	ssize_t put = 0;

	if (n > WRITE_MOST)
		n = WRITE_MOST;
	do
		put = offset < 0 ? write(fd, p, n) : pwrite(fd, p, n, (off_t)offset);
	while (put < 0 && errno == EINTR);
	return put;
}

static int check_offset(uint64_t offset, size_t n, const char *what, struct err *e)
{
	uint64_t end = 0;

	if (__builtin_add_overflow(offset, n, &end) || end > INT64_MAX)
		return err_set(e, ERR_BUG, "%s: offset %llu is beyond any file", what,
			       (unsigned long long)offset);
	return 0;
}

/* Fill out from fd; a byte beyond its room is an error. */
static int read_all(int fd, const char *path, struct buf *out, struct err *e)
{
	for (;;) {
		size_t room = out->max - out->len;
		size_t want = room < READ_STEP ? room : READ_STEP;
		uint8_t past = 0;
		uint8_t *to = want ? buf_space(out, want) : &past;

		if (!to)
			return err_set(e, ERR_BUG, "%s: read into a full buffer", path);
		ssize_t got = read_some(fd, to, want ? want : 1, -1);

		if (got < 0)
			return err_errno(e, "read %s", path);
		if (!got)
			return 0;
		if (!want)
			return err_set(e, ERR_IO, "%s: larger than the allowed %zu bytes",
				       path, out->max);
		buf_added(out, (size_t)got);
	}
}

int file_read(const char *path, struct buf *out, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return err_errno(e, "open %s", path);
	return read_all(fd, path, out, e);
}

ssize_t file_pread_some(int fd, void *p, size_t n, uint64_t offset, const char *what,
			struct err *e)
{
	uint8_t *to = p;
	size_t done = 0;

	if (check_offset(offset, n, what, e))
		return -1;
	while (done < n) {
		uint64_t at = offset + done;
		ssize_t got = read_some(fd, to + done, n - done, (int64_t)at);

		if (got < 0)
			return err_errno(e, "read %s at %llu", what,
					 (unsigned long long)at);
		if (!got)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int file_pread_full(int fd, void *p, size_t n, uint64_t offset, const char *what,
		    struct err *e)
{
	ssize_t got = file_pread_some(fd, p, n, offset, what, e);

	if (got < 0)
		return -1;
	uint64_t end = offset + (uint64_t)got;

	if ((size_t)got != n)
		return err_set(e, ERR_IO, "read %s: ends at %llu, wanted %zu bytes at %llu",
			       what, (unsigned long long)end, n,
			       (unsigned long long)offset);
	return 0;
}

static int write_all(int fd, const uint8_t *p, size_t n, int64_t offset, const char *what,
		     struct err *e)
{
	size_t done = 0;

	while (done < n) {
		ssize_t put = write_some(fd, p + done, n - done,
					 offset < 0 ? -1 : offset + (int64_t)done);

		if (put < 0)
			return err_errno(e, "write %s", what);
		if (!put)
			return err_set(e, ERR_IO, "write %s: nothing was taken", what);
		done += (size_t)put;
	}
	return 0;
}

int file_pwrite_full(int fd, const void *p, size_t n, uint64_t offset, const char *what,
		     struct err *e)
{
	if (check_offset(offset, n, what, e))
		return -1;
	return write_all(fd, p, n, (int64_t)offset, what, e);
}

int file_write_full(int fd, const void *p, size_t n, const char *what, struct err *e)
{
	return write_all(fd, p, n, -1, what, e);
}

int file_sync(int fd, const char *what, struct err *e)
{
	return fsync(fd) ? err_errno(e, "fsync %s", what) : 0;
}

int file_datasync(int fd, const char *what, struct err *e)
{
	return fdatasync(fd) ? err_errno(e, "fdatasync %s", what) : 0;
}

int file_close(int *fd, const char *what, struct err *e)
{
	/* Linux frees the descriptor even when close fails: never close twice. */
	if (close(steal_fd(fd)) && errno != EINTR)
		return err_errno(e, "close %s", what);
	return 0;
}

int file_sync_dir(const char *path_in_dir, struct err *e)
{
	AUTO_FREE char *dir = file_dirname(path_in_dir);
	AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, "open folder %s", dir);
	/* Some file systems have no fsync for folders; there is nothing better to do. */
	if (fsync(fd) && errno != EINVAL && errno != ENOTSUP)
		return err_errno(e, "fsync folder %s", dir);
	return 0;
}

bool file_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool file_is_at(int fd, const char *path)
{
	struct stat ours, there;

	return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && file_same(&ours, &there);
}

bool file_exists(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

int64_t file_size(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) ? (int64_t)st.st_size : -1;
}

int64_t file_mtime_ms(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -1;
	return (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}
