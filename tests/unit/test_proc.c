/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/text.h"
#include "tests/unit/tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define SH(script) ARGV("/bin/sh", "-c", script)

enum { LONG_MS = 20000 };

static void output_and_status_are_collected(void **state)
{
	static const struct {
		const char *script, *out;
		int status;
	} rows[] = {
		{ "echo hello", "hello\n", 0 },
		{ "printf x; exit 3", "x", 3 },
		{ "kill -9 $$", "", 137 },
		{ "kill -TERM $$", "", 143 },
		{ "cat", "", 0 }, /* stdin is empty */
		{ "echo first; exec >&-; sleep 0.05; exit 7", "first\n", 7 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CLEANUP(buf_free) struct buf out = BUF(1000);
		struct err e = ERR_INIT;
		int status = -1;

		if (proc_run(SH(rows[i].script), LONG_MS, &out, &status, &e))
			fail_msg("%s", e.msg);
		assert_int_equal(status, rows[i].status);
		assert_string_equal(buf_str(&out), rows[i].out);
	}
}

static void output_beyond_the_ceiling_is_dropped_and_flagged(void **state)
{
	CLEANUP(buf_free) struct buf out = BUF(10), exact = BUF(10);
	struct err e = ERR_INIT;
	int status = -1;

	(void)state;
	assert_int_equal(proc_run(SH("i=0; while [ $i -lt 20000 ]; do echo 123456789;"
				     " i=$((i+1)); done; exit 4"),
				  LONG_MS, &out, &status, &e),
			 0);
	assert_int_equal(status, 4);
	assert_false(buf_ok(&out));
	assert_string_equal(buf_str(&out), "123456789\n");
	assert_int_equal(proc_run(SH("echo 123456789"), LONG_MS, &exact, &status, &e), 0);
	assert_true(buf_ok(&exact));
	assert_string_equal(buf_str(&exact), "123456789\n");
}

static void a_child_that_takes_too_long_is_killed_with_its_own(void **state)
{
	CLEANUP(buf_free) struct buf out = BUF(100);
	struct err e = ERR_INIT;
	int status = -1;
	uint64_t pid = 0;
	int64_t start = clock_mono_ms();

	(void)state;
	assert_int_equal(proc_run(SH("sleep 60 & printf $!; wait"), 200, &out, &status, &e),
			 -1);
	assert_in_range(clock_mono_ms() - start, 200, LONG_MS);
	assert_int_equal(e.code, ERR_AGAIN);
	assert_string_equal(e.msg, "run /bin/sh: not done after 200 ms, killed");
	assert_int_equal(status, -1);
	/* The grandchild went with it: gone or a zombie nobody has reaped yet. */
	assert_int_equal(text_u64(buf_str(&out), &pid), 0);
	AUTO_FREE char *path = mem_fmt("/proc/%llu/cmdline", (unsigned long long)pid);
	CLEANUP(buf_free) struct buf line = BUF(100);

	for (int i = 0; i < LONG_MS && !kill((pid_t)pid, 0); i++) {
		buf_reset(&line);
		if (file_read(path, &line, &e) || !line.len)
			break;
		clock_sleep_ms(1);
	}
	assert_int_equal(line.len, 0);
}

static void a_grandchild_that_keeps_the_pipe_does_not_hold_us(void **state)
{
	CLEANUP(buf_free) struct buf out = BUF(100);
	struct err e = ERR_INIT;
	int status = -1;
	uint64_t pid = 0;
	int64_t start = clock_mono_ms();

	(void)state;
	assert_int_equal(proc_run(SH("sleep 60 & printf $!"), 30000, &out, &status, &e), 0);
	assert_int_equal(status, 0);
	assert_in_range(clock_mono_ms() - start, 0, 29000);
	assert_int_equal(text_u64(buf_str(&out), &pid), 0);
	assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
}

static void what_cannot_be_run_has_the_shell_s_status(void **state)
{
	char *dir = tmpdir_new();
	AUTO_FREE char *plain = file_join(dir, "plain"), *script = file_join(dir, "script");
	AUTO_FREE char *none = file_join(dir, "none"), *bad = file_join(dir, "bad");
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(file_write_atomic(plain, "x", 1, 0644, false, &e), 0);
	assert_int_equal(file_write_atomic(script, "#!/no/such\n", 11, 0755, false, &e), 0);
	assert_int_equal(file_write_atomic(bad, "\1\2\3", 3, 0755, false, &e), 0);
	const struct {
		const char *name;
		enum errc code;
		int exit;
		const char *why, *hint;
	} rows[] = {
		{ "no-such-program-anywhere", ERR_NOT_FOUND, 127,
		  "No such file or directory",
		  "it is looked up on PATH; give its full path" },
		{ none, ERR_NOT_FOUND, 127, "No such file or directory",
		  "check the path, and the interpreter a script names in its first line" },
		{ script, ERR_NOT_FOUND, 127, "No such file or directory",
		  "check the path, and the interpreter a script names in its first line" },
		{ plain, ERR_DENIED, 126, "Permission denied",
		  "it must be an executable program or a script with a #! line" },
		{ dir, ERR_DENIED, 126, "Permission denied",
		  "it must be an executable program or a script with a #! line" },
		{ bad, ERR_DENIED, 126, "Exec format error",
		  "it must be an executable program or a script with a #! line" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		AUTO_FREE char *msg = mem_fmt("run %s: %s", rows[i].name, rows[i].why);

		assert_int_equal(proc_spawn(ARGV(rows[i].name), NULL, &e), -1);
		assert_string_equal(e.msg, msg);
		assert_string_equal(e.hint, rows[i].hint);
		assert_int_equal(e.code, rows[i].code);
		assert_int_equal(e.exit, rows[i].exit);
	}
	tmpdir_remove(dir);
}

static void waiting_has_a_deadline(void **state)
{
	struct err e = ERR_INIT;
	int status = -1;
	int64_t start = clock_mono_ms();
	pid_t pid = proc_spawn(ARGV("sleep", "60"), NULL, &e);

	(void)state;
	assert_true(pid > 0);
	assert_int_equal(proc_wait(pid, start + 50, NULL, &status, &e), 0);
	assert_in_range(clock_mono_ms() - start, 50, LONG_MS);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(proc_wait(pid, 0, NULL, &status, &e), 1);
	assert_int_equal(proc_exit_status(status), 137);
	assert_int_equal(proc_wait(pid, 0, NULL, &status, &e), -1);
	assert_int_equal(e.sys, ECHILD);
}

/* No descriptor is left for a pidfd, as on a kernel that has none. */
static void waiting_works_without_a_pidfd(void **state)
{
	struct rlimit before, none;
	struct err e = ERR_INIT;
	int status = -1;
	int64_t start = clock_mono_ms();
	pid_t pid = proc_spawn(SH("sleep 0.05; exit 5"), NULL, &e);

	(void)state;
	assert_true(pid > 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	int next = dup(0);

	close(next);
	none = before;
	none.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int early = proc_wait(pid, start + 5, NULL, &status, &e);
	int late = proc_wait(pid, start + LONG_MS, NULL, &status, &e);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_in_range(early, 0, 1);
	assert_int_equal(late, early ? -1 : 1);
	assert_int_equal(proc_exit_status(status), 5);
}

static void *stop_soon(void *arg)
{
	clock_sleep_ms(30);
	stop_set(arg, SIGTERM);
	return NULL;
}

static void waiting_ends_at_the_stop_token(void **state)
{
	struct stop *stop = stop_new();
	struct err e = ERR_INIT;
	int status = -1;
	pthread_t thread;
	pid_t pid = proc_spawn(ARGV("sleep", "60"), NULL, &e);

	(void)state;
	assert_true(pid > 0);
	assert_int_equal(pthread_create(&thread, NULL, stop_soon, stop), 0);
	assert_int_equal(proc_wait(pid, 0, stop, &status, &e), 0);
	pthread_join(thread, NULL);
	kill(pid, SIGKILL);
	/* A child that is gone is reported even then. */
	while (!proc_wait(pid, 0, stop, &status, &e))
		clock_sleep_ms(1);
	assert_int_equal(proc_exit_status(status), 137);
	stop_destroy(stop);
}

/* Runs a script whose descriptors come from o; its exit status. */
static int run_with(const char *script, const struct proc_options *o)
{
	struct err e = ERR_INIT;
	int status = -1;
	pid_t pid = proc_spawn(SH(script), o, &e);

	if (pid < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(proc_wait(pid, clock_mono_ms() + LONG_MS, NULL, &status, &e), 1);
	return proc_exit_status(status);
}

static void read_pipe(int fd, char *text, size_t size)
{
	ssize_t n = read(fd, text, size - 1);

	assert_true(n >= 0);
	text[n] = 0;
}

static void descriptors_go_where_they_should_in_any_order(void **state)
{
	int a[2], b[2];
	char text[100];

	(void)state;
	assert_int_equal(pipe2(a, O_CLOEXEC), 0);
	assert_int_equal(pipe2(b, O_CLOEXEC), 0);
	/* Out and err to pipes; a third one as 7. */
	struct proc_options o = { .in = -1, .out = a[1], .errfd = b[1] };
	assert_int_equal(run_with("echo out; echo err >&2; cat", &o), 0);
	read_pipe(a[0], text, sizeof(text));
	assert_string_equal(text, "out\n");
	read_pipe(b[0], text, sizeof(text));
	assert_string_equal(text, "err\n");

	/* The same pipe for both, and the descriptor of the parent gets a number. */
	o = (struct proc_options){
		.in = -1, .out = a[1], .errfd = a[1], .pass_fd = b[1], .pass_as = 7
	};
	assert_int_equal(run_with("echo out; echo err >&2; echo seven >&7", &o), 0);
	read_pipe(a[0], text, sizeof(text));
	assert_string_equal(text, "out\nerr\n");
	read_pipe(b[0], text, sizeof(text));
	assert_string_equal(text, "seven\n");

	/* Passed under its own number, which is close-on-exec here. */
	o = (struct proc_options){
		.in = 0, .out = 1, .errfd = 2, .pass_fd = b[1], .pass_as = b[1]
	};
	AUTO_FREE char *script = mem_fmt("echo own >&%d", b[1]);
	assert_int_equal(run_with(script, &o), 0);
	read_pipe(b[0], text, sizeof(text));
	assert_string_equal(text, "own\n");

	/* 1 and 2 swapped: our own 2 is b's end for a moment. */
	int old = dup(2), old1 = dup(1);
	dup2(b[1], 2);
	dup2(a[1], 1);
	o = (struct proc_options){ .in = -1, .out = 2, .errfd = 1 };
	int status = run_with("echo out; echo err >&2", &o);
	dup2(old, 2);
	dup2(old1, 1);
	close(old);
	close(old1);
	assert_int_equal(status, 0);
	read_pipe(b[0], text, sizeof(text));
	assert_string_equal(text, "out\n");
	read_pipe(a[0], text, sizeof(text));
	assert_string_equal(text, "err\n");
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
}

static void a_bad_descriptor_is_an_error_of_ours(void **state)
{
	struct proc_options o = { .in = 0, .out = 99, .errfd = 2 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(proc_spawn(SH("true"), &o, &e), -1);
	assert_string_equal(e.msg, "pass descriptor 99 to a child: Bad file descriptor");
}

static void nothing_else_is_passed_on(void **state)
{
	CLEANUP(buf_free) struct buf out = BUF(1000);
	struct err e = ERR_INIT;
	int status = -1;
	AUTO_CLOSE int ours = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(ours > 2);
	AUTO_FREE char *number = mem_fmt("%d", ours);

	assert_int_equal(proc_run(ARGV("/bin/sh", "-c",
				       "if [ -e /proc/$$/fd/$1 ]; then echo open;"
				       " else echo closed; fi",
				       "sh", number),
				  LONG_MS, &out, &status, &e),
			 0);
	assert_string_equal(buf_str(&out), "closed\n");
}

static void signals_are_as_at_the_start_of_a_program(void **state)
{
	CLEANUP(buf_free) struct buf out = BUF(4000);
	struct err e = ERR_INIT;
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
	sigset_t all, before;
	int status = -1;

	(void)state;
	sigaction(SIGPIPE, &ignore, &old);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = proc_run(ARGV("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"), LONG_MS,
			  &out, &status, &e);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	sigaction(SIGPIPE, &old, NULL);
	assert_int_equal(rc, 0);
	/* The C library leaves its own 32 and 33 ignored. */
	const char *ignored = strstr(buf_str(&out), "SigIgn:\t");
	uint64_t set = 0;

	assert_true(text_starts(buf_str(&out), "SigBlk:\t0000000000000000\n"));
	assert_non_null(ignored);
	assert_int_equal(text_hex64(ignored + 8, 16, &set), 0);
	assert_int_equal(set & ~UINT64_C(0x180000000), 0);
}

static void folder_environment_and_group_are_set(void **state)
{
	char *dir = tmpdir_new();
	AUTO_FREE char *real = realpath(dir, NULL);
	static const char *const env[] = { "ONLY=this", NULL };
	int ends[2];
	char text[200];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	struct proc_options o = { .env = env,
				  .dir = dir,
				  .in = -1,
				  .out = ends[1],
				  .errfd = 2,
				  .own_group = true };
	assert_int_equal(
		run_with("pwd -P; echo $ONLY; echo ${HOME-none}; read -r _ _ _ _ g _ "
			 "</proc/$$/stat; [ $g = $$ ] && echo group",
			 &o),
		0);
	read_pipe(ends[0], text, sizeof(text));
	AUTO_FREE char *want = mem_fmt("%s\nthis\nnone\ngroup\n", real);
	assert_string_equal(text, want);
	close(ends[0]);
	close(ends[1]);
	tmpdir_remove(dir);
}

static void a_missing_folder_is_not_a_missing_program(void **state)
{
	struct proc_options o = PROC_INHERIT;
	struct err e = ERR_INIT;

	(void)state;
	o.dir = "/no/such";
	assert_int_equal(proc_spawn(SH("true"), &o, &e), -1);
	assert_string_equal(e.msg, "change to folder /no/such: No such file or directory");
	assert_int_equal(e.exit, 0);
	o.dir = "/dev/null";
	assert_int_equal(proc_spawn(SH("true"), &o, &e), -1);
	assert_string_equal(e.msg, "change to folder /dev/null: Not a directory");
}

static void no_descriptors_leak(void **state)
{
	CLEANUP(buf_free) struct buf out = BUF(100);
	struct err e = ERR_INIT;
	int status = -1;

	(void)state;
	int before = dup(0);
	close(before);
	assert_int_equal(proc_run(SH("echo x"), LONG_MS, &out, &status, &e), 0);
	assert_int_equal(proc_run(ARGV("/no/such"), LONG_MS, &out, &status, &e), -1);
	assert_int_equal(proc_run(SH("sleep 60"), 20, &out, &status, &e), -1);
	int after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

static void we_find_our_own_program(void **state)
{
	AUTO_FREE char *self = proc_self();
	struct stat a, b;

	(void)state;
	assert_int_equal(stat(self, &a), 0);
	assert_int_equal(stat("/proc/self/exe", &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_non_null(strstr(self, "test_proc"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_and_status_are_collected),
		cmocka_unit_test(output_beyond_the_ceiling_is_dropped_and_flagged),
		cmocka_unit_test(a_child_that_takes_too_long_is_killed_with_its_own),
		cmocka_unit_test(a_grandchild_that_keeps_the_pipe_does_not_hold_us),
		cmocka_unit_test(what_cannot_be_run_has_the_shell_s_status),
		cmocka_unit_test(waiting_has_a_deadline),
		cmocka_unit_test(waiting_works_without_a_pidfd),
		cmocka_unit_test(waiting_ends_at_the_stop_token),
		cmocka_unit_test(descriptors_go_where_they_should_in_any_order),
		cmocka_unit_test(a_bad_descriptor_is_an_error_of_ours),
		cmocka_unit_test(nothing_else_is_passed_on),
		cmocka_unit_test(signals_are_as_at_the_start_of_a_program),
		cmocka_unit_test(folder_environment_and_group_are_set),
		cmocka_unit_test(a_missing_folder_is_not_a_missing_program),
		cmocka_unit_test(no_descriptors_leak),
		cmocka_unit_test(we_find_our_own_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
