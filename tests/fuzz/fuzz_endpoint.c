/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "s3/endpoint.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Three lines: endpoint, bucket, region; the first byte holds the flags. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct s3_endpoint ep;
	struct err e = ERR_INIT;

	if (size == 0)
		return 0;
	char *text = mem_strn((const char *)data + 1, size - 1);
	char *bucket = strchr(text, '\n'),
	     *region = bucket ? strchr(bucket + 1, '\n') : NULL;

	if (bucket)
		*bucket++ = 0;
	if (region)
		*region++ = 0;
	const struct s3_endpoint_options o = { .endpoint = text,
					       .bucket = bucket,
					       .region = region,
					       .path_style = data[0] & 1,
					       .path_style_set = data[0] & 2,
					       .dualstack = data[0] & 4,
					       .global = data[0] & 8 };

	/* What comes out is spliced into a URL and a header: nothing may break out of them. */
	if (s3_endpoint_resolve(&ep, &o, &e) == 0 &&
	    (strpbrk(ep.host, "/?#@ \r\n") || strpbrk(ep.base, "?# \r\n") ||
	     strpbrk(ep.region, "/\r\n ,")))
		__builtin_trap();
	s3_endpoint_free(&ep);
	free(text);
	return 0;
}
