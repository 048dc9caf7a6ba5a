/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/retry.h"
#include "tests/unit/unit.h"

static void each_failure_has_its_verdict(void **state)
{
	static const struct {
		enum http_fail fail;
		int status;
		const char *code;
		enum retry_verdict want;
	} cases[] = {
		{ HTTP_RESOLVE, 0, "", RETRY_YES },
		{ HTTP_CONNECT, 0, "", RETRY_YES },
		{ HTTP_TIMEOUT, 0, "", RETRY_YES },
		{ HTTP_BROKEN, 0, "", RETRY_YES },
		{ HTTP_TLS, 0, "", RETRY_NO },
		{ HTTP_TOO_BIG, 0, "", RETRY_NO },
		{ HTTP_CANCELED, 0, "", RETRY_NO },
		{ HTTP_OTHER, 0, "", RETRY_NO },
		{ HTTP_OK, 500, "", RETRY_YES },
		{ HTTP_OK, 500, "InternalError", RETRY_YES },
		{ HTTP_OK, 501, "NotImplemented", RETRY_NO },
		{ HTTP_OK, 502, "", RETRY_YES },
		{ HTTP_OK, 503, "", RETRY_THROTTLED },
		{ HTTP_OK, 503, "SlowDown", RETRY_THROTTLED },
		{ HTTP_OK, 429, "", RETRY_THROTTLED },
		{ HTTP_OK, 408, "", RETRY_YES },
		{ HTTP_OK, 400, "RequestTimeout", RETRY_YES },
		{ HTTP_OK, 400, "BadDigest", RETRY_YES },
		{ HTTP_OK, 400, "IncompleteBody", RETRY_YES },
		{ HTTP_OK, 400, "Throttling", RETRY_THROTTLED },
		{ HTTP_OK, 400, "AuthorizationHeaderMalformed", RETRY_REGION },
		{ HTTP_OK, 400, "InvalidArgument", RETRY_NO },
		{ HTTP_OK, 301, "PermanentRedirect", RETRY_REGION },
		{ HTTP_OK, 307, "", RETRY_REGION },
		{ HTTP_OK, 403, "RequestTimeTooSkewed", RETRY_CLOCK },
		{ HTTP_OK, 403, "AccessDenied", RETRY_NO },
		{ HTTP_OK, 404, "NoSuchBucket", RETRY_NO },
		{ HTTP_OK, 409, "ConditionalRequestConflict", RETRY_YES },
		{ HTTP_OK, 409, "OperationAborted", RETRY_YES },
		{ HTTP_OK, 412, "PreconditionFailed", RETRY_NO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (retry_classify(cases[i].fail, cases[i].status, cases[i].code) !=
		    cases[i].want)
			fail_msg("%d %d %s", cases[i].fail, cases[i].status, cases[i].code);
}

static void the_bound_doubles_up_to_20_seconds(void **state)
{
	(void)state;
	assert_int_equal(retry_bound_ms(1, false), 100);
	assert_int_equal(retry_bound_ms(2, false), 200);
	assert_int_equal(retry_bound_ms(1, true), 1000);
	assert_int_equal(retry_bound_ms(9, false), 20000);
	assert_int_equal(retry_bound_ms(4000000000u, true), 20000);
}

static void a_wait_is_random_below_the_bound_and_above_retry_after(void **state)
{
	(void)state;
	assert_int_equal(retry_delay_ms(1, false, 0, 0), 0);
	assert_int_equal(retry_delay_ms(1, false, 0, 100), 100);
	assert_int_equal(retry_delay_ms(1, false, 0, 101), 0);
	assert_int_equal(retry_delay_ms(3, false, 0, 399), 399);
	assert_int_equal(retry_delay_ms(1, false, 3000, 50), 3000);
	assert_int_equal(retry_delay_ms(1, true, 0, 999), 999);
	assert_int_equal(retry_delay_ms(1, true, 86400000, 0), 60000);
}

static void the_budget_lets_a_burst_through_and_then_paces(void **state)
{
	struct retry_budget b;

	(void)state;
	retry_budget_init(&b, 1000);
	for (int i = 0; i < 100; i++)
		assert_int_equal(retry_budget_take(&b, 1000), 0);
	assert_int_equal(retry_budget_take(&b, 1000), 50);
	assert_int_equal(retry_budget_take(&b, 1000), 100);
	/* Twenty a second come back, ... */
	assert_int_equal(retry_budget_take(&b, 1000 + 150), 0);
	/* ... and one for two successes: a tenth failing is never slowed. */
	for (int i = 0; i < 2; i++)
		retry_budget_success(&b);
	assert_int_equal(retry_budget_take(&b, 1150), 0);
	assert_int_equal(retry_budget_take(&b, 1150), 50);
	/* Never more than the full measure. */
	for (int i = 0; i < 1000; i++)
		retry_budget_success(&b);
	for (int i = 0; i < 100; i++)
		assert_int_equal(retry_budget_take(&b, 1150), 0);
	assert_true(retry_budget_take(&b, 1150) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_failure_has_its_verdict),
		cmocka_unit_test(the_bound_doubles_up_to_20_seconds),
		cmocka_unit_test(a_wait_is_random_below_the_bound_and_above_retry_after),
		cmocka_unit_test(the_budget_lets_a_burst_through_and_then_paces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
