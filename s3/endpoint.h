/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bucket, region and endpoint to the place requests go: scheme, host and
 * the path in front of every key.  Pure.
 *
 * The bucket becomes a part of the host name (virtual-hosted style) where its
 * name allows that; else it is the first part of the path.  Path style is
 * also used for IP addresses, for a single-label host such as "minio" or
 * "localhost", for names with dots over https (a TLS wildcard covers one
 * label), and, unless the setting says otherwise, for every endpoint that is
 * not AWS's own.
 */
#ifndef S3_ENDPOINT_H
#define S3_ENDPOINT_H

#include "base/err.h"

#include <stdbool.h>

struct s3_endpoint_options {
	const char *bucket;
	const char *region;   /* NULL or "": us-east-1 */
	const char *endpoint; /* NULL or "": AWS; a scheme may be missing (https) */
	bool path_style, path_style_set;
	bool dualstack; /* AWS's IPv6 hosts */
	bool global;	/* AWS's old host without a region, for us-east-1 */
};

struct s3_endpoint {
	char *scheme; /* "http" or "https" */
	char *host;   /* as in the Host header: port only where it is not the scheme's */
	char *base;   /* "", "/bucket", "/prefix/bucket": encoded, no slash at the end */
	char *region; /* to sign with */
	bool aws;     /* the endpoint was chosen here */
	bool bucket_in_host;
};

/* ERR_USAGE names what is wrong.  Free with s3_endpoint_free, also after a failure. */
MUST_CHECK int s3_endpoint_resolve(struct s3_endpoint *out,
				   const struct s3_endpoint_options *o, struct err *e);
void s3_endpoint_free(struct s3_endpoint *ep);

#endif
