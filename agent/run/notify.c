/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run/notify.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* A supervisor that has gone must not end the agent: MSG_NOSIGNAL is for sockets only, so the signal
 * is blocked around the write and taken back if the write raised it. */
static void say(struct notify *n, const char *line)
{
	const struct timespec now = { 0 };
	sigset_t pipe_only, old, pending;
	bool was_pending;

	if (n->fd < 0)
		return;
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigpending(&pending);
	was_pending = sigismember(&pending, SIGPIPE) == 1;
	pthread_sigmask(SIG_BLOCK, &pipe_only, &old);
	if (write(n->fd, line, strlen(line)) < 0 && errno == EPIPE) {
		if (!was_pending)
			sigtimedwait(&pipe_only, NULL, &now);
		notify_close(n);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

int notify_open(struct notify *n, int fd, struct err *e)
{
	int flags;

	*n = (struct notify){ .fd = -1 };
	if (fd < 0)
		return 0;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
		err_errno(e, "-notify-fd %d", fd);
		e->code = ERR_USAGE;
		return -1;
	}
	n->fd = fd;
	notify_beat(n, clock_mono_ms());
	return 0;
}

void notify_close(struct notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

void notify_ready(struct notify *n)
{
	say(n, "ready\n");
}

void notify_synced(struct notify *n)
{
	say(n, "synced\n");
}

void notify_beat(struct notify *n, int64_t mono_ms)
{
	if (n->fd < 0 || mono_ms < n->next_beat_ms)
		return;
	n->next_beat_ms = mono_ms + NOTIFY_BEAT_EVERY_MS;
	say(n, "beat\n");
}

static enum notify_word word_of(const char *line, size_t n)
{
	static const struct {
		const char *text;
		enum notify_word word;
	} words[] = { { "ready", NOTIFY_READY },
		      { "synced", NOTIFY_SYNCED },
		      { "beat", NOTIFY_BEAT } };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strlen(words[i].text) == n && !memcmp(words[i].text, line, n))
			return words[i].word;
	return NOTIFY_OTHER;
}

int notify_parse(struct notify_parser *s, const char *p, size_t n, size_t *at)
{
	while (*at < n) {
		char c = p[(*at)++];

		if (c == '\n') {
			int word = (int)word_of(s->line, s->n);

			s->n = 0;
			return word;
		}
		if (s->n < sizeof(s->line)) /* a longer line is no word of ours */
			s->line[s->n++] = c;
	}
	return -1;
}
