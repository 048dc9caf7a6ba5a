/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void fresh_memory_is_zero_and_never_null(void **state)
{
	(void)state;
	unsigned char *p = mem_alloc(64), *none = mem_alloc(0);
	int *a = mem_array(16, sizeof(int)), *empty = mem_array(0, 8);

	for (int i = 0; i < 64; i++)
		assert_int_equal(p[i], 0);
	for (int i = 0; i < 16; i++)
		assert_int_equal(a[i], 0);
	assert_non_null(none);
	assert_non_null(empty);
	a = mem_grow(a, 32, sizeof(int));
	a[31] = 7;
	assert_int_equal(a[15], 0);
	a = mem_grow(a, 0, sizeof(int));
	assert_non_null(a);
	free(p);
	free(none);
	free(a);
	free(empty);
}

static void copies_are_equal_and_their_own(void **state)
{
	(void)state;
	char text[] = "abc";
	char *s = mem_str(text), *part = mem_strn(text, 2), *whole = mem_strn(text, 9);
	char *f = mem_fmt("%s-%d", text, 5), *d = mem_dup(text, 4), *e = mem_dup(NULL, 0);

	text[0] = 'x';
	assert_string_equal(s, "abc");
	assert_string_equal(part, "ab");
	assert_string_equal(whole, "abc");
	assert_string_equal(f, "abc-5");
	assert_string_equal(d, "abc");
	assert_non_null(e);
	assert_null(mem_str(NULL));
	free(s);
	free(part);
	free(whole);
	free(f);
	free(d);
	free(e);
}

static void an_impossible_size_says_so_and_aborts(void **state)
{
	char text[64] = "";
	int ends[2], status = 0;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(ends[1], 2);
		free(mem_grow(NULL, SIZE_MAX / 2, 4));
		_exit(0);
	}
	close(ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	close(ends[0]);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_string_equal(text, "walback: out of memory\n");
}

static void secrets_are_copied_and_freed_twice_without_harm(void **state)
{
	(void)state;
	struct secret s = secret_from("hunter2"), none = secret_from(NULL);
	struct secret copy = secret_copy(&s), empty = secret_copy(&none);

	assert_int_equal(s.n, 7);
	secret_free(&s);
	assert_null(s.p);
	assert_int_equal(s.n, 0);
	secret_free(&s);
	assert_string_equal(copy.p, "hunter2");
	assert_int_equal(copy.n, 7);
	assert_null(none.p);
	assert_null(empty.p);
	secret_free(&copy);
	secret_free(&none);
	secret_free(&empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fresh_memory_is_zero_and_never_null),
		cmocka_unit_test(copies_are_equal_and_their_own),
		cmocka_unit_test(an_impossible_size_says_so_and_aborts),
		cmocka_unit_test(secrets_are_copied_and_freed_twice_without_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
