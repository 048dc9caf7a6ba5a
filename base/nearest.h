/* SPDX-License-Identifier: Apache-2.0 */
/* "did you mean": the nearest of a few words. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

/* The word of the list (n words, NULLs are skipped) nearest to `word`, or NULL when none
 * is near: at most 1 edit for up to 4 characters, 2 for up to 8, else 3. */
const char *nearest_word(const char *word, const char *const *list, size_t n);

#endif
