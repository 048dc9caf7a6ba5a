/* SPDX-License-Identifier: Apache-2.0 */
#include "base/proc.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POLL_MOST_MS = 3600000, FALLBACK_STEP_MS = 20, READ_STEP = 65536 };

/* The descriptors of a child: copies of the sources above every target, so that no dup2
 * overwrites a source that a later one needs. */
struct child_fds {
	posix_spawn_file_actions_t actions;
	int copies[4];
	int count;
	int null;
};

static void close_copies(struct child_fds *c)
{
	for (int i = 0; i < c->count; i++)
		close(c->copies[i]);
	if (c->null >= 0)
		close(c->null);
	posix_spawn_file_actions_destroy(&c->actions);
}

static int map_fd(struct child_fds *c, int source, int target, int above, struct err *e)
{
	if (source == target && target <= 2)
		return 0;
	if (source < 0 && c->null < 0) {
		c->null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (c->null < 0)
			return err_errno(e, "open /dev/null");
	}
	int copy = fcntl(source < 0 ? c->null : source, F_DUPFD_CLOEXEC, above);

	if (copy < 0)
		return err_errno(e, "pass descriptor %d to a child", source);
	c->copies[c->count++] = copy;
	errno = posix_spawn_file_actions_adddup2(&c->actions, copy, target);
	return errno ? err_errno(e, "pass descriptor %d to a child", source) : 0;
}

static int map_all(struct child_fds *c, const struct proc_options *o, struct err *e)
{
	int above = o->pass_fd && o->pass_as > 2 ? o->pass_as + 1 : 3;

	if (map_fd(c, o->in, 0, above, e) || map_fd(c, o->out, 1, above, e) ||
	    map_fd(c, o->errfd, 2, above, e))
		return -1;
	if (o->pass_fd && map_fd(c, o->pass_fd, o->pass_as, above, e))
		return -1;
	if (!o->dir)
		return 0;
	errno = posix_spawn_file_actions_addchdir_np(&c->actions, o->dir);
	return errno ? err_errno(e, "%s", o->dir) : 0;
}

static void set_attributes(posix_spawnattr_t *attr, const struct proc_options *o)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t set;

	sigemptyset(&set);
	posix_spawnattr_setsigmask(attr, &set);
	sigfillset(&set);
	posix_spawnattr_setsigdefault(attr, &set);
	if (o->own_group) {
		flags |= POSIX_SPAWN_SETPGROUP;
		posix_spawnattr_setpgroup(attr, 0);
	}
	posix_spawnattr_setflags(attr, flags);
}

/* The shell's statuses for a command that cannot be run. */
static int cannot_run(const char *name, int sys, struct err *e)
{
	errno = sys;
	err_errno(e, "run %s", name);
	if (sys == ENOENT || sys == ENOTDIR) {
		e->code = ERR_NOT_FOUND;
		if (strchr(name, '/'))
			err_hint(e, "check the path, and the interpreter a script names in "
				    "its first line");
		else
			err_hint(e, "it is looked up on PATH; give its full path");
		return err_exit(e, 127);
	}
	if (sys == EACCES || sys == ENOEXEC || sys == EPERM) {
		e->code = ERR_DENIED;
		err_hint(e, "it must be an executable program or a script with a #! line");
		return err_exit(e, 126);
	}
	return -1;
}

/* exec(2) and its kin promise to change nothing, but their prototypes predate const. */
static char *const *as_exec(const char *const *v)
{
	union {
		const char *const *in;
		char *const *out;
	} u = { .in = v };

	return u.out;
}

/* posix_spawn would report a missing folder as a missing program. */
static int check_dir(const char *dir, struct err *e)
{
	struct stat st;

	if (stat(dir, &st))
		return err_errno(e, "change to folder %s", dir);
	if (S_ISDIR(st.st_mode))
		return 0;
	errno = ENOTDIR;
	return err_errno(e, "change to folder %s", dir);
}

pid_t proc_spawn(const char *const argv[], const struct proc_options *o, struct err *e)
{
	static const struct proc_options inherit = PROC_INHERIT;
	struct child_fds fds = { .null = -1 };
	posix_spawnattr_t attr;
	pid_t pid = -1;

	if (!o)
		o = &inherit;
	if (o->dir && check_dir(o->dir, e))
		return -1;
	posix_spawn_file_actions_init(&fds.actions);
	if (map_all(&fds, o, e)) {
		close_copies(&fds);
		return -1;
	}
	posix_spawnattr_init(&attr);
	set_attributes(&attr, o);
	int sys = posix_spawnp(&pid, argv[0], &fds.actions, &attr, as_exec(argv),
			       o->env ? as_exec(o->env) : environ);
	posix_spawnattr_destroy(&attr);
	close_copies(&fds);
	return sys ? cannot_run(argv[0], sys, e) : pid;
}

