/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/profile.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "s3/ini.h"

#include <string.h>

#define FILE_MAX ((size_t)1 << 20)

struct shared_file {
	char *path, *section; /* path NULL: there is no home */
	bool named;	      /* by the environment */
	struct buf text;
};

static void shared_file_free(struct shared_file *f)
{
	free(f->path);
	free(f->section);
	if (f->text.p)
		explicit_bzero(f->text.p, f->text.cap);
	buf_free(&f->text);
}

/* One that nobody named may be missing, or be closed to us: HOME is often another user's in a container. */
static int shared_file_read(struct shared_file *f, const char *const *env,
			    const char *variable, const char *in_home, struct err *e)
{
	const char *path = s3_creds_env(env, variable), *home = s3_creds_env(env, "HOME");
	struct err le = ERR_INIT;

	f->text = (struct buf)BUF(FILE_MAX);
	f->named = path != NULL;
	f->path = path ? mem_str(path) : home ? mem_fmt("%s/%s", home, in_home) : NULL;
	if (!f->path || file_read(f->path, &f->text, &le) == 0)
		return 0;
	buf_reset(&f->text);
	if (!f->named && (le.code == ERR_NOT_FOUND || le.code == ERR_DENIED))
		return 0;
	*e = le;
	e->code = ERR_DENIED;
	return f->named ? err_wrap(e, "%s", variable) : -1;
}

static bool in_file(const struct shared_file *f)
{
	return ini_has((const char *)f->text.p, f->text.len, f->section);
}

static struct secret value_in(const struct shared_file *f, const char *key)
{
	struct secret s = { NULL, 0 };
	struct ini_value v;

	if (!ini_get((const char *)f->text.p, f->text.len, f->section, key, &v) || !v.n)
		return s;
	s.p = mem_alloc(v.n + 1);
	memcpy(s.p, v.p, v.n);
	s.n = v.n;
	return s;
}

/* 1, 0 or -1 as s3_creds_from_profile. */
static int keys_of(struct s3_creds *out, const struct shared_file *f, struct err *e)
{
	struct secret id = value_in(f, "aws_access_key_id");
	struct secret secret = value_in(f, "aws_secret_access_key");
	struct secret token = value_in(f, "aws_session_token");
	int rc = 0;

	if (id.n || secret.n) {
		rc = s3_creds_set(out, id.p, &secret, &token, e) < 0 ? -1 : 1;
		if (rc < 0)
			err_wrap(e, "%s [%s]", f->path, f->section);
	}
	secret_free(&id);
	secret_free(&secret);
	secret_free(&token);
	return rc;
}

static int nothing(const struct shared_file f[2], const char *profile, struct err *e)
{
	if (!profile)
		return 0;
	bool there = in_file(&f[0]) || in_file(&f[1]);

	err_set(e, ERR_DENIED, "the profile %s %s", profile,
		there ? "has no keys" : "is in neither of AWS's shared files");
	err_hint(e,
		 there ? "aws_access_key_id and aws_secret_access_key of [%s] in %s are "
			 "what is read"
		       : "AWS_PROFILE names it: a section [%s] in %s was looked for",
		 f[0].section, f[0].path ? f[0].path : "~/.aws/credentials (no HOME)");
	return err_slug(e, there ? "profile_without_keys" : "no_profile");
}

int s3_creds_from_profile(struct s3_creds *out, const char *const *env, struct err *e)
{
	const char *profile = s3_creds_env(env, "AWS_PROFILE");
	struct shared_file f[2] = { 0 };
	int rc = 0;

	*out = (struct s3_creds){ 0 };
	if (!profile)
		profile = s3_creds_env(env, "AWS_DEFAULT_PROFILE");
	const char *name = profile ? profile : "default";

	f[0].section = mem_str(name);
	f[1].section =
		strcmp(name, "default") == 0 ? mem_str(name) : mem_fmt("profile %s", name);
	if (shared_file_read(&f[0], env, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials",
			     e) < 0 ||
	    shared_file_read(&f[1], env, "AWS_CONFIG_FILE", ".aws/config", e) < 0)
		rc = -1;
	for (int i = 0; i < 2 && rc == 0; i++)
		rc = keys_of(out, &f[i], e);
	if (rc == 0)
		rc = nothing(f, profile, e);
	shared_file_free(&f[0]);
	shared_file_free(&f[1]);
	return rc;
}
