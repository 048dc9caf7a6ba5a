/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/progress.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	BAR_WIDTH = 28,
	QUIET_MS = 500, /* a transfer shorter than this is not worth a bar */
	REDRAW_MS = 100,
	LINE_MS = 10000,
};

static bool is_terminal(void)
{
	const char *term = getenv("TERM"); // NOLINT(concurrency-mt-unsafe): nobody sets it
	const char *plain = getenv("NO_COLOR"); // NOLINT(concurrency-mt-unsafe)

	return isatty(STDERR_FILENO) && !(plain && *plain) &&
	       !(term && strcmp(term, "dumb") == 0);
}

void progress_off(struct progress *p)
{
	*p = (struct progress){ .on = false };
}

void progress_begin(struct progress *p, const char *what, const char *name, uint64_t total,
		    bool bar)
{
	int64_t now = clock_mono_ms();

	*p = (struct progress){
		.what = what,
		.name = name,
		.total = total,
		.began_ms = now,
		.said_ms = now,
		.on = true,
		.bar = bar && is_terminal(),
	};
}

static uint64_t rate(const struct progress *p, int64_t now_ms)
{
	int64_t ms = now_ms - p->began_ms;

	return ms > 0 ? (uint64_t)((double)p->done * 1000.0 / (double)ms) : 0;
}

static unsigned percent(const struct progress *p)
{
	if (p->total == 0 || p->done >= p->total)
		return 100;
	return (unsigned)((double)p->done * 100.0 / (double)p->total);
}

static void left(const struct progress *p, int64_t now_ms, char out[24])
{
	uint64_t r = rate(p, now_ms);

	if (r == 0 || p->done > p->total)
		memcpy(out, "?", 2);
	else
		text_human_duration(
			(int64_t)((double)(p->total - p->done) * 1000.0 / (double)r), out);
}

void progress_format(const struct progress *p, int64_t now_ms, struct buf *out)
{
	unsigned pc = percent(p);
	unsigned full = pc * BAR_WIDTH / 100;
	char speed[24], time_left[24];

	text_human_bytes(rate(p, now_ms), speed);
	left(p, now_ms, time_left);
	buf_addf(out, "  [");
	for (unsigned i = 0; i < BAR_WIDTH; i++)
		buf_addf(out, "%c", i < full ? '=' : i == full ? '>' : ' ');
	buf_addf(out, "] %3u%%  %s/s  %s left", pc, speed, time_left);
}

static void write_all(const struct buf *b)
{
	/* A bar that cannot be drawn is no reason to stop. */
	if (write(STDERR_FILENO, b->p, b->len) < 0)
		return;
}

static void draw(struct progress *p, int64_t now_ms)
{
	struct buf b CLEANUP(buf_free) = BUF(256);

	buf_addf(&b, "\r");
	progress_format(p, now_ms, &b);
	buf_addf(&b, "\033[K\r"); /* what somebody logs begins where the bar does */
	write_all(&b);
	p->drawn = true;
}

void progress_add(struct progress *p, uint64_t bytes)
{
	int64_t now;

	if (!p->on)
		return;
	p->done += bytes;
	now = clock_mono_ms();
	if (p->bar) {
		if (now - p->began_ms < QUIET_MS ||
		    (p->drawn && now - p->said_ms < REDRAW_MS))
			return;
		draw(p, now);
	} else {
		char speed[24], time_left[24];

		if (now - p->said_ms < LINE_MS)
			return;
		text_human_bytes(rate(p, now), speed);
		left(p, now, time_left);
		log_info("progress", LOGS("what", p->what), LOGS("db", p->name),
			 LOGU("percent", percent(p)), LOGU("bytes", p->done),
			 LOGU("total_bytes", p->total), LOGS("bytes_per_s", speed),
			 LOGS("left", time_left));
	}
	p->said_ms = now;
}

void progress_end(struct progress *p)
{
	struct buf b CLEANUP(buf_free) = BUF(64);

	if (p->drawn) {
		buf_addf(&b, "\r\033[K");
		write_all(&b);
	}
	p->on = p->drawn = false;
}
