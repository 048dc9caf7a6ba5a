/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/xml.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_object(void *arg, const struct s3_xml_object *o)
{
	size_t *seen = arg;

	*seen += strlen(o->key) + strlen(o->etag);
	return 0;
}

/* A page of a listing, as any server might send it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct s3_xml_list page;
	struct err e = ERR_INIT;
	size_t seen = 0;

	if (s3_xml_list(data, size, &page, on_object, &seen, &e) == 0 &&
	    memchr(page.token, 0, sizeof(page.token)) == NULL)
		__builtin_trap();
	return 0;
}
