/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child processes by posix_spawn (no fork in a threaded process), with clean
 * signal masks and dispositions and only the descriptors they were given.
 */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include "base/buf.h"
#include "base/err.h"
#include "base/stop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_options {
	const char *const *env; /* NULL: ours */
	const char *dir;	/* NULL: ours */
	int in, out,
		errfd; /* descriptors for 0 1 2; -1: /dev/null; 0,1,2 themselves: inherit */
	int pass_fd;   /* one more descriptor, which becomes pass_as; 0: none */
	int pass_as;
	bool own_group; /* setpgid(0, 0) */
};

#define PROC_INHERIT                          \
	{                                     \
		.in = 0, .out = 1, .errfd = 2 \
	}

/* argv[0] is looked up on PATH.  ERR_NOT_FOUND (127) or ERR_DENIED (126) when it cannot be run. */
MUST_CHECK pid_t proc_spawn(const char *const argv[], const struct proc_options *o,
			    struct err *e);

/* Wait with a deadline (clock_mono_ms; 0: none) and a stop token.  1 ended, 0 deadline or stop, -1 error.
 * *status as from waitpid. */
MUST_CHECK int proc_wait(pid_t pid, int64_t deadline_ms, const struct stop *stop,
			 int *status, struct err *e);

/* Run to the end, stdin /dev/null, stdout collected into out (its ceiling counts), stderr inherited.
 * Killed at the deadline (ERR_AGAIN).  The exit status goes to *status (128+n for a signal). */
MUST_CHECK int proc_run(const char *const argv[], int64_t timeout_ms, struct buf *out,
			int *status, struct err *e);

int proc_exit_status(int wait_status); /* status, or 128+n */

/* Split as a POSIX shell would quote (blanks, '...', "...", backslash; $'..' with \n \t \' \\ \xHH \NNN, as
 * printf %q writes); no expansion.  NULL-terminated malloc'd array; free with proc_free_argv.
 * ERR_USAGE on an unbalanced quote, an empty command, or an unquoted ; & | < > ( ) ` (no shell is started). */
MUST_CHECK char **proc_split(const char *cmd, struct err *e);
void proc_free_argv(char **argv);

/* /proc/self/exe, for starting ourselves again; malloc'd. */
char *proc_self(void);

#endif
