/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/file.h"
#include "s3/chain.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <unistd.h>

static char *dir;

static int make_files(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	dir = tmpdir_new();
	if (chdir(dir) < 0)
		return -1;
	return file_write_atomic("id", "AKIDFROMFILE\n", 13, 0600, false, &e) ||
	       file_write_atomic("secret", "from file \r\n", 12, 0600, false, &e) ||
	       file_write_atomic("token", "token from file\n", 16, 0600, false, &e) ||
	       file_write_atomic("empty", "\n", 1, 0600, false, &e);
}

static int remove_files(void **state)
{
	(void)state;
	if (chdir("/") < 0)
		return -1;
	tmpdir_remove(dir);
	return 0;
}

static void found_in_the_environment(void **state)
{
	static const struct {
		const char *env[6];
		const char *id, *secret, *token;
	} cases[] = {
		{ { "AWS_ACCESS_KEY_ID=A", "AWS_SECRET_ACCESS_KEY=S", NULL },
		  "A",
		  "S",
		  NULL },
		{ { "AWS_ACCESS_KEY_ID=A", "AWS_SECRET_ACCESS_KEY=S", "AWS_SESSION_TOKEN=T",
		    NULL },
		  "A",
		  "S",
		  "T" },
		{ { "AWS_ACCESS_KEY_ID=A", "AWS_SECRET_ACCESS_KEY=S",
		    "LITESTREAM_ACCESS_KEY_ID=L", "LITESTREAM_SECRET_ACCESS_KEY=M",
		    "AWS_SESSION_TOKEN=T", NULL },
		  "L",
		  "M",
		  NULL },
		{ { "LITESTREAM_ACCESS_KEY_ID_FILE=id",
		    "LITESTREAM_SECRET_ACCESS_KEY_FILE=secret", NULL },
		  "AKIDFROMFILE",
		  "from file",
		  NULL },
		{ { "AWS_ACCESS_KEY_ID=A", "AWS_SECRET_ACCESS_KEY_FILE=secret", NULL },
		  "A",
		  "from file",
		  NULL },
		{ { "AWS_ACCESS_KEY_ID=A", "AWS_SECRET_ACCESS_KEY=direct",
		    "AWS_SECRET_ACCESS_KEY_FILE=/nowhere", NULL },
		  "A",
		  "direct",
		  NULL },
		{ { "LITESTREAM_ACCESS_KEY_ID=L", "LITESTREAM_SECRET_ACCESS_KEY=M",
		    "LITESTREAM_SESSION_TOKEN=N", "AWS_SESSION_TOKEN=T", NULL },
		  "L",
		  "M",
		  "N" },
		{ { "WALBACK_ACCESS_KEY_ID=W", "WALBACK_SECRET_ACCESS_KEY=X",
		    "LITESTREAM_ACCESS_KEY_ID=L", "LITESTREAM_SECRET_ACCESS_KEY=M", NULL },
		  "W",
		  "X",
		  NULL },
		{ { "AWS_ACCESS_KEY=A", "AWS_SECRET_KEY=S", "AWS_SESSION_TOKEN_FILE=token",
		    NULL },
		  "A",
		  "S",
		  "token from file" },
		{ { "LITESTREAM_ACCESS_KEY_ID=", "AWS_ACCESS_KEY_ID=A",
		    "AWS_SECRET_ACCESS_KEY=S", NULL },
		  "A",
		  "S",
		  NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CLEANUP(s3_creds_free) struct s3_creds c;
		struct err e = ERR_INIT;

		if (s3_creds_find(&c, cases[i].env, &e) < 0)
			fail_msg("%zu: %s", i, e.msg);
		assert_string_equal(c.id, cases[i].id);
		assert_string_equal(c.secret.p, cases[i].secret);
		if (cases[i].token)
			assert_string_equal(c.token.p, cases[i].token);
		else
			assert_null(c.token.p);
	}
}

/* hint, slug: NULL: whatever they are. */
static void refused(const char *const *env, const char *slug, const char *message,
		    const char *hint)
{
	struct s3_creds c;
	struct err e = ERR_INIT;

	assert_int_equal(s3_creds_find(&c, env, &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_string_equal(e.msg, message);
	if (hint)
		assert_string_equal(e.hint, hint);
	if (slug)
		assert_string_equal(e.slug, slug);
	s3_creds_free(&c);
}

static void not_found_or_not_whole(void **state)
{
	static const struct {
		const char *env[4];
		const char *slug, *message, *hint;
	} cases[] = {
		{ { NULL },
		  "no_credentials",
		  "no credentials for S3",
		  "set LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY, or "
		  "access-key-id "
		  "and secret-access-key in the configuration, or a profile in "
		  "~/.aws/credentials" },
		{ { "AWS_ACCESS_KEY_ID=A", NULL },
		  "half_credentials",
		  "half of the credentials is missing: an access key id without a secret "
		  "access key",
		  "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" },
		{ { "WALBACK_ACCESS_KEY_ID=A", NULL },
		  "half_credentials",
		  "half of the credentials is missing: an access key id without a secret "
		  "access key",
		  "set both WALBACK_ACCESS_KEY_ID and WALBACK_SECRET_ACCESS_KEY" },
		{ { "LITESTREAM_SECRET_ACCESS_KEY=S", "AWS_ACCESS_KEY_ID=A", NULL },
		  "half_credentials",
		  "half of the credentials is missing: a secret access key without an "
		  "access key id",
		  "set both LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY" },
		{ { "AWS_ACCESS_KEY_ID=A", "AWS_SECRET_ACCESS_KEY_FILE=empty", NULL },
		  "half_credentials",
		  "half of the credentials is missing: an access key id without a secret "
		  "access key",
		  "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" },
		{ { "AWS_ACCESS_KEY_ID=A B", "AWS_SECRET_ACCESS_KEY=S", NULL },
		  "bad_key_id",
		  "the access key id holds a blank or a control character",
		  "" },
		{ { "AWS_ACCESS_KEY_ID_FILE=nothing/here", NULL },
		  NULL,
		  "AWS_ACCESS_KEY_ID_FILE: open nothing/here: No such file or directory",
		  "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused(cases[i].env, cases[i].slug, cases[i].message, cases[i].hint);
}

#define CREDENTIALS                                                          \
	"[default]\naws_access_key_id=AKDEFAULT\naws_secret_access_key=s0\n" \
	"[ci]\naws_access_key_id = AKCI\naws_secret_access_key = s1\n"       \
	"aws_session_token = t1\n[half]\naws_access_key_id=AKHALF\n"
#define CONFIG                                                                      \
	"[default]\nregion=x\n[profile prod]\naws_access_key_id=AKPROD\n"           \
	"aws_secret_access_key=s2\n[profile ci]\naws_access_key_id=never\n[bare]\n" \
	"[profile bare]\nregion=y\n"
#define AT_HOME "HOME=home"

static void found_in_the_shared_files(void **state)
{
	static const struct {
		const char *env[5];
		const char *id, *secret, *token;
	} cases[] = {
		{ { AT_HOME }, "AKDEFAULT", "s0", NULL },
		{ { AT_HOME, "AWS_PROFILE=ci" }, "AKCI", "s1", "t1" },
		{ { AT_HOME, "AWS_DEFAULT_PROFILE=ci" }, "AKCI", "s1", "t1" },
		{ { AT_HOME, "AWS_PROFILE=prod", "AWS_DEFAULT_PROFILE=ci" },
		  "AKPROD",
		  "s2",
		  NULL },
		{ { AT_HOME, "AWS_PROFILE=ci", "AWS_ACCESS_KEY_ID=A",
		    "AWS_SECRET_ACCESS_KEY=S" },
		  "A",
		  "S",
		  NULL },
		{ { "AWS_SHARED_CREDENTIALS_FILE=home/.aws/credentials" },
		  "AKDEFAULT",
		  "s0",
		  NULL },
		{ { "AWS_CONFIG_FILE=home/.aws/config", "AWS_PROFILE=prod" },
		  "AKPROD",
		  "s2",
		  NULL },
	};
	struct err we = ERR_INIT;

	(void)state;
	if (file_mkdirs("home/.aws", 0700, &we) ||
	    file_write_atomic("home/.aws/credentials", CREDENTIALS, strlen(CREDENTIALS),
			      0600, false, &we) ||
	    file_write_atomic("home/.aws/config", CONFIG, strlen(CONFIG), 0600, false, &we))
		fail_msg("%s", we.msg);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CLEANUP(s3_creds_free) struct s3_creds c;
		struct err e = ERR_INIT;

		if (s3_creds_find(&c, cases[i].env, &e) < 0)
			fail_msg("%zu: %s", i, e.msg);
		assert_string_equal(c.id, cases[i].id);
		assert_string_equal(c.secret.p, cases[i].secret);
		assert_string_equal(c.token.p ? c.token.p : "",
				    cases[i].token ? cases[i].token : "");
	}
}

static void profiles_that_give_nothing(void **state)
{
	static const struct {
		const char *env[4];
		const char *slug, *message;
	} cases[] = {
		{ { AT_HOME, "AWS_PROFILE=nope" },
		  "no_profile",
		  "the profile nope is in neither of AWS's shared files" },
		{ { AT_HOME, "AWS_PROFILE=bare" },
		  "profile_without_keys",
		  "the profile bare has no keys" },
		{ { AT_HOME, "AWS_PROFILE=half" },
		  "half_credentials",
		  "home/.aws/credentials [half]: half of the credentials is missing: an "
		  "access key id without a secret access key" },
		{ { "HOME=nowhere" }, "no_credentials", "no credentials for S3" },
		{ { "AWS_CONFIG_FILE=home/.aws/config" },
		  "no_credentials",
		  "no credentials for S3" },
		{ { AT_HOME, "AWS_SHARED_CREDENTIALS_FILE=nowhere/c" },
		  NULL,
		  "AWS_SHARED_CREDENTIALS_FILE: open nowhere/c: No such file or "
		  "directory" },
		{ { AT_HOME, "AWS_CONFIG_FILE=nowhere/c" },
		  NULL,
		  "AWS_CONFIG_FILE: open nowhere/c: No such file or directory" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused(cases[i].env, cases[i].slug, cases[i].message, NULL);
}

static void a_hint_shows_four_characters(void **state)
{
	char out[8];

	(void)state;
	s3_creds_hint("AKIAIOSFODNN7EXAMPLE", out);
	assert_string_equal(out, "..MPLE");
	s3_creds_hint("short", out);
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_in_the_environment),
		cmocka_unit_test(not_found_or_not_whole),
		cmocka_unit_test(found_in_the_shared_files),
		cmocka_unit_test(profiles_that_give_nothing),
		cmocka_unit_test(a_hint_shows_four_characters),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
