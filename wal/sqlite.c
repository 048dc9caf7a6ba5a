/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/sqlite.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Lock bytes of the wal-index (SQLite's wal.c, "WAL_READ_LOCK"): mark 0 is byte 123. */
#define SHM_WRITE 120
#define SHM_CHECKPOINT 121
#define SHM_MARKS_START 123
#define SHM_MARKS 5
#define SHM_REGION 32768
#define W_POLL_US 300

struct sq {
	char *given, *path, *wal_path;
	sqlite3 *reader[2], *w, *k;
	bool reading[2], locked;
	uint32_t page_size;
	int shm_fd;
	const volatile void *index;
	struct stat shm; /* the -shm that is mapped; st_ino 0: not known */
	int64_t w_deadline_us;
};

struct sq_file {
	sqlite3 *db;
	sqlite3_file *file;
	char *path;
};

static enum errc code_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return ERR_AGAIN;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_CORRUPT;
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_READONLY:
		return ERR_DENIED;
	default:
		return ERR_IO;
	}
}

static int fail(struct err *e, int rc, sqlite3 *db, const char *path, const char *what)
{
	const char *text = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
	int sys = db ? sqlite3_system_errno(db) : 0;
	bool io = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;

	err_set(e, code_of(rc), "%s: %s: %s%s%s", path, what, text, io && sys ? ": " : "",
		io && sys ? strerrordesc_np(sys) : "");
	if (io)
		e->sys = sys;
	if ((rc & 0xff) == SQLITE_CANTOPEN && sys == ENOENT)
		e->code = ERR_NOT_FOUND;
	if ((rc & 0xff) == SQLITE_CANTOPEN && sys == EACCES)
		e->code = ERR_DENIED;
	return -1;
}

/* Small: the smallest page cache, no lookaside, no memory map; never a checkpoint of its own. */
static int configure(sqlite3 *db)
{
	int on = 1;

	sqlite3_db_config(db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
	sqlite3_wal_autocheckpoint(db, 0);
	return sqlite3_exec(
		db, "PRAGMA mmap_size=0; PRAGMA cache_size=1; PRAGMA synchronous=NORMAL",
		NULL, NULL, NULL);
}

static int connect_db(const char *path, sqlite3 **out, struct err *e)
{
	int rc = sqlite3_open_v2(path, out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
				 NULL);

	if (rc == SQLITE_OK)
		rc = configure(*out);
	if (rc != SQLITE_OK) {
		fail(e, rc, *out, path, "open");
		sqlite3_close(*out);
		*out = NULL;
		return -1;
	}
	return 0;
}

/* The first column of the first row, as text (cut) and as a number. */
static int query(sqlite3 *db, const char *sql, char *text, size_t n, int64_t *value)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		const unsigned char *t = sqlite3_column_text(st, 0);

		if (text)
			snprintf(text, n, "%s", t ? (const char *)t : "");
		if (value)
			*value = sqlite3_column_int64(st, 0);
	}
	int end = sqlite3_finalize(st);

	return rc == SQLITE_ROW ? SQLITE_OK : end != SQLITE_OK ? end : SQLITE_ERROR;
}

static int ensure_wal_mode(struct sq *s, bool *switched, struct err *e)
{
	char mode[16] = "";
	int rc = query(s->w, "PRAGMA journal_mode", mode, sizeof(mode), NULL);

	if (rc != SQLITE_OK)
		return fail(e, rc, s->w, s->path, "read the journal mode");
	if (!strcmp(mode, "wal"))
		return 0;
	rc = query(s->w, "PRAGMA journal_mode=wal", mode, sizeof(mode), NULL);
	if (rc != SQLITE_OK)
		return fail(e, rc, s->w, s->path, "switch to WAL mode");
	if (strcmp(mode, "wal") != 0)
		return err_set(e, ERR_IO,
			       "%s: cannot be switched to WAL mode, it stays in \"%s\"",
			       s->path, mode);
	if (switched)
		*switched = true;
	return 0;
}

static int wait_for_write_lock(void *arg, int count)
{
	struct sq *s = arg;

	(void)count;
	if (clock_mono_us() >= s->w_deadline_us)
		return 0;
	clock_sleep_us(W_POLL_US);
	return 1;
}

static int open_all(struct sq *s, bool *switched, struct err *e)
{
	int64_t size = 0;

	if (connect_db(s->path, &s->w, e) < 0)
		return -1;
	sqlite3_busy_handler(s->w, wait_for_write_lock, s);
	s->w_deadline_us = clock_mono_us() + 200000;
	if (ensure_wal_mode(s, switched, e) < 0)
		return -1;
	int rc = query(s->w, "PRAGMA page_size", NULL, 0, &size);

	if (rc != SQLITE_OK)
		return fail(e, rc, s->w, s->path, "read the page size");
	s->page_size = (uint32_t)size;
	if (connect_db(s->path, &s->reader[0], e) < 0 ||
	    connect_db(s->path, &s->reader[1], e) < 0 || connect_db(s->path, &s->k, e) < 0)
		return -1;
	return 0;
}

