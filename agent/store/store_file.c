/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica in a folder: the object "a/b" is the file ROOT/a/b, which is
 * Litestream's file replica.  An object appears by a temporary file, fsync,
 * rename (or link, when it must not exist yet) and fsync of the folder.
 *
 * Names that begin with '.' or end in ".tmp" are nobody's objects: temporary
 * files of ours (".walback-<hex>.tmp") and of Litestream ("*.tmp").  Symbolic
 * links are no objects either and are never followed below the root.
 *
 * A condition on an ETag is checked and acted on under flock(2) of the root.
 * The ETag of a small object is made of its content, so that it says what
 * was read; a large one's of size, inode and time of change.
 */
#include "agent/store/store.h"
#include "agent/store/store_file_list.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define DIR_MODE 0700
#define FILE_MODE 0600
#define ETAG_CONTENT_MAX ((size_t)64 << 10)
#define COPY_CHUNK ((size_t)128 << 10)
#define READ_AHEAD 8

struct file_store {
	struct store base;
	char *root;
	const struct stop *stop;
	int64_t timeout_ms;
};

struct store_writer {
	struct file_store *fs;
	char *path, *temp;
	int fd;
	bool if_absent;
	char *if_match;
	char *etag_out;
};

struct store_fetch {
	struct file_store *fs;
	const struct store_piece *pieces;
	size_t n, next;
	size_t ahead; /* pieces whose pages the kernel was asked for */
};

static struct file_store *self(struct store *s)
{
	return (struct file_store *)s;
}

static char *key_path(const struct file_store *fs, const char *key, struct err *e)
{
	if (store_file_key_valid(key) && strlen(key) < PATH_MAX)
		return file_join(fs->root, key);
	err_set(e, ERR_USAGE, "object name \"%.200s\" is not allowed in a folder", key);
	err_slug(e, "bad_object_name");
	return NULL;
}

static int64_t mtime_ms(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
}

/* A regular file opened for reading; ERR_NOT_FOUND for anything that is no object. */
static int open_object(const char *path, struct stat *st, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	*st = (struct stat){ 0 };
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR || errno == ENXIO))
		return err_set(e, ERR_NOT_FOUND, "%s: no such object", path);
	if (fd < 0 || fstat(fd, st) < 0)
		return err_errno(e, "%s", path);
	if (!S_ISREG(st->st_mode))
		return err_set(e, ERR_NOT_FOUND, "%s: not a file", path);
	return steal_fd(&fd);
}

static int etag_of(int fd, const struct stat *st, const char *path,
		   char out[STORE_ETAG_MAX], struct err *e)
{
	struct buf b = BUF(STORE_ETAG_MAX - 1);
	uint64_t size = (uint64_t)st->st_size;

	if (size <= ETAG_CONTENT_MAX) {
		AUTO_FREE uint8_t *p = mem_alloc(size + 1);
		ssize_t got = file_pread_some(fd, p, size, 0, path, e);

		if (got < 0)
			return -1;
		buf_addf(&b, "\"%016" PRIx64 "-%zd\"", hash_xxh3(p, (size_t)got), got);
	} else {
		buf_addf(&b, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", size,
			 (uint64_t)st->st_ino,
			 (uint64_t)st->st_mtim.tv_sec * 1000000000 +
				 (uint64_t)st->st_mtim.tv_nsec);
	}
	memcpy(out, b.p, b.len + 1);
	buf_free(&b);
	return 0;
}

static int fill_meta(int fd, const struct stat *st, const char *path,
		     struct store_object *meta, struct err *e)
{
	meta->key = NULL;
	meta->size = (uint64_t)st->st_size;
	meta->mtime_ms = mtime_ms(st);
	return etag_of(fd, st, path, meta->etag, e);
}

/* ---- reading ---- */

static int read_range(int fd, const char *path, const struct stat *st,
		      const uint64_t range[2], struct buf *out, struct err *e)
{
	uint64_t size = (uint64_t)st->st_size, offset = range[0], len = range[1];

	if (offset >= size)
		return 0;
	if (len > size - offset)
		len = size - offset;
	if (len > out->max - out->len)
		return err_set(e, ERR_CORRUPT,
			       "%s: %" PRIu64 " bytes are more than the %zu expected", path,
			       len, out->max - out->len);
	AUTO_FREE uint8_t *p = mem_alloc(len < COPY_CHUNK ? len : COPY_CHUNK);

	while (len) {
		size_t want = len < COPY_CHUNK ? len : COPY_CHUNK;
		ssize_t got = file_pread_some(fd, p, want, offset, path, e);

		if (got < 0)
			return -1;
		buf_add(out, p, (size_t)got);
		offset += (uint64_t)got;
		len -= (uint64_t)got;
		if ((size_t)got < want)
			break;
	}
	return 0;
}

