/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run/keeper.h"

#include "agent/run/spawn.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS 60000
#define SETTLED_MS 60000

void keeper_init(struct keeper *k, const char *const *argv, int pass_as,
		 int64_t beat_timeout_ms)
{
	*k = (struct keeper){ .argv = argv,
			      .pass_as = pass_as,
			      .beat_timeout_ms = beat_timeout_ms,
			      .fd = -1,
			      .again_ms = KEEPER_NEVER };
}

void keeper_free(struct keeper *k)
{
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
}

int keeper_start(struct keeper *k, struct err *e)
{
	struct spawn_options o = SPAWN_PLAIN;
	int fds[2];

	keeper_free(k);
	k->again_ms = KEEPER_NEVER;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(e, "pipe");
	o.null_input = true;
	o.ignore_ttou = true;
	o.pass_fd = fds[1];
	o.pass_as = k->pass_as;
	k->pid = spawn_child(k->argv, &o, e);
	close(fds[1]);
	if (k->pid < 0) {
		k->pid = 0;
		close(fds[0]);
		return -1;
	}
	k->fd = fds[0];
	k->parser = (struct notify_parser){ .n = 0 };
	k->ready = k->synced = false;
	k->silence_ms = 0;
	k->since_ms = clock_mono_ms();
	return 0;
}

void keeper_read(struct keeper *k)
{
	char bytes[512];
	ssize_t n = -1;
	int word;

	while (k->fd >= 0 && (n = read(k->fd, bytes, sizeof(bytes))) > 0) {
		size_t at = 0;

		while ((word = notify_parse(&k->parser, bytes, (size_t)n, &at)) >= 0) {
			k->silence_ms = 0;
			k->ready = k->ready || word == NOTIFY_READY;
			k->synced = k->synced || word == NOTIFY_SYNCED;
			if (k->synced && k->later)
				k->argv = k->later;
		}
	}
	if (n == 0)
		keeper_free(k); /* it is ending, or broken: silence will tell */
	k->ever_ready = k->ever_ready || k->ready;
}

int keeper_ended(struct keeper *k, int wait_status)
{
	keeper_read(k);
	keeper_free(k);
	k->pid = 0;
	return proc_exit_status(wait_status);
}

void keeper_start_later(struct keeper *k)
{
	int64_t now = clock_mono_ms();

	if (now - k->since_ms >= SETTLED_MS)
		k->backoff_ms = 0;
	k->backoff_ms = clock_backoff_ms(k->backoff_ms, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
	k->again_ms = now + k->backoff_ms;
}

void keeper_signal(const struct keeper *k, int sig)
{
	if (k->pid)
		kill(-k->pid, sig); /* its group; gone already is fine, the reaping tells */
}

bool keeper_waiting(const struct keeper *k)
{
	return !k->pid && k->again_ms != KEEPER_NEVER;
}

void keeper_tick(struct keeper *k, int64_t ran_ms)
{
	struct err e = ERR_INIT;

	if (k->pid) {
		k->silence_ms += ran_ms;
		if (k->silence_ms < k->beat_timeout_ms)
			return;
		log_error("the agent hangs, killing it", LOGI("pid", k->pid),
			  LOGI("silent_ms", k->silence_ms));
		k->silence_ms = 0;
		keeper_signal(k, SIGKILL);
	} else if (k->again_ms <= clock_mono_ms()) {
		if (keeper_start(k, &e) == 0) {
			log_info("the agent was started again", LOGI("pid", k->pid));
			return;
		}
		log_error("the agent cannot be started", LOGE(&e));
		keeper_start_later(k);
	}
}