struct sq *sq_open(const char *path, bool *switched, struct err *e)
{
	struct sq *s = mem_alloc(sizeof(*s));

	s->shm_fd = -1;
	if (switched)
		*switched = false;
	s->given = mem_str(path);
	s->path = file_realpath(path, e);
	if (!s->path || open_all(s, switched, e) < 0) {
		sq_close(s);
		return NULL;
	}
	s->wal_path = mem_fmt("%s-wal", s->path);
	return s;
}

void sq_close(struct sq *s)
{
	if (!s)
		return;
	for (int i = 0; i < 2; i++) {
		sq_read_end(s, i);
		sqlite3_close(s->reader[i]);
	}
	sq_write_unlock(s);
	sqlite3_close(s->k);
	sqlite3_close(s->w);
	/* Last: closing it drops every lock this process has on the -shm. */
	if (s->shm_fd >= 0)
		close(s->shm_fd);
	free(s->wal_path);
	free(s->path);
	free(s->given);
	free(s);
}

uint32_t sq_page_size(const struct sq *s)
{
	return s->page_size;
}

const char *sq_path(const struct sq *s)
{
	return s->path;
}

const char *sq_wal_path(const struct sq *s)
{
	return s->wal_path;
}

static bool stat_shm(const struct sq *s, struct stat *st)
{
	char *path = mem_fmt("%s-shm", s->path);
	int rc = stat(path, st);

	free(path);
	return rc == 0;
}

const char *sq_moved(struct sq *s)
{
	struct stat given, real, shm;
	int moved = 0;

	if (sqlite3_file_control(s->w, "main", SQLITE_FCNTL_HAS_MOVED, &moved) ==
		    SQLITE_OK &&
	    moved)
		return "another file has taken its place";
	/* A symbolic link may point elsewhere by now. */
	if (stat(s->given, &given) == 0 && stat(s->path, &real) == 0 &&
	    !file_same(&given, &real))
		return "another file has taken its place";
	if (stat(s->path, &real) == 0 && real.st_size == 0)
		return "it was truncated to nothing";
	/* Merely deleted it serves all that have it open; a new one is another world. */
	if (s->shm.st_ino && stat_shm(s, &shm) && !file_same(&s->shm, &shm))
		return "its -shm was deleted and made anew while it was in use (commits "
		       "may be lost by that; never delete it by hand)";
	return NULL;
}

static sqlite3_file *file_of(sqlite3 *db)
{
	sqlite3_file *f = NULL;

	if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &f) != SQLITE_OK)
		return NULL;
	return f && f->pMethods ? f : NULL;
}

const volatile void *sq_index(struct sq *s, struct err *e)
{
	void volatile *p = NULL;

	if (s->index)
		return s->index;
	/* The connection has its -shm open only once it has read in WAL mode. */
	if (!s->reading[0] && !s->reading[1]) {
		err_set(e, ERR_BUG, "%s: the wal-index needs an open read transaction",
			s->path);
		return NULL;
	}
	sqlite3_file *f = file_of(s->reader[s->reading[0] ? 0 : 1]);

	if (!f || f->pMethods->iVersion < 2) {
		err_set(e, ERR_IO, "%s: this SQLite has no shared memory for its WAL",
			s->path);
		return NULL;
	}
	int rc = f->pMethods->xShmMap(f, 0, SHM_REGION, 0, &p);

	if (rc != SQLITE_OK || !p) {
		fail(e, rc == SQLITE_OK ? SQLITE_IOERR : rc, NULL, s->path,
		     "map the wal-index");
		return NULL;
	}
	s->index = p;
	if (!stat_shm(s, &s->shm))
		s->shm.st_ino = 0;
	return s->index;
}

int sq_read_begin(struct sq *s, int reader, struct err *e)
{
	sqlite3 *db = s->reader[reader];
	int rc = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);

	/* Reads page 1 only, and no schema that it could stumble over. */
	if (rc == SQLITE_OK)
		rc = query(db, "PRAGMA schema_version", NULL, 0, NULL);
	if (rc != SQLITE_OK) {
		fail(e, rc, db, s->path, "begin a read transaction");
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
		return -1;
	}
	s->reading[reader] = true;
	return 0;
}

void sq_read_end(struct sq *s, int reader)
{
	if (!s->reading[reader])
		return;
	sqlite3_exec(s->reader[reader], "ROLLBACK", NULL, NULL, NULL);
	s->reading[reader] = false;
}

bool sq_reading(const struct sq *s, int reader)
{
	return s->reading[reader];
}

/* WAL_WRITE_LOCK is byte 0 of the wal-index's locks.  Taken by itself, through SQLite's own file
 * object: BEGIN IMMEDIATE would hold a read mark as well, and with many readers about that can be
 * an old one, which would keep our own checkpoint from completing. */
#define WRITE_LOCK 0

static sqlite3_file *lock_file(struct sq *s, struct err *e)
{
	sqlite3_file *f = file_of(s->w);
	void volatile *p = NULL;
	int rc = f ? f->pMethods->xShmMap(f, 0, SHM_REGION, 0, &p) : SQLITE_IOERR;

	if (rc == SQLITE_OK && p)
		return f;
	fail(e, rc == SQLITE_OK ? SQLITE_BUSY : rc, NULL, s->path, "map the wal-index");
	return NULL;
}

