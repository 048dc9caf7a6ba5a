/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <time.h>

static void clocks_agree_in_their_units(void **state)
{
	(void)state;
	int64_t wall = clock_wall_ms(), mono = clock_mono_ms();

	assert_in_range(clock_wall_ns() / 1000000 - wall, 0, 5000);
	assert_in_range(clock_mono_us() / 1000 - mono, 0, 5000);
	assert_in_range(wall / 1000 + 1, time(NULL), time(NULL) + 2);
	assert_true(clock_boot_ms() >= mono);
}

static void sleeping_takes_as_long_as_said(void **state)
{
	(void)state;
	int64_t start = clock_mono_us();

	clock_sleep_ms(20);
	assert_in_range(clock_mono_us() - start, 20000, 5000000);
	start = clock_mono_us();
	clock_sleep_us(1500);
	assert_in_range(clock_mono_us() - start, 1500, 5000000);
	start = clock_mono_us();
	clock_sleep_ms(0);
	clock_sleep_ms(-5000);
	clock_sleep_us(INT64_MIN);
	assert_in_range(clock_mono_us() - start, 0, 1000000);
}

static void random_values_differ(void **state)
{
	static unsigned char big[1000], zero[1000];
	char a[17], b[17];

	(void)state;
	random_bytes(big, sizeof(big));
	assert_memory_not_equal(big, zero, sizeof(big));
	random_bytes(big, 0);
	assert_true(random_u64() != random_u64());
	random_hex16(a);
	random_hex16(b);
	assert_string_not_equal(a, b);
	assert_int_equal(strlen(a), 16);
	assert_int_equal(strspn(a, "0123456789abcdef"), 16);
}

static void pauses_double_up_to_their_ceiling(void **state)
{
	static const int64_t want[] = { 250, 500, 1000, 2000, 3000, 3000 };
	int64_t ms = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		ms = clock_backoff_ms(ms, 250, 3000);
		assert_int_equal(ms, want[i]);
	}
	assert_int_equal(clock_backoff_ms(INT64_MAX, 1, 3000), 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clocks_agree_in_their_units),
		cmocka_unit_test(sleeping_takes_as_long_as_said),
		cmocka_unit_test(random_values_differ),
		cmocka_unit_test(pauses_double_up_to_their_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
