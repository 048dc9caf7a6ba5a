/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stop token: set once from any thread or a signal handler, seen by every
 * wait.  stop_fd() becomes readable for poll(2).
 */
#ifndef BASE_STOP_H
#define BASE_STOP_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct stop;
struct stop *stop_new(void);
void stop_destroy(struct stop *s);
void stop_set(
	struct stop *s,
	int signal_or_0); /* async-signal-safe; the first one's number is kept; NULL: nothing */
bool stop_is_set(const struct stop *s); /* NULL: false */
int stop_signal(const struct stop *s);	/* 0 if not by a signal */
int stop_fd(const struct stop *s);	/* -1 for NULL */
/* Sleep up to ms; true if stopped meanwhile. NULL: plain sleep. */
bool stop_wait_ms(const struct stop *s, int64_t ms);
/* ERR_CANCELED "interrupted" if set (by a signal: exit 128 + its number); 0 otherwise. */
MUST_CHECK int stop_check(const struct stop *s, struct err *e);

#endif