int sq_write_lock(struct sq *s, int64_t max_wait_ms, struct err *e)
{
	int64_t deadline_us = clock_mono_us() + max_wait_ms * 1000;
	sqlite3_file *f = lock_file(s, e);
	int rc;

	if (!f)
		return -1;
	while ((rc = f->pMethods->xShmLock(f, WRITE_LOCK, 1,
					   SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE)) ==
		       SQLITE_BUSY &&
	       clock_mono_us() < deadline_us)
		clock_sleep_us(W_POLL_US);
	if (rc != SQLITE_OK)
		return fail(e, rc, NULL, s->path, "take the write lock");
	f->pMethods->xShmBarrier(f);
	s->locked = true;
	return 0;
}

void sq_write_unlock(struct sq *s)
{
	if (!s->locked)
		return;
	sqlite3_file *f = file_of(s->w);

	assert(f); /* it was there when the lock was taken */
	f->pMethods->xShmLock(f, WRITE_LOCK, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
	s->locked = false;
}

int sq_checkpoint(struct sq *s, uint32_t *log, uint32_t *done, struct err *e)
{
	int nlog = 0, nckpt = 0;
	int rc = sqlite3_wal_checkpoint_v2(s->k, "main", SQLITE_CHECKPOINT_PASSIVE, &nlog,
					   &nckpt);

	if (rc != SQLITE_OK)
		return fail(e, rc, s->k, s->path, "checkpoint");
	if (nlog < 0 || nckpt < 0)
		return err_set(e, ERR_IO, "%s: has left WAL mode", s->path);
	*log = (uint32_t)nlog;
	*done = (uint32_t)nckpt;
	return 0;
}

int sq_sync(struct sq *s, struct err *e)
{
	sqlite3_file *f = file_of(s->k);
	int rc = f ? f->pMethods->xSync(f, SQLITE_SYNC_NORMAL) : SQLITE_IOERR;

	return rc == SQLITE_OK ? 0 : fail(e, rc, NULL, s->path, "sync");
}

/* Does another process hold one of n lock bytes?  As sq_mark_holder. */
static int lock_holder(struct sq *s, int first, int n, pid_t *pid, struct err *e)
{
	struct flock lk = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = first, .l_len = n
	};

	if (s->shm_fd < 0) {
		char *path = mem_fmt("%s-shm", s->path);

		s->shm_fd = open(path, O_RDWR | O_CLOEXEC);
		if (s->shm_fd < 0) {
			err_errno(e, "open %s", path);
			free(path);
			return -1;
		}
		free(path);
	}
	if (fcntl(s->shm_fd, F_GETLK, &lk) < 0)
		return err_errno(e, "%s-shm: ask for locks", s->path);
	*pid = lk.l_type == F_UNLCK || lk.l_pid < 0 ? 0 : lk.l_pid;
	return lk.l_type == F_UNLCK ? 0 : 1;
}

int sq_mark_holder(struct sq *s, int first, pid_t *pid, struct err *e)
{
	return lock_holder(s, SHM_MARKS_START + first, SHM_MARKS - first, pid, e);
}

bool sq_checkpointer(struct sq *s)
{
	struct err ignored = ERR_INIT;
	pid_t pid;

	return lock_holder(s, SHM_CHECKPOINT, 1, &pid, &ignored) == 1 &&
	       lock_holder(s, SHM_WRITE, 1, &pid, &ignored) == 1;
}

struct sq_file *sq_file_open(struct sq *s, struct err *e)
{
	struct sq_file *f = mem_alloc(sizeof(*f));

	f->path = mem_str(s->path);
	int rc = sqlite3_open_v2(s->path, &f->db,
				 SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_db_config(f->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		f->file = file_of(f->db);
	}
	if (!f->file) {
		fail(e, rc == SQLITE_OK ? SQLITE_IOERR : rc, f->db, s->path, "open");
		sq_file_close(f);
		return NULL;
	}
	return f;
}

int sq_file_read(struct sq_file *f, void *p, size_t n, uint64_t offset, struct err *e)
{
	if (n > INT32_MAX || offset > INT64_MAX)
		return err_set(e, ERR_BUG, "read %zu bytes at %ju", n, (uintmax_t)offset);
	int rc = f->file->pMethods->xRead(f->file, p, (int)n, (sqlite3_int64)offset);

	/* A short read has filled the rest with zeros. */
	if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)
		return fail(e, rc, NULL, f->path, "read");
	return 0;
}

int sq_file_size(struct sq_file *f, uint64_t *size, struct err *e)
{
	sqlite3_int64 n = 0;
	int rc = f->file->pMethods->xFileSize(f->file, &n);

	if (rc != SQLITE_OK || n < 0)
		return fail(e, rc, NULL, f->path, "size");
	*size = (uint64_t)n;
	return 0;
}

void sq_file_close(struct sq_file *f)
{
	if (!f)
		return;
	sqlite3_close(f->db);
	free(f->path);
	free(f);
}
