/* SPDX-License-Identifier: Apache-2.0 */
/* AWS's shared files: what is found lies in the text, in a section that is there. */
#include "s3/ini.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char *const sections[] = { "default", "profile a b", "" };
	static const char *const keys[] = { "region", "aws_access_key_id", "" };
	const char *text = (const char *)p;

	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < 3; k++) {
			struct ini_value v;

			if (!ini_get(text, n, sections[i], keys[k], &v))
				continue;
			if (!ini_has(text, n, sections[i]) || v.p < text ||
			    v.n > n - (size_t)(v.p - text))
				abort();
		}
	return 0;
}