// NOLINTNEXTLINE(readability-function-size): the signature is the interface's
static int file_get(struct store *s, const char *key, uint64_t offset, uint64_t len,
		    struct buf *out, struct store_object *meta, struct err *e)
{
	struct stat st;
	AUTO_FREE char *path = key_path(self(s), key, e);

	if (!path || stop_check(self(s)->stop, e) < 0)
		return -1;
	AUTO_CLOSE int fd = open_object(path, &st, e);

	if (fd < 0)
		return -1;
	if (meta && fill_meta(fd, &st, path, meta, e) < 0)
		return -1;
	return read_range(fd, path, &st, (uint64_t[]){ offset, len }, out, e);
}

static int file_head(struct store *s, const char *key, struct store_object *meta,
		     struct err *e)
{
	struct stat st;
	AUTO_FREE char *path = key_path(self(s), key, e);

	if (!path)
		return -1;
	AUTO_CLOSE int fd = open_object(path, &st, e);

	return fd < 0 ? -1 : fill_meta(fd, &st, path, meta, e);
}

/* ---- writing ---- */

/* The root's lock, waited for with a deadline.  A descriptor, or -1. */
static int lock_root(struct file_store *fs, struct err *e)
{
	if (file_mkdirs(fs->root, DIR_MODE, e) < 0)
		return -1;
	AUTO_CLOSE int fd = open(fs->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, "%s", fs->root);
	int64_t deadline = clock_mono_ms() + fs->timeout_ms;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_errno(e, "lock %s", fs->root);
		if (clock_mono_ms() >= deadline)
			return err_set(e, ERR_AGAIN,
				       "lock %s: held by another process for %" PRId64
				       " ms",
				       fs->root, fs->timeout_ms);
		stop_wait_ms(fs->stop, 5);
		if (stop_check(fs->stop, e) < 0)
			return -1;
	}
	return steal_fd(&fd);
}

static int check_match(const char *path, const char *want, struct err *e)
{
	struct stat st;
	struct err inner = ERR_INIT;
	char have[STORE_ETAG_MAX];
	AUTO_CLOSE int fd = open_object(path, &st, &inner);

	if (fd < 0 && inner.code == ERR_NOT_FOUND)
		return err_set(e, ERR_EXISTS, "%s: it is gone", path);
	if (fd < 0) {
		*e = inner;
		return -1;
	}
	if (etag_of(fd, &st, path, have, e) < 0)
		return -1;
	if (strcmp(have, want) != 0)
		return err_set(e, ERR_EXISTS, "%s: it was replaced meanwhile", path);
	return 0;
}

/* The folders above path.  New ones are synced into their own parents: a file
 * in a folder that a power cut takes away is no stored object. */
static int parent_dirs(const struct file_store *fs, const char *path, struct err *e)
{
	AUTO_FREE char *dir = file_dirname(path);

	if (file_exists(dir))
		return 0;
	if (file_mkdirs(dir, DIR_MODE, e) < 0)
		return -1;
	while (strlen(dir) >= strlen(fs->root)) {
		if (file_sync_dir(dir, e) < 0 && e->code != ERR_NOT_FOUND)
			return -1;
		char *up = file_dirname(dir);

		free(dir);
		dir = up;
	}
	return 0;
}

static int report_etag(const char *path, char *etag_out, struct err *e)
{
	struct stat st;

	if (!etag_out)
		return 0;
	AUTO_CLOSE int fd = open_object(path, &st, e);

	return fd < 0 ? -1 : etag_of(fd, &st, path, etag_out, e);
}

static int file_put(struct store *s, const char *key, const void *p, size_t n,
		    const struct store_put *o, struct err *e)
{
	static const struct store_put plain;
	struct file_store *fs = self(s);
	AUTO_FREE char *path = key_path(fs, key, e);
	AUTO_CLOSE int lock = -1;

	o = o ? o : &plain;
	if (!path || stop_check(fs->stop, e) < 0)
		return -1;
	if (o->if_match) {
		lock = lock_root(fs, e);
		if (lock < 0 || check_match(path, o->if_match, e) < 0)
			return -1;
	}
	/* A delete beside us may take an empty folder away between the two. */
	for (int tries = 0;; tries++) {
		struct err inner = ERR_INIT;

		if (parent_dirs(fs, path, e) < 0)
			return -1;
		if (file_write_atomic(path, p, n, FILE_MODE, o->if_absent, &inner) == 0)
			break;
		if (inner.code != ERR_NOT_FOUND || tries == 10) {
			*e = inner;
			return -1;
		}
	}
	return report_etag(path, o->etag_out, e);
}

