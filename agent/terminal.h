/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal, when the supervisor was started at one: the app's group gets
 * it, so that Ctrl-C goes to the app alone, and it is taken back at the end.
 * The process must ignore SIGTTOU.
 */
#ifndef AGENT_TERMINAL_H
#define AGENT_TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>

/* The descriptor (0, 1 or 2) of a terminal whose foreground we are; -1: none. */
int terminal_find(void);
/* Back to our own group. */
void terminal_take_back(int fd);

/*
 * The app's group was stopped by Ctrl-Z.  With a shell above us: stop ourselves too, so
 * that the shell goes on; when it continues us, the app gets the terminal (unless we are in
 * the background) and goes on.  Without one nobody could continue it: it goes on at once.
 */
void terminal_app_stopped(int fd, pid_t app);

#endif
