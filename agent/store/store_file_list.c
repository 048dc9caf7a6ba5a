/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/store/store_file_list.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define MAX_DEPTH 32
#define TEMP_STALE_S 300

static bool hidden(const char *name)
{
	return name[0] == '.' || text_ends(name, ".tmp");
}

bool store_file_key_valid(const char *key)
{
	const char *p = key;

	for (;;) {
		size_t n = strcspn(p, "/");
		AUTO_FREE char *part = mem_strn(p, n);

		if (n == 0 || n > NAME_MAX || hidden(part))
			return false;
		if (!p[n])
			return true;
		p += n + 1;
	}
}

static int64_t mtime_ms(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
}

static int walk_dir(const struct store_file_list *w, int fd, const char *key,
		    const char *begins, int depth, struct err *e);

/* A folder inside the root; links are not followed.  -1 with errno 0: there is none. */
static int open_sub(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		errno = 0;
	return fd;
}

static int stop_at_first(void *arg, const struct store_object *o)
{
	(void)o;
	*(bool *)arg = true;
	return 1;
}

static int walk_sub(const struct store_file_list *w, int at, const char *name,
		    const char *key, int depth, struct err *e)
{
	int fd = open_sub(at, name);

	if (fd < 0)
		return errno ? err_errno(e, "list %s/%s", w->root, key) : 0;
	return walk_dir(w, fd, key, "", depth, e);
}

/* One name in a folder. 0 go on, 1 the callback wants no more, -1 error. */
static int walk_entry(const struct store_file_list *w, int at, const char *name,
		      const char *key, int depth, struct err *e)
{
	struct stat st;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_errno(e, "%s/%s", w->root, key);
	if (S_ISREG(st.st_mode)) {
		AUTO_FREE char *k = mem_str(key);
		struct store_object o = { .key = k,
					  .size = (uint64_t)st.st_size,
					  .mtime_ms = mtime_ms(&st) };

		return w->cb(w->arg, &o) ? 1 : 0;
	}
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (!w->delimiter)
		return walk_sub(w, at, name, key, depth + 1, e);

	/* A folder of nothing but temporary files is no sub-folder. */
	bool yes = false;
	struct store_file_list look = {
		.root = w->root, .stop = w->stop, .cb = stop_at_first, .arg = &yes
	};

	if (walk_sub(&look, at, name, key, depth + 1, e) < 0)
		return -1;
	AUTO_FREE char *k = mem_fmt("%s/", key);
	struct store_object o = { .key = k };

	return yes && w->cb(w->arg, &o) ? 1 : 0;
}

static void close_dirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* The folder fd, which is closed here; its key is `key` ("" for the root). */
static int walk_dir(const struct store_file_list *w, int fd, const char *key,
		    const char *begins, int depth, struct err *e)
{
	CLEANUP(close_dirp) DIR *d = fdopendir(fd);

	if (!d) {
		close(fd);
		return err_errno(e, "list %s/%s", w->root, key);
	}
	if (depth > MAX_DEPTH)
		return err_set(e, ERR_CORRUPT, "%s/%s: folders nested more than %d deep",
			       w->root, key, MAX_DEPTH);
	for (;;) {
		errno = 0;
		// NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this call's own
		struct dirent *de = readdir(d);

		if (!de && errno)
			return err_errno(e, "list %s/%s", w->root, key);
		if (!de)
			return 0;
		if (hidden(de->d_name) || !text_starts(de->d_name, begins))
			continue;
		if (stop_check(w->stop, e) < 0)
			return -1;
		AUTO_FREE char *sub = mem_fmt("%s%s%s", key, key[0] ? "/" : "", de->d_name);
		int rc = walk_entry(w, dirfd(d), de->d_name, sub, depth, e);

		if (rc != 0)
			return rc;
	}
}

/* The folder of key `dir` ("" the root itself, which may be a link).  As open_sub. */
static int open_prefix(const char *root, const char *dir)
{
	AUTO_CLOSE int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		errno = 0;
	for (const char *p = dir; fd >= 0 && *p;) {
		size_t n = strcspn(p, "/");
		AUTO_FREE char *part = mem_strn(p, n);
		int sub = open_sub(fd, part);
		int sys = errno;

		close(fd);
		fd = sub;
		errno = sys;
		p += p[n] ? n + 1 : n;
	}
	return steal_fd(&fd);
}

int store_file_list(const struct store_file_list *w, const char *prefix, struct err *e)
{
	const char *slash = strrchr(prefix, '/');
	AUTO_FREE char *dir = mem_strn(prefix, slash ? (size_t)(slash - prefix) : 0);

	if (*dir && !store_file_key_valid(dir))
		return err_set(e, ERR_USAGE, "list %s: prefix \"%.200s\" is not allowed",
			       w->root, prefix);
	int fd = open_prefix(w->root, dir);

	if (fd < 0)
		return errno ? err_errno(e, "list %s/%s", w->root, dir) : 0;
	return walk_dir(w, fd, dir, slash ? slash + 1 : prefix, 1, e) < 0 ? -1 : 0;
}

void store_file_sweep(const char *dir)
{
	DIR *d = opendir(dir);
	int64_t now_s = clock_wall_ms() / 1000;

	// NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this call's own
	for (struct dirent *de; d && (de = readdir(d));) {
		struct stat st;

		if (de->d_name[0] != '.' || !strstr(de->d_name, STORE_FILE_TEMP) ||
		    !text_ends(de->d_name, ".tmp"))
			continue;
		AUTO_CLOSE int fd = openat(dirfd(d), de->d_name,
					   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

		if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (now_s - st.st_mtim.tv_sec < TEMP_STALE_S)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			(void)unlinkat(dirfd(d), de->d_name, 0);
	}
	if (d)
		closedir(d);
}
