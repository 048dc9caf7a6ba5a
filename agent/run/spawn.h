/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start a child of the supervisor: by fork, which is safe here because that
 * process has one thread, and needed because the child must take the terminal
 * and tie its life to ours before the program begins (posix_spawn cannot).
 */
#ifndef AGENT_SPAWN_H
#define AGENT_SPAWN_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct spawn_options {
	bool null_input; /* stdin from /dev/null */
	int terminal;	 /* > 0 or 0: hand this terminal to the child's group; -1: none */
	int pass_fd;	 /* becomes pass_as in the child; -1: none */
	int pass_as;
	bool ignore_ttou; /* may write to a terminal of which it is not the foreground */
};

#define SPAWN_PLAIN                           \
	{                                     \
		.terminal = -1, .pass_fd = -1 \
	}

/*
 * argv[0] is looked up on PATH.  The child leads its own process group, has every
 * signal unblocked and at its default, and gets SIGTERM when this process dies.
 * The pid; or -1 when it cannot be run: ERR_NOT_FOUND with exit 127, ERR_DENIED and
 * others with exit 126.
 */
MUST_CHECK pid_t spawn_child(const char *const argv[], const struct spawn_options *o,
			     struct err *e);

#endif
