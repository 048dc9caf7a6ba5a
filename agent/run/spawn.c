/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run/spawn.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CANNOT_EXECUTE 126
#define NOT_FOUND 127

/* What a shell or a library may have left ignored or blocked is not the app's business.  The system
 * call itself, since posix_spawn leaves glibc's own two signals ignored, and signal() may not
 * touch them; it fails for KILL and STOP, as it should. */
static void clean_signals(bool ignore_ttou)
{
	static const uint64_t by_default[8]; /* struct sigaction of the kernel, SIG_DFL */
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGTTOU || !ignore_ttou)
			syscall(SYS_rt_sigaction, sig, by_default, NULL, _NSIG / 8);
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static int set_descriptors(const struct spawn_options *o)
{
	if (o->null_input) {
		int null = open("/dev/null", O_RDONLY);

		if (null < 0 || dup2(null, 0) < 0)
			return -1;
		if (null != 0)
			close(null);
	}
	if (o->pass_fd < 0)
		return 0;
	if (o->pass_fd == o->pass_as)
		return fcntl(o->pass_fd, F_SETFD, 0);
	return dup2(o->pass_fd, o->pass_as);
}

/* In the child.  Returns only on failure, with errno. */
static void become(const char *const argv[], const struct spawn_options *o, pid_t parent)
{
	setpgid(0, 0); /* the parent does the same; whoever comes first */
	if (o->terminal >= 0)
		tcsetpgrp(o->terminal, getpid()); /* SIGTTOU is ignored until below */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		return;
	if (getppid() != parent) /* it died before that took hold */
		_exit(128 + SIGTERM);
	if (set_descriptors(o) < 0)
		return;
	clean_signals(o->ignore_ttou);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
}

pid_t spawn_child(const char *const argv[], const struct spawn_options *o, struct err *e)
{
	int report[2]; /* closed by exec, or errno */
	pid_t parent = getpid();
	int failure = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(report, O_CLOEXEC) < 0)
		return err_errno(e, "pipe");
	AUTO_CLOSE int in = report[0];
	pid = fork();
	if (pid == 0) {
		become(argv, o, parent);
		failure = errno;
		n = write(report[1], &failure, sizeof(failure));
		_exit(n == sizeof(failure) ? CANNOT_EXECUTE : NOT_FOUND);
	}
	close(report[1]);
	if (pid < 0)
		return err_errno(e, "fork");
	setpgid(pid, pid);
	do
		n = read(in, &failure, sizeof(failure));
	while (n < 0 && errno == EINTR);
	if (n != sizeof(failure))
		return pid;
	waitpid(pid, NULL, 0);
	errno = failure;
	err_errno(e, "%s", argv[0]);
	return err_exit(e, failure == ENOENT ? NOT_FOUND : CANNOT_EXECUTE);
}
