/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time, durations and sizes as people type them. */
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1795230131920)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char text[256], written[25], shown[40];
	int64_t ms = 0, back = 0;
	uint64_t bytes = 0;

	if (n >= sizeof(text))
		return 0;
	memcpy(text, p, n);
	text[n] = 0;
	if (!text_time_ms(text, NOW, &ms)) {
		text_format_time_ms(ms, written);
		if (text_time_ms(written, NOW, &back) || back != ms)
			abort();
		text_human_age(ms, NOW, shown);
	}
	if (!text_duration_ms(text, &ms)) {
		text_human_duration(ms, shown);
		if (ms > INT64_MIN / 1000000 && ms < INT64_MAX / 1000000) {
			/* Go's form is read back to the same value. */
			text_go_duration(ms * 1000000, shown);
			if (text_duration_ms(shown, &back) || back != ms)
				abort();
		}
	}
	if (!text_size(text, &bytes))
		text_human_bytes(bytes, shown);
	return 0;
}
