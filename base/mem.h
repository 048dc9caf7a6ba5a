/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation that cannot fail: out of memory aborts (the supervisor restarts
 * the agent).  A size that came from a file or the network must have passed
 * a limit before it gets here.  Free with free().
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t n);			    /* zeroed; n may be 0 */
void *mem_array(size_t count, size_t size);	    /* zeroed; aborts on overflow */
void *mem_grow(void *p, size_t count, size_t size); /* realloc; new part not zeroed */
void *mem_dup(const void *p, size_t n);
char *mem_str(const char *s);		 /* NULL gives NULL */
char *mem_strn(const char *s, size_t n); /* at most n bytes, NUL-terminated */
char *mem_fmt(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Give freed memory back to the system: for a process that goes to rest. */
void mem_trim(void);

/* A key or password: wiped before it is freed; never formatted or logged. */
struct secret {
	char *p; /* NUL-terminated or NULL */
	size_t n;
};
struct secret secret_from(const char *s); /* NULL gives the empty secret */
struct secret secret_copy(const struct secret *s);
void secret_free(struct secret *s); /* explicit_bzero, then free; idempotent */

#endif
