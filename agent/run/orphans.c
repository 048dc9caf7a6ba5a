/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run/orphans.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* /proc/PID/stat: "pid (name) S ..."; the name may hold anything, so from the last parenthesis on. */
static bool is_zombie(pid_t pid)
{
	char path[48];
	char text[512];
	const char *end;
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n <= 0)
		return true;
	text[n] = 0;
	end = strrchr(text, ')');
	return end && strncmp(end, ") Z", 3) == 0;
}

/* Send sig (0: none) to each; how many there are.  The first page of the list is enough: who is
 * left shows at the next look. */
static int each(pid_t known, int sig)
{
	char path[64];
	char text[4096];
	ssize_t n = -1;
	int count = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = 0;
	for (char *p = text, *end; *p; p = end) {
		long pid = strtol(p, &end, 10);

		if (end == p || *end != ' ') /* the last number may be cut */
			break;
		end++;
		if (pid <= 0 || pid == known || is_zombie((pid_t)pid))
			continue;
		count++;
		if (sig)
			kill((pid_t)pid, sig);
	}
	return count;
}

bool orphans_exist(pid_t known)
{
	return each(known, 0) > 0;
}

void orphans_signal(pid_t known, int sig)
{
	each(known, sig);
}
