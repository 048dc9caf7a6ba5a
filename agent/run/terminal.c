/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run/terminal.h"

#include <signal.h>
#include <unistd.h>

int terminal_find(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (isatty(fd) && tcgetpgrp(fd) >= 0)
			return fd;
	return -1;
}

bool terminal_is_ours(int fd)
{
	return fd >= 0 && tcgetpgrp(fd) == getpgrp();
}

void terminal_take_back(int fd, pid_t app)
{
	if (fd >= 0 && tcgetpgrp(fd) == app)
		tcsetpgrp(fd, getpgrp());
}

/* A shell with job control gives each job a group of its own. */
static bool has_shell(void)
{
	return getpid() != 1 && getpgrp() != getsid(0);
}

void terminal_app_stopped(int fd, pid_t app, int sig)
{
	bool wants_it = sig == SIGTTIN || sig == SIGTTOU;

	if (!wants_it && sig != SIGTSTP)
		return;
	if (has_shell() && !(wants_it && terminal_is_ours(fd))) {
		terminal_take_back(fd, app);
		kill(0,
		     SIGSTOP); /* here the shell has the terminal, until it continues us */
	} else if (wants_it && !terminal_is_ours(fd)) {
		return;
	}
	if (terminal_is_ours(fd))
		tcsetpgrp(fd, app);
	kill(-app, SIGCONT);
}
