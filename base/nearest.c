/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"

#include "base/text.h"

#include <string.h>

const char *nearest_word(const char *word, const char *const *list, size_t n)
{
	size_t length = strlen(word);
	unsigned least = length <= 4 ? 2 : length <= 8 ? 3 : 4;
	const char *best = NULL;

	for (size_t i = 0; i < n; i++) {
		unsigned d = list[i] ? text_distance(word, list[i]) : least;

		if (d < least) {
			least = d;
			best = list[i];
		}
	}
	return best;
}