static int open_temp(const struct file_store *fs, const char *path, char **temp,
		     struct err *e)
{
	AUTO_FREE char *dir = file_dirname(path);
	char id[17];

	for (int tries = 0; tries < 10; tries++) {
		if (parent_dirs(fs, path, e) < 0)
			return -1;
		store_file_sweep(dir);
		random_hex16(id);
		AUTO_FREE char *name = mem_fmt("%s/" STORE_FILE_TEMP "%s.tmp", dir, id);
		AUTO_CLOSE int fd =
			open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			     FILE_MODE);

		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
			return err_errno(e, "%s", name);
		*temp = STEAL(name);
		return steal_fd(&fd);
	}
	return err_set(e, ERR_AGAIN, "%s: the folder goes away again and again", dir);
}

static void writer_free(struct store_writer *w)
{
	if (w->fd >= 0)
		close(w->fd);
	free(w->path);
	free(w->temp);
	free(w->if_match);
	free(w);
}

static void file_write_abort(struct store_writer *w)
{
	if (w->temp)
		(void)unlink(w->temp);
	writer_free(w);
}

static void writer_abortp(struct store_writer **w)
{
	if (*w)
		file_write_abort(*w);
}

static struct store_writer *file_write_begin(struct store *s, const char *key,
					     const struct store_put *o, struct err *e)
{
	CLEANUP(writer_abortp) struct store_writer *w = mem_alloc(sizeof(*w));

	w->fs = self(s);
	w->fd = -1;
	if (o) {
		w->if_absent = o->if_absent;
		w->if_match = mem_str(o->if_match);
		w->etag_out = o->etag_out;
	}
	w->path = key_path(w->fs, key, e);
	if (!w->path || stop_check(w->fs->stop, e) < 0)
		return NULL;
	w->fd = open_temp(w->fs, w->path, &w->temp, e);
	return w->fd < 0 ? NULL : STEAL(w);
}

static int file_write(struct store_writer *w, const void *p, size_t n, struct err *e)
{
	if (stop_check(w->fs->stop, e) < 0)
		return -1;
	return file_write_full(w->fd, p, n, w->path, e);
}

static int writer_publish(struct store_writer *w, struct err *e)
{
	AUTO_CLOSE int lock = -1;

	if (file_sync(w->fd, w->path, e) < 0)
		return -1;
	if (w->if_match) {
		lock = lock_root(w->fs, e);
		if (lock < 0 || check_match(w->path, w->if_match, e) < 0)
			return -1;
	}
	if ((w->if_absent ? file_rename_new(w->temp, w->path, e)
			  : file_rename(w->temp, w->path, e)) < 0)
		return -1;
	free(w->temp);
	w->temp = NULL;
	if (file_close(&w->fd, w->path, e) < 0 || file_sync_dir(w->path, e) < 0)
		return -1;
	return report_etag(w->path, w->etag_out, e);
}

static int file_write_commit(struct store_writer *w, struct err *e)
{
	int rc = writer_publish(w, e);

	if (rc < 0)
		file_write_abort(w);
	else
		writer_free(w);
	return rc;
}

static int file_copy(struct store *s, const char *from, const char *to,
		     const struct store_put *o, struct err *e)
{
	struct stat st;
	AUTO_FREE char *path = key_path(self(s), from, e);
	AUTO_FREE uint8_t *p = mem_alloc(COPY_CHUNK);

	if (!path)
		return -1;
	AUTO_CLOSE int fd = open_object(path, &st, e);

	if (fd < 0)
		return -1;
	CLEANUP(writer_abortp) struct store_writer *w = file_write_begin(s, to, o, e);

	if (!w)
		return -1;
	for (uint64_t at = 0;;) {
		ssize_t got = file_pread_some(fd, p, COPY_CHUNK, at, path, e);

		if (got < 0 || (got > 0 && file_write(w, p, (size_t)got, e) < 0))
			return -1;
		if (got == 0)
			break;
		at += (uint64_t)got;
	}
	return file_write_commit(STEAL(w), e);
}

