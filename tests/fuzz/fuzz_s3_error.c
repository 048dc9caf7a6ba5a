/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/xml.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_error(void *arg, const struct s3_xml_error *error)
{
	*(size_t *)arg += strlen(error->code);
}

/* All the small answers: the first byte says which. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct s3_xml_error x;
	struct err e = ERR_INIT;
	char etag[S3_ETAG_MAX], id[S3_TOKEN_MAX];
	size_t seen = 0;

	if (size == 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		s3_xml_error(data + 1, size - 1, &x);
		for (const char *p = x.code; *p; p++)
			if (*p < ' ' || *p > '~') /* it goes into messages */
				__builtin_trap();
		break;
	case 1:
		if (s3_xml_etag(data + 1, size - 1, "CopyObjectResult", etag, &x, &e) ==
			    0 &&
		    !etag[0])
			__builtin_trap();
		break;
	case 2:
		if (s3_xml_upload_id(data + 1, size - 1, id, &e) == 0 && !id[0])
			__builtin_trap();
		break;
	default:
		if (s3_xml_delete(data + 1, size - 1, on_error, &seen, &e) < 0 && !e.msg[0])
			__builtin_trap();
		break;
	}
	return 0;
}
