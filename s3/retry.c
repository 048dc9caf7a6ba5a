/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/retry.h"

#include <string.h>

#define BASE_MS 50
#define BASE_THROTTLED_MS 500
#define BOUND_MAX_MS 20000
#define RETRY_AFTER_MAX_MS 60000
#define BUDGET_MAX 100.0
#define BUDGET_PER_SUCCESS 0.5
#define BUDGET_PER_S 20.0

static bool among(const char *code, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(code, *list) == 0)
			return true;
	return false;
}

static enum retry_verdict by_code(const char *code)
{
	static const char *const throttled[] = { "SlowDown",
						 "Throttling",
						 "ThrottlingException",
						 "ThrottledException",
						 "RequestThrottled",
						 "RequestLimitExceeded",
						 "BandwidthLimitExceeded",
						 "TooManyRequests",
						 "TooManyRequestsException",
						 NULL };
	static const char *const again[] = { "RequestTimeout",
					     "RequestTimeoutException",
					     "BadDigest",
					     "IncompleteBody",
					     "ServiceUnavailable",
					     "InternalError",
					     "PriorRequestNotComplete",
					     "OperationAborted",
					     "ConditionalRequestConflict",
					     NULL };

	if (among(code, throttled))
		return RETRY_THROTTLED;
	if (among(code, again))
		return RETRY_YES;
	if (strcmp(code, "RequestTimeTooSkewed") == 0)
		return RETRY_CLOCK;
	if (strcmp(code, "AuthorizationHeaderMalformed") == 0 ||
	    strcmp(code, "PermanentRedirect") == 0 ||
	    strcmp(code, "TemporaryRedirect") == 0 ||
	    strcmp(code, "IllegalLocationConstraintException") == 0)
		return RETRY_REGION;
	return RETRY_NO;
}

static enum retry_verdict by_status(int status)
{
	switch (status) {
	case 429:
	case 503:
		return RETRY_THROTTLED;
	case 408:
		return RETRY_YES;
	case 301:
	case 302:
	case 307:
		return RETRY_REGION;
	default:
		return status >= 500 && status != 501 ? RETRY_YES : RETRY_NO;
	}
}

enum retry_verdict retry_classify(enum http_fail fail, int status, const char *code)
{
	switch (fail) {
	case HTTP_OK:
		break;
	case HTTP_RESOLVE:
	case HTTP_CONNECT:
	case HTTP_TIMEOUT:
	case HTTP_BROKEN:
		return RETRY_YES;
	case HTTP_TLS:
	case HTTP_TOO_BIG:
	case HTTP_CANCELED:
	case HTTP_OTHER:
		return RETRY_NO;
	}
	enum retry_verdict v = by_code(code);

	return v != RETRY_NO ? v : by_status(status);
}

int64_t retry_bound_ms(unsigned tries, bool throttled)
{
	int64_t ms = throttled ? BASE_THROTTLED_MS : BASE_MS;

	for (unsigned i = 0; i < tries && ms < BOUND_MAX_MS; i++)
		ms *= 2;
	return ms < BOUND_MAX_MS ? ms : BOUND_MAX_MS;
}

int64_t retry_delay_ms(unsigned tries, bool throttled, int64_t retry_after_ms,
		       uint64_t random)
{
	uint64_t bound = (uint64_t)retry_bound_ms(tries, throttled);
	int64_t ms = (int64_t)(random % (bound + 1));
	int64_t least =
		retry_after_ms < RETRY_AFTER_MAX_MS ? retry_after_ms : RETRY_AFTER_MAX_MS;

	return ms > least ? ms : least;
}

void retry_budget_init(struct retry_budget *b, int64_t now_ms)
{
	b->tokens = BUDGET_MAX;
	b->at_ms = now_ms;
}

static void fill(struct retry_budget *b, double add)
{
	b->tokens += add;
	if (b->tokens > BUDGET_MAX)
		b->tokens = BUDGET_MAX;
}

void retry_budget_success(struct retry_budget *b)
{
	fill(b, BUDGET_PER_SUCCESS);
}

int64_t retry_budget_take(struct retry_budget *b, int64_t now_ms)
{
	if (now_ms > b->at_ms) {
		fill(b, (double)(now_ms - b->at_ms) / 1000.0 * BUDGET_PER_S);
		b->at_ms = now_ms;
	}
	b->tokens -= 1;
	/* Below zero: the debt says when this one's token will have come in. */
	return b->tokens >= 0 ? 0 : (int64_t)(-b->tokens / BUDGET_PER_S * 1000.0);
}
