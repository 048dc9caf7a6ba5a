/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite's lock bytes (sqlite.org/fileformat2.html 1.3 and os_unix.c): the
 * database file from PENDING_BYTE 0x40000000, 512 bytes; the -shm from byte
 * 120, of which 128 is held shared by every connection in WAL mode.
 */
#include "agent/swap/inuse.h"

#include "agent/exit.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define INUSE_TIMEOUT_MS 10000
#define INUSE_SCAN_MS 5000
#define LOCKS_START 0x40000000
#define LOCKS_LEN 512
#define SHM_LOCKS_START 120
#define SHM_LOCKS_LEN 9

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

static void name_of(pid_t pid, char out[32])
{
	CLEANUP(cleanup_free) char *path = mem_fmt("/proc/%d/comm", (int)pid);
	AUTO_CLOSE int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd >= 0 ? read(fd, out, 31) : 0;

	out[n > 0 ? n : 0] = 0;
	out[strcspn(out, "\n")] = 0;
}

static void found(struct inuse *out, pid_t pid)
{
	out->in_use = true;
	out->pid =
		pid > 0 ? pid : 0; /* 0: not in this PID namespace; -1: an open-file lock */
	name_of(out->pid, out->name);
}

/* Any lock of another process in [start, start + len). */
static int look_at_locks(const char *path, off_t start, off_t len, struct inuse *out,
			 struct err *e)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = len
	};
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, "open %s", path);
	if (fcntl(fd, F_GETLK, &lock) < 0)
		return err_errno(e, "look for locks on %s", path);
	if (lock.l_type != F_UNLCK)
		found(out, lock.l_pid);
	return 0;
}

/* fdinfo says "flags:\t0100002"; only who may write counts: cp and tail do no harm. */
static bool may_write(pid_t pid, const char *fd)
{
	char text[256];
	const char *flags;
	CLEANUP(cleanup_free) char *path = mem_fmt("/proc/%d/fdinfo/%s", (int)pid, fd);
	AUTO_CLOSE int in = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = in >= 0 ? read(in, text, sizeof(text) - 1) : -1;

	if (n <= 0)
		return false;
	text[n] = 0;
	flags = strstr(text, "flags:");
	return flags && (strtol(flags + 6, NULL, 8) & O_ACCMODE) != O_RDONLY;
}

static bool has_open(pid_t pid, const struct stat *file)
{
	CLEANUP(cleanup_free) char *path = mem_fmt("/proc/%d/fd", (int)pid);
	CLEANUP(close_dir) DIR *d = opendir(path);
	struct dirent *de;
	struct stat st;

	while (d && (de = readdir(d))) /* NOLINT(concurrency-mt-unsafe): own stream */
		if (de->d_name[0] != '.' && fstatat(dirfd(d), de->d_name, &st, 0) == 0 &&
		    file_same(&st, file) && may_write(pid, de->d_name))
			return true;
	return false;
}

/* Best effort: other users' processes and other PID namespaces do not show. */
static void look_at_processes(const char *path, struct inuse *out)
{
	int64_t deadline = clock_mono_ms() + INUSE_SCAN_MS;
	CLEANUP(close_dir) DIR *d = opendir("/proc");
	struct dirent *de;
	struct stat st;
	uint32_t pid;

	if (!d || stat(path, &st) < 0)
		return;
	while (!out->in_use && clock_mono_ms() < deadline &&
	       (de = readdir(d))) /* NOLINT(concurrency-mt-unsafe): own stream */
		if (text_u32(de->d_name, &pid) == 0 && (pid_t)pid != getpid() &&
		    has_open((pid_t)pid, &st))
			found(out, (pid_t)pid);
}

int inuse_look(const char *db_path, struct inuse *out, struct err *e)
{
	AUTO_FREE char *shm = mem_fmt("%s-shm", db_path);

	*out = (struct inuse){ 0 };
	if (look_at_locks(db_path, LOCKS_START, LOCKS_LEN, out, e) < 0)
		return -1;
	if (!out->in_use && look_at_locks(shm, SHM_LOCKS_START, SHM_LOCKS_LEN, out, e) < 0)
		return -1;
	if (!out->in_use)
		look_at_processes(db_path, out);
	return 0;
}

int inuse_main(const char *db_path)
{
	struct err e = ERR_INIT;
	CLEANUP(buf_free) struct buf b = BUF(4096);
	struct json_out j = { .b = &b };
	struct inuse u;

	json_open(&j, NULL, '{');
	if (inuse_look(db_path, &u, &e) < 0) {
		json_put_str(&j, "error", e.msg);
		json_put_bool(&j, "denied", e.code == ERR_DENIED);
	} else {
		json_put_bool(&j, "in_use", u.in_use);
		json_put_i64(&j, "pid", u.pid);
		json_put_str(&j, "name", u.name);
	}
	json_close(&j, '}');
	buf_addf(&b, "\n");
	return file_write_full(1, b.p, b.len, "standard output", &e) < 0 ? EXIT_FAILED
									 : EXIT_OK;
}

static int parse(const struct buf *line, struct inuse *out, struct err *e)
{
	CLEANUP(json_freep)
	struct json *j = json_parse(line->p ? line->p : (const uint8_t *)"", line->len,
				    "answer of internal-inuse", e);
	const char *name;
	int64_t pid = 0;

	*out = (struct inuse){ 0 };
	if (!j)
		return -1;
	if (json_str(j, "error"))
		return err_set(e, json_bool(j, "denied", false) ? ERR_DENIED : ERR_IO, "%s",
			       json_str(j, "error"));
	if (json_is_null(j, "in_use") || json_i64(j, "pid", &pid) < 0)
		return err_set(e, ERR_BUG, "answer of internal-inuse lacks a field");
	out->in_use = json_bool(j, "in_use", true);
	out->pid = (pid_t)pid;
	name = json_str(j, "name");
	if (name)
		memcpy(out->name, name, strnlen(name, sizeof(out->name) - 1));
	return 0;
}

int inuse_ask(const char *db_path, struct inuse *out, struct err *e)
{
	AUTO_FREE char *self = proc_self();
	const char *const argv[] = { self, "internal-inuse", db_path, NULL };
	CLEANUP(buf_free) struct buf answer = BUF(4096);
	int status = 0;

	if (proc_run(argv, INUSE_TIMEOUT_MS, &answer, &status, e) < 0)
		return err_wrap(e, "whether %s is in use", db_path);
	if (status)
		return err_set(e, ERR_BUG, "internal-inuse %s: status %d", db_path, status);
	return parse(&answer, out, e);
}

int inuse_refuse(const char *db_path, struct err *e)
{
	struct inuse u = { 0 };

	if (inuse_ask(db_path, &u, e) < 0)
		return -1;
	if (!u.in_use)
		return 0;
	if (u.pid)
		err_set(e, ERR_EXISTS, "%s is open in process %d (%s)", db_path, (int)u.pid,
			u.name[0] ? u.name : "unknown");
	else
		err_set(e, ERR_EXISTS, "%s is open in a process outside this container",
			db_path);
	err_slug(e, "database_in_use");
	err_hint(e, "stop it, then run this again");
	return err_exit(e, EXIT_LOCKED);
}
