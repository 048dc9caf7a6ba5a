/* SPDX-License-Identifier: Apache-2.0 */
/* A store and a client of the bucket "bkt" on a scripted server's port. */
#ifndef TESTS_UNIT_FAKE_S3_H
#define TESTS_UNIT_FAKE_S3_H

#include "agent/config/config.h"
#include "agent/store/store.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "s3/client.h"
#include "tests/unit/unit.h"

/* With the root "app". */
static inline struct store *fake_store(unsigned port, const struct stop *stop,
				       int64_t timeout_ms)
{
	AUTO_FREE char *url = mem_fmt("http://127.0.0.1:%u", port);
	char bucket[] = "bkt", path[] = "app", id[] = "AKIDEXAMPLE";
	struct replica_config rc = { .type = REPLICA_S3,
				     .bucket = bucket,
				     .path = path,
				     .endpoint = url,
				     .access_key_id = id,
				     .secret_access_key = secret_from("secret") };
	const struct store_options o = { .stop = stop, .timeout_ms = timeout_ms };
	struct err e = ERR_INIT;
	struct store *s = store_open(&rc, &o, &e);

	assert_non_null(s);
	secret_free(&rc.secret_access_key);
	return s;
}

struct fake_client {
	unsigned port;
	struct http *http;
	const struct stop *stop;
	const char *token; /* "": none */
	int64_t timeout_ms, contact_ms;
};

static inline struct s3_client *fake_client(const struct fake_client *f)
{
	AUTO_FREE char *url = mem_fmt("http://127.0.0.1:%u", f->port);
	const struct s3_endpoint_options eo = { .bucket = "bkt", .endpoint = url };
	struct s3_creds creds;
	struct secret secret = secret_from("verysecretkey");
	struct secret token = secret_from(f->token);
	struct err e = ERR_INIT;

	assert_int_equal(s3_creds_set(&creds, "AKIAIOSFODNN7EXAMPLE", &secret, &token, &e),
			 0);
	const struct s3_client_options co = { .http = f->http,
					      .endpoint = &eo,
					      .creds = &creds,
					      .stop = f->stop,
					      .timeout_ms = f->timeout_ms,
					      .contact_ms = f->contact_ms };
	struct s3_client *c = s3_client_new(&co, &e);

	assert_non_null(c);
	s3_creds_free(&creds);
	secret_free(&secret);
	secret_free(&token);
	return c;
}

#endif