/* Folders that became empty go too: in a bucket there are none. */
static void remove_empty_parents(const struct file_store *fs, const char *path)
{
	AUTO_FREE char *dir = file_dirname(path);
	size_t root = strlen(fs->root);

	while (strlen(dir) > root && rmdir(dir) == 0) {
		char *slash = strrchr(dir, '/');

		if (!slash || slash == dir)
			break;
		*slash = 0;
	}
}

/* Not synced: an object that comes back after a power cut is deleted again. */
static int file_del(struct store *s, const char *const *keys, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *path = key_path(self(s), keys[i], e);

		if (!path || stop_check(self(s)->stop, e) < 0)
			return -1;
		if (unlink(path) < 0) {
			if (errno == ENOENT || errno == ENOTDIR)
				continue;
			return err_errno(e, "delete %s", path);
		}
		remove_empty_parents(self(s), path);
	}
	return 0;
}

static int file_list(struct store *s, const char *prefix, bool delimiter,
		     int (*cb)(void *arg, const struct store_object *o), void *arg,
		     struct err *e)
{
	const struct store_file_list l = { .root = self(s)->root,
					   .stop = self(s)->stop,
					   .delimiter = delimiter,
					   .cb = cb,
					   .arg = arg };

	return store_file_list(&l, prefix, e);
}

/* ---- many pieces in order ---- */

static struct store_fetch *file_fetch_begin(struct store *s,
					    const struct store_piece *pieces, size_t n,
					    unsigned window, size_t max_bytes)
{
	struct store_fetch *f = mem_alloc(sizeof(*f));

	(void)window;
	(void)max_bytes;
	f->fs = self(s);
	f->pieces = pieces;
	f->n = n;
	return f;
}

/* Ask the kernel for what comes next; a failure shows when it is read. */
static void read_ahead(struct store_fetch *f)
{
	if (f->ahead < f->next)
		f->ahead = f->next;
	for (; f->ahead < f->n && f->ahead < f->next + READ_AHEAD; f->ahead++) {
		const struct store_piece *p = &f->pieces[f->ahead];
		struct err ignored = ERR_INIT;
		struct stat st;
		AUTO_FREE char *path = key_path(f->fs, p->key, &ignored);
		AUTO_CLOSE int fd = path ? open_object(path, &st, &ignored) : -1;
		off_t len = p->len > INT64_MAX / 2 ? 0 : (off_t)p->len;

		if (fd >= 0 && p->offset < INT64_MAX / 2)
			(void)posix_fadvise(fd, (off_t)p->offset, len, POSIX_FADV_WILLNEED);
	}
}

static int file_fetch_next(struct store_fetch *f, struct buf *out, struct err *e)
{
	buf_reset(out);
	if (f->next == f->n)
		return 0;
	const struct store_piece *p = &f->pieces[f->next++];

	read_ahead(f);
	if (file_get(&f->fs->base, p->key, p->offset, p->len, out, NULL, e) < 0)
		return -1;
	if (p->expect && out->len > p->expect)
		return err_set(e, ERR_CORRUPT,
			       "%s/%s: %zu bytes are more than the %" PRIu64 " expected",
			       f->fs->root, p->key, out->len, p->expect);
	return 1;
}

static void file_fetch_end(struct store_fetch *f)
{
	free(f);
}

static void file_store_close(struct store *s)
{
	free(self(s)->root);
	free(s->url);
	free(s);
}

static const struct store_ops FILE_OPS = {
	.get = file_get,
	.head = file_head,
	.put = file_put,
	.list = file_list,
	.del = file_del,
	.copy = file_copy,
	.fetch_begin = file_fetch_begin,
	.fetch_next = file_fetch_next,
	.fetch_end = file_fetch_end,
	.write_begin = file_write_begin,
	.write = file_write,
	.write_commit = file_write_commit,
	.write_abort = file_write_abort,
	.close = file_store_close,
};

struct store *store_file_new(const char *root, const struct store_options *o)
{
	struct file_store *fs = mem_alloc(sizeof(*fs));
	size_t n = strlen(root);

	while (n > 1 && root[n - 1] == '/')
		n--;
	fs->base.ops = &FILE_OPS;
	fs->root = mem_strn(root, n);
	fs->base.url = mem_fmt("file://%s", fs->root);
	fs->stop = o ? o->stop : NULL;
	fs->timeout_ms = o && o->timeout_ms ? o->timeout_ms : 30000;
	return &fs->base;
}