/* -1 where the kernel or a seccomp filter has no pidfd_open (Linux 5.3). */
static int open_pid(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Milliseconds until the deadline, fit for poll(2). */
static int time_left(int64_t deadline_ms)
{
	int64_t left = deadline_ms ? deadline_ms - clock_mono_ms() : POLL_MOST_MS;

	if (left < 0)
		return 0;
	return left < POLL_MOST_MS ? (int)left : POLL_MOST_MS;
}

/* Without a pidfd the end of a process is not an event: look for it now and then. */
static int poll_time(int pidfd, int left)
{
	return pidfd < 0 && left > FALLBACK_STEP_MS ? FALLBACK_STEP_MS : left;
}

static int try_wait(pid_t pid, int *status, struct err *e)
{
	pid_t got = waitpid(pid, status, WNOHANG);

	if (got < 0 && errno != EINTR)
		return err_errno(e, "wait for process %d", (int)pid);
	return got > 0;
}

int proc_wait(pid_t pid, int64_t deadline_ms, const struct stop *stop, int *status,
	      struct err *e)
{
	AUTO_CLOSE int pidfd = open_pid(pid);

	for (;;) {
		int rc = try_wait(pid, status, e);

		if (rc)
			return rc;
		int left = time_left(deadline_ms);

		if (!left || stop_is_set(stop))
			return 0;
		struct pollfd ready[] = {
			{ .fd = pidfd, .events = POLLIN },
			{ .fd = stop_fd(stop), .events = POLLIN },
		};

		poll(ready, 2, poll_time(pidfd, left));
	}
}

int proc_exit_status(int wait_status)
{
	if (WIFSIGNALED(wait_status))
		return 128 + WTERMSIG(wait_status);
	return WEXITSTATUS(wait_status);
}

/* One read; 1 more may come, 0 end.  What the ceiling refuses is read and dropped, so that
 * the child does not hang in a write. */
static int collect(int fd, struct buf *out)
{
	uint8_t waste[4096];
	size_t room = out->overflow ? 0 : out->max - out->len;
	size_t want = room < READ_STEP ? room : READ_STEP;
	uint8_t *to = want ? buf_space(out, want) : waste;
	ssize_t got = read(fd, to, want ? want : sizeof(waste));

	if (got < 0)
		return errno == EINTR || errno == EAGAIN;
	if (want)
		buf_added(out, (size_t)got);
	else if (got)
		out->overflow = true;
	return got > 0;
}

/* True if it ended and still waits to be reaped. */
static bool is_zombie(pid_t pid)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
	       info.si_pid == pid;
}

/* Until the output ends, the child ends (a grandchild may keep the pipe open), or the
 * deadline, which is false. */
static bool collect_all(int fd, pid_t pid, int64_t deadline_ms, struct buf *out)
{
	AUTO_CLOSE int pidfd = open_pid(pid);
	bool ended = false;

	for (int left = time_left(deadline_ms); left; left = time_left(deadline_ms)) {
		struct pollfd ready[] = {
			{ .fd = fd, .events = POLLIN },
			{ .fd = pidfd, .events = POLLIN },
		};

		/* What it wrote last may come between the two looks of one poll. */
		if (ended)
			left = 0;
		poll(ready, ended ? 1 : 2, poll_time(pidfd, left));
		if (ready[0].revents) {
			if (!collect(fd, out))
				return true;
		} else if (ended) {
			return true;
		}
		ended = ended || ready[1].revents || (pidfd < 0 && is_zombie(pid));
	}
	return false;
}

int proc_run(const char *const argv[], int64_t timeout_ms, struct buf *out, int *status,
	     struct err *e)
{
	int64_t deadline = clock_mono_ms() + (timeout_ms > 0 ? timeout_ms : 0);
	int ends[2], raw = 0;

	if (pipe2(ends, O_CLOEXEC))
		return err_errno(e, "run %s: pipe", argv[0]);
	struct proc_options o = { .in = -1, .out = ends[1], .errfd = 2, .own_group = true };
	pid_t pid = proc_spawn(argv, &o, e);
	bool in_time = true;

	close(ends[1]);
	if (pid > 0)
		in_time = collect_all(ends[0], pid, deadline, out);
	close(ends[0]);
	if (pid < 0)
		return -1;
	int rc = in_time ? proc_wait(pid, deadline, NULL, &raw, e) : 0;

	if (rc <= 0) {
		kill(-pid, SIGKILL);
		while (waitpid(pid, &raw, 0) < 0 && errno == EINTR)
			;
	}
	if (rc < 0)
		return -1;
	if (!rc) {
		err_set(e, ERR_AGAIN, "run %s: not done after %lld ms, killed", argv[0],
			(long long)timeout_ms);
		return -1;
	}
	*status = proc_exit_status(raw);
	return 0;
}

char *proc_self(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[n > 0 ? n : 0] = 0;
	/* A program replaced by a newer one reads "PATH (deleted)". */
	return mem_str(n > 0 && !access(path, X_OK) ? path : "/proc/self/exe");
}
