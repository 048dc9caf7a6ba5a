/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do with a failed request, and when: pure policy.
 *
 * Repeated: connection trouble, time-outs, 408, 429, 5xx but 501, and the codes
 * by which stores ask for it.  The wait is random between nothing and a bound
 * that doubles with each try ("full jitter"), at least what Retry-After says.
 * A budget shared by all requests to one store bounds the repeats of an outage:
 * successes and time fill it, each repeat takes from it, and a repeat that finds
 * it empty waits longer instead of failing.
 */
#ifndef S3_RETRY_H
#define S3_RETRY_H

#include "s3/http.h"

#include <stdbool.h>
#include <stdint.h>

enum retry_verdict {
	RETRY_NO,
	RETRY_YES,
	RETRY_THROTTLED, /* yes, and slower */
	RETRY_CLOCK,	 /* once, after taking the server's time */
	RETRY_REGION,	 /* once, after taking the server's region */
};

/* status 0 when there was no answer; code is the <Code> of the body or "". */
enum retry_verdict retry_classify(enum http_fail fail, int status, const char *code);

/* Bound of the wait before try number `tries` + 1 (tries >= 1), in ms. */
int64_t retry_bound_ms(unsigned tries, bool throttled);
/* A random wait up to the bound, at least retry_after_ms (0: none; capped at 60 s). */
int64_t retry_delay_ms(unsigned tries, bool throttled, int64_t retry_after_ms,
		       uint64_t random);

/* The budget; the caller locks.  Start with retry_budget_init. */
struct retry_budget {
	double tokens;
	int64_t at_ms;
};
void retry_budget_init(struct retry_budget *b, int64_t now_ms);
void retry_budget_success(struct retry_budget *b);
/* Take one repeat: how many ms later than asked it should go out (0 mostly). */
int64_t retry_budget_take(struct retry_budget *b, int64_t now_ms);

#endif
