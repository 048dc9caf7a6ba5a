/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/terminal.h"

#include <signal.h>
#include <unistd.h>

int terminal_find(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (isatty(fd) && tcgetpgrp(fd) == getpgrp())
			return fd;
	return -1;
}

void terminal_take_back(int fd)
{
	if (fd >= 0)
		tcsetpgrp(fd, getpgrp());
}

void terminal_app_stopped(int fd, pid_t app)
{
	if (getpid() != 1 && getsid(0) != getpid()) {
		terminal_take_back(fd);
		kill(getpid(),
		     SIGSTOP); /* here the shell has the terminal, until it continues us */
		if (tcgetpgrp(fd) == getpgrp())
			tcsetpgrp(fd, app);
	}
	kill(-app, SIGCONT);
}
