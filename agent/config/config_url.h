/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica's URL taken apart, and the names of S3 hosts.
 *
 *	s3://BUCKET/PATH?endpoint=URL&region=R&force-path-style=true&skip-verify=true
 *	s3://BUCKET.HOST:PORT/PATH	a server at HOST:PORT (http; https for 443 and 8443)
 *	file:///FOLDER
 *
 * The hosts of a few providers carry bucket and region (Litestream's rules):
 * [B.]localhost[:P], [B.]s3.R.backblazeb2.com, [B.]s3.filebase.com,
 * [B.]R.digitaloceanspaces.com, [B.]s3.R.scw.cloud, [B.]R.linodeobjects.com.
 */
#ifndef AGENT_CONFIG_URL_H
#define AGENT_CONFIG_URL_H

#include "agent/config/config.h"
#include "base/err.h"

/* What a URL says; NULL: nothing.  All malloc'd. */
struct replica_url {
	enum replica_type type;
	char *path;
	char *bucket, *region, *endpoint;
	char *path_style, *skip_verify; /* "true", "false" */
};

/* ERR_USAGE; a URL that carries a password is not repeated in the message. */
MUST_CHECK int replica_url_parse(struct replica_url *out, const char *url, struct err *e);
void replica_url_free(struct replica_url *u);

/* The type of that name into *out; for one that is not possible here ERR_USAGE says what is. */
MUST_CHECK int replica_type_parse(const char *word, enum replica_type *out, struct err *e);
const char *replica_type_name(enum replica_type t);

/*
 * Bring an endpoint into the form scheme://host[:port][/path]: https where there is
 * no scheme, no slash at the end, and no "/BUCKET" that was pasted with
 * it (*stripped is set).  Malloc'd.  NULL: ERR_USAGE.
 */
MUST_CHECK char *endpoint_clean(const char *text, const char *bucket, bool *stripped,
				struct err *e);

/* A path without ".", ".." (where it leads below the root), "//" and the slash at the end:
 * "/a//b/../c/" is "/a/c", "" and "." are "".  Malloc'd. */
char *path_clean(const char *path);

#endif
