/* SPDX-License-Identifier: Apache-2.0 */
/* The log into a pipe that the test reads, as setup and teardown of each test. */
#ifndef TESTS_UNIT_LOG_PIPE_H
#define TESTS_UNIT_LOG_PIPE_H

#include "base/log.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <unistd.h>

static int log_ends[2];

static inline int log_pipe_open(void **state)
{
	(void)state;
	if (pipe2(log_ends, O_CLOEXEC | O_NONBLOCK))
		return -1;
	log_to(log_ends[1]);
	return 0;
}

static inline int log_pipe_close(void **state)
{
	(void)state;
	log_to(2);
	close(log_ends[0]);
	return close(log_ends[1]);
}

#endif
