/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/creds.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"

#include <ctype.h>
#include <string.h>

#define VALUE_MAX ((size_t)64 << 10)

const char *const s3_creds_names[S3_CREDS_FAMILIES][3] = {
	{ "WALBACK_ACCESS_KEY_ID", "WALBACK_SECRET_ACCESS_KEY", "WALBACK_SESSION_TOKEN" },
	{ "LITESTREAM_ACCESS_KEY_ID", "LITESTREAM_SECRET_ACCESS_KEY",
	  "LITESTREAM_SESSION_TOKEN" },
	{ "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN" },
	{ "AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN" },
};

const char *s3_creds_env(const char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; env && *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return (*env)[n + 1] ? *env + n + 1 : NULL;
	return NULL;
}

/* NAME, or the content of the file that NAME_FILE names.  *out NULL: neither. */
static int value_of(const char *const *env, const char *name, struct secret *out,
		    struct err *e)
{
	const char *direct = s3_creds_env(env, name);
	AUTO_FREE char *file_name = mem_fmt("%s_FILE", name);
	const char *path = s3_creds_env(env, file_name);
	struct buf b = BUF(VALUE_MAX);

	*out = secret_from(direct);
	if (direct || !path)
		return 0;
	if (file_read(path, &b, e) < 0) {
		buf_free(&b);
		e->code = ERR_DENIED;
		return err_wrap(e, "%s", file_name);
	}
	while (b.len && isspace(b.p[b.len - 1]))
		b.p[--b.len] = 0;
	if (b.len)
		*out = secret_from((char *)b.p);
	if (b.p)
		explicit_bzero(b.p, b.cap);
	buf_free(&b);
	return 0;
}

int s3_creds_set(struct s3_creds *out, const char *id, const struct secret *secret,
		 const struct secret *token, struct err *e)
{
	bool has_id = id && *id, has_secret = secret && secret->n;

	*out = (struct s3_creds){ 0 };
	if (has_id != has_secret) {
		err_set(e, ERR_DENIED, "half of the credentials is missing: %s",
			has_id ? "an access key id without a secret access key"
			       : "a secret access key without an access key id");
		return err_slug(e, "half_credentials");
	}
	if (!has_id) {
		err_set(e, ERR_DENIED, "no credentials for S3");
		err_hint(
			e,
			"set LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY, or "
			"access-key-id and secret-access-key in the configuration, or a "
			"profile in ~/.aws/credentials");
		return err_slug(e, "no_credentials");
	}
	for (const char *p = id; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 127) {
			err_set(e, ERR_DENIED,
				"the access key id holds a blank or a control "
				"character");
			return err_slug(e, "bad_key_id");
		}
	out->id = mem_str(id);
	out->secret = secret_copy(secret);
	if (token && token->n)
		out->token = secret_copy(token);
	return 0;
}

/* One family of names: 1 found, 0 neither part is there, -1. */
static int family(struct s3_creds *out, const char *const *env, const char *const names[3],
		  struct err *e)
{
	struct secret id = { 0 }, secret = { 0 }, token = { 0 };
	int rc = -1;

	if (value_of(env, names[0], &id, e) < 0 ||
	    value_of(env, names[1], &secret, e) < 0 ||
	    value_of(env, names[2], &token, e) < 0)
		goto out;
	rc = 0;
	if (!id.n && !secret.n)
		goto out;
	rc = s3_creds_set(out, id.p, &secret, &token, e) < 0 ? -1 : 1;
	if (rc < 0 && (!id.n || !secret.n))
		err_hint(e, "set both %s and %s", names[0], names[1]);
out:
	secret_free(&id);
	secret_free(&secret);
	secret_free(&token);
	return rc;
}

int s3_creds_from_env(struct s3_creds *out, const char *const *env, struct err *e)
{
	*out = (struct s3_creds){ 0 };
	for (size_t i = 0; i < S3_CREDS_FAMILIES; i++) {
		int rc = family(out, env, s3_creds_names[i], e);

		if (rc != 0)
			return rc;
	}
	return 0;
}

void s3_creds_free(struct s3_creds *c)
{
	free(c->id);
	secret_free(&c->secret);
	secret_free(&c->token);
	c->id = NULL;
}

void s3_creds_hint(const char *id, char out[8])
{
	size_t n = strlen(id);

	out[0] = 0;
	if (n >= 8)
		snprintf(out, 8, "..%s", id + n - 4);
}
