/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the agent running for the supervisor: starts it with a pipe on which
 * it speaks (agent/run/notify.h), starts it again with back-off when it dies, and
 * kills it when it has been silent for too long.  The caller reaps and tells.
 */
#ifndef AGENT_KEEPER_H
#define AGENT_KEEPER_H

#include "agent/run/notify.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define KEEPER_NEVER INT64_MAX

struct keeper {
	const char *const *argv;
	const char *const *later; /* instead of argv once one said "synced"; NULL: argv */
	int pass_as;		  /* descriptor number in the agent */
	int64_t beat_timeout_ms;  /* silence that counts as a hang */

	pid_t pid; /* 0: not running */
	int fd;	   /* to hear it, -1 */
	struct notify_parser parser;
	bool ready, synced; /* said by the running one */
	bool ever_ready;    /* by any */
	int64_t silence_ms;
	int64_t since_ms, again_ms, backoff_ms;
};

void keeper_init(struct keeper *k, const char *const *argv, int pass_as,
		 int64_t beat_timeout_ms);
void keeper_free(struct keeper *k); /* the process is not touched */

/* Start it now.  exit 126, 127 when it cannot be executed. */
MUST_CHECK int keeper_start(struct keeper *k, struct err *e);
/* The pid was reaped: what it said last is read; returns its exit status (128+n). */
int keeper_ended(struct keeper *k, int wait_status);
/* Start it again after a while: 1 s, doubling up to a minute, from the beginning once it lived a minute. */
void keeper_start_later(struct keeper *k);

/* Hear what it says. */
void keeper_read(struct keeper *k);
/* Time has passed: ran_ms of it while the caller itself was running (a frozen container must not cost the
 * agent its life).  Kills a silent agent; starts one whose time has come. */
void keeper_tick(struct keeper *k, int64_t ran_ms);

void keeper_signal(const struct keeper *k, int sig);
/* Has a start been asked for that is still to come? */
bool keeper_waiting(const struct keeper *k);

#endif
