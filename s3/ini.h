/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS's shared files (~/.aws/credentials, ~/.aws/config): sections and "key = value" lines
 * ("Shared config and credentials files", AWS SDKs and Tools Reference Guide).
 *
 * Pure, nothing is copied.  A line that begins with # or ; is a comment, so is what follows white space
 * and # or ; in a value.  Lines that are indented deeper than the keys of their section belong to the value
 * before them and are passed over.  What is no key of a section is passed over too.
 */
#ifndef S3_INI_H
#define S3_INI_H

#include <stdbool.h>
#include <stddef.h>

/* A piece of the text; not NUL-terminated. */
struct ini_value {
	const char *p;
	size_t n;
};

/* Is there a section of that name?  Blanks around it and quotes do not count, runs of blanks are one. */
bool ini_has(const char *text, size_t n, const char *section);
/* Its last value of that key (any case), trimmed, maybe empty; false: none. */
bool ini_get(const char *text, size_t n, const char *section, const char *key,
	     struct ini_value *out);

#endif
