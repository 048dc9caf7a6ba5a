/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An LD_PRELOAD library that makes the n-th call of one kind fail, or kills the process there.
 *
 * FAULT_CALL   read write fsync rename link unlink truncate create: pread counts as read, pwrite as
 *              write, fdatasync as fsync, ftruncate as truncate, open with O_CREAT and mkdir as create
 * FAULT_PATH   only calls on a path that contains this text count; unset: on any regular path
 * FAULT_NTH    which one fails, from 1; 0: none (only count)
 * FAULT_TIMES  how many in a row fail (default 1)
 * FAULT_ERRNO  a number; "kill": SIGKILL instead; "short": half of a read or write is done;
 *              "appear": nothing fails, but another's file is at the path before a rename or link;
 *              "slow:N": nothing fails, but reads and writes of over 64 KiB pass at N MB/s
 * FAULT_WHILE  a file: faults happen only as long as it exists
 * FAULT_STATE  a file with the count so far (8 bytes, native), shared by all processes
 * FAULT_TRACE  a file that gets a line for each call on such a path before it is made: kind, path and, of a
 *              rename or link, the old path, with tabs between; also without any of the above
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The function of that name which this library stands in front of. */
#define NEXT(name)                                      \
	static __typeof__(name) *next;                  \
	if (!next) {                                    \
		void *symbol = dlsym(RTLD_NEXT, #name); \
		memcpy(&next, &symbol, sizeof(next));   \
	}

enum verdict { PASS, FAIL, SHORT, SLOW };

static uint64_t *counter;
static uint64_t nth, times = 1, mb_per_s;
static int trace_fd = -1;
static const char *call, *path_part, *how, *while_path;

__attribute__((constructor)) static void begin(void)
{
	const char *state = getenv("FAULT_STATE"), *n = getenv("FAULT_NTH"),
		   *t = getenv("FAULT_TIMES"), *trace_path = getenv("FAULT_TRACE");
	int fd;

	call = getenv("FAULT_CALL");
	path_part = getenv("FAULT_PATH");
	how = getenv("FAULT_ERRNO");
	while_path = getenv("FAULT_WHILE");
	if (how && strncmp(how, "slow:", 5) == 0)
		mb_per_s = strtoull(how + 5, NULL, 10);
	if (trace_path)
		trace_fd =
			open(trace_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (!state || !call || !n)
		return;
	nth = strtoull(n, NULL, 10);
	times = t ? strtoull(t, NULL, 10) : 1;
	fd = open(state, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		abort();
	if (posix_fallocate(fd, 0, sizeof(*counter)) != 0)
		abort();
	counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counter == MAP_FAILED)
		abort();
	/* The descriptor stays: closing it is no use, and a low number may matter to nobody. */
}

static void trace(const char *kind, const char *path, const char *from)
{
	char line[9000];
	int n, saved = errno;

	if (trace_fd < 0 || (path_part && !strstr(path, path_part)))
		return;
	n = snprintf(line, sizeof(line), "%s\t%s\t%s\n", kind, path, from);
	if (n > 0 && (size_t)n < sizeof(line) &&
	    syscall(SYS_write, trace_fd, line, (size_t)n) != n)
		abort();
	errno = saved;
}

/* By system calls of its own: open and write of this library would count it. */
static void appear(const char *path)
{
	static const char text[] = "somebody's";
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC,
			      0600);

	if (fd < 0 || syscall(SYS_write, fd, text, sizeof(text) - 1) < 0)
		abort();
	close(fd);
}

static enum verdict judge_from(const char *kind, const char *path, const char *from)
{
	int saved = errno;
	uint64_t n;

	trace(kind, path, from);
	if (!counter || strcmp(kind, call) != 0 || (path_part && !strstr(path, path_part)))
		return PASS;
	if (while_path && access(while_path, F_OK) != 0) {
		errno = saved;
		return PASS;
	}
	n = __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
	if (nth == 0 || n < nth || n >= nth + times)
		return PASS;
	if (how && strcmp(how, "kill") == 0)
		kill(getpid(), SIGKILL);
	if (how && strcmp(how, "short") == 0)
		return SHORT;
	if (how && strcmp(how, "appear") == 0) {
		appear(path);
		errno = saved;
		return PASS;
	}
	if (mb_per_s)
		return SLOW;
	errno = how ? (int)strtol(how, NULL, 10) : EIO;
	return FAIL;
}

static enum verdict judge(const char *kind, const char *path)
{
	return judge_from(kind, path, "");
}

/* By descriptor: pipes and sockets never count. */
static enum verdict judge_fd(const char *kind, int fd)
{
	char link_path[64], path[4096];
	ssize_t n;
	int saved = errno;
	enum verdict v;

	if (trace_fd < 0 && (!counter || strcmp(kind, call) != 0))
		return PASS;
	snprintf(link_path, sizeof(link_path), "/proc/self/fd/%d", fd);
	n = readlink(link_path, path, sizeof(path) - 1);
	if (n <= 0 || path[0] != '/') {
		errno = saved;
		return PASS;
	}
	path[n] = '\0';
	errno = saved;
	v = judge(kind, path);
	return v;
}

/* How much of n bytes is to be moved now; -1: fail. */
static ssize_t share(const char *kind, int fd, size_t n)
{
	enum verdict v = judge_fd(kind, fd);

	if (v == SLOW && n > 65536)
		usleep((useconds_t)(n / mb_per_s));
	return v == FAIL ? -1 : (ssize_t)(v == SHORT && n > 1 ? n / 2 : n);
}

ssize_t read(int fd, void *p, size_t n)
{
	NEXT(read)
	ssize_t part = share("read", fd, n);

	return part < 0 ? -1 : next(fd, p, (size_t)part);
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
	NEXT(pread)
	ssize_t part = share("read", fd, n);

	return part < 0 ? -1 : next(fd, p, (size_t)part, at);
}

ssize_t pread64(int fd, void *p, size_t n, off64_t at)
{
	NEXT(pread64)
	ssize_t part = share("read", fd, n);

	return part < 0 ? -1 : next(fd, p, (size_t)part, at);
}

ssize_t write(int fd, const void *p, size_t n)
{
	NEXT(write)
	ssize_t part = share("write", fd, n);

	return part < 0 ? -1 : next(fd, p, (size_t)part);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	NEXT(pwrite)
	ssize_t part = share("write", fd, n);

	return part < 0 ? -1 : next(fd, p, (size_t)part, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	NEXT(pwrite64)
	ssize_t part = share("write", fd, n);

	return part < 0 ? -1 : next(fd, p, (size_t)part, at);
}

int fsync(int fd)
{
	NEXT(fsync)
	return judge_fd("fsync", fd) == FAIL ? -1 : next(fd);
}

int fdatasync(int fd)
{
	NEXT(fdatasync)
	return judge_fd("fsync", fd) == FAIL ? -1 : next(fd);
}

int ftruncate(int fd, off_t n)
{
	NEXT(ftruncate)
	return judge_fd("truncate", fd) == FAIL ? -1 : next(fd, n);
}

int ftruncate64(int fd, off64_t n)
{
	NEXT(ftruncate64)
	return judge_fd("truncate", fd) == FAIL ? -1 : next(fd, n);
}

int rename(const char *from, const char *to)
{
	NEXT(rename)
	return judge_from("rename", to, from) == FAIL ? -1 : next(from, to);
}

int renameat(int fd1, const char *from, int fd2, const char *to)
{
	NEXT(renameat)
	return judge_from("rename", to, from) == FAIL ? -1 : next(fd1, from, fd2, to);
}

int renameat2(int fd1, const char *from, int fd2, const char *to, unsigned flags)
{
	NEXT(renameat2)
	return judge_from("rename", to, from) == FAIL ? -1
						      : next(fd1, from, fd2, to, flags);
}

int link(const char *from, const char *to)
{
	NEXT(link)
	return judge_from("link", to, from) == FAIL ? -1 : next(from, to);
}

int linkat(int fd1, const char *from, int fd2, const char *to, int flags)
{
	NEXT(linkat)
	return judge_from("link", to, from) == FAIL ? -1 : next(fd1, from, fd2, to, flags);
}

int unlink(const char *path)
{
	NEXT(unlink)
	return judge("unlink", path) == FAIL ? -1 : next(path);
}

int unlinkat(int fd, const char *path, int flags)
{
	NEXT(unlinkat)
	return judge("unlink", path) == FAIL ? -1 : next(fd, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
	NEXT(mkdir)
	return judge("create", path) == FAIL ? -1 : next(path, mode);
}

#define OPEN_BODY(name)                                              \
	NEXT(name)                                                   \
	mode_t mode = 0;                                             \
	va_list ap;                                                  \
                                                                     \
	if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
		va_start(ap, flags);                                 \
		mode = va_arg(ap, mode_t);                           \
		va_end(ap);                                          \
	}                                                            \
	if ((flags & O_CREAT) && judge("create", path) == FAIL)      \
		return -1;                                           \
	return next(path, flags, mode);

int open(const char *path, int flags, ...)
{
	OPEN_BODY(open)
}

int open64(const char *path, int flags, ...)
{
	OPEN_BODY(open64)
}
