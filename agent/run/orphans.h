/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that lost their parent and came to the supervisor (as PID 1 or
 * subreaper): descendants of the app that left its process group.  Where the
 * kernel does not list children (no CONFIG_PROC_CHILDREN), there seem to be none.
 */
#ifndef AGENT_ORPHANS_H
#define AGENT_ORPHANS_H

#include <stdbool.h>
#include <sys/types.h>

/* Children of this process apart from one that is known, zombies not counted. */
bool orphans_exist(pid_t known);
void orphans_signal(pid_t known, int sig);

#endif
