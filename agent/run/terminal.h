/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal, when the supervisor was started at one: the app's group gets
 * it, so that Ctrl-C goes to the app alone, and it is taken back at the end.
 * In the background a shell has it, from whom it is never taken.
 * The process must ignore SIGTTOU.
 */
#ifndef AGENT_TERMINAL_H
#define AGENT_TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>

/* The descriptor (0, 1 or 2) of our controlling terminal; -1: none. */
int terminal_find(void);
/* Are we its foreground?  False for -1. */
bool terminal_is_ours(int fd);
/* Back to our own group, if the app's has it. */
void terminal_take_back(int fd, pid_t app);

/*
 * The app's group was stopped by sig: Ctrl-Z, or reading from or writing to a terminal that it
 * does not have; after any other signal nothing is done.  With a shell above us: stop our own
 * group too, so that the shell goes on; when it continues us, the app gets the terminal
 * (unless we are in the background) and goes on.  Without one nobody could continue it:
 * it goes on at once.  An app that wants the terminal while we have it gets it.
 */
void terminal_app_stopped(int fd, pid_t app, int sig);

#endif
