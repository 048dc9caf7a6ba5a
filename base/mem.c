/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn static void out_of_memory(void)
{
	static const char text[] = "walback: out of memory\n";
	ssize_t n = write(2, text, sizeof(text) - 1);

	(void)n;
	abort();
}

static void *checked(void *p)
{
	if (!p)
		out_of_memory();
	return p;
}

void *mem_alloc(size_t n)
{
	return checked(calloc(1, n ? n : 1));
}

void *mem_array(size_t count, size_t size)
{
	if (!count || !size)
		return mem_alloc(0);
	return checked(calloc(count, size)); /* calloc checks the product */
}

void *mem_grow(void *p, size_t count, size_t size)
{
	size_t n = 0;

	if (__builtin_mul_overflow(count, size, &n))
		out_of_memory();
	return checked(realloc(p, n ? n : 1));
}

void *mem_dup(const void *p, size_t n)
{
	void *copy = checked(malloc(n ? n : 1));

	if (n)
		memcpy(copy, p, n);
	return copy;
}

char *mem_str(const char *s)
{
	return s ? mem_dup(s, strlen(s) + 1) : NULL;
}

char *mem_strn(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = mem_alloc(len + 1);

	memcpy(copy, s, len);
	return copy;
}

char *mem_fmt(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory();
	return s;
}

struct secret secret_from(const char *s)
{
	return (struct secret){ .p = mem_str(s), .n = s ? strlen(s) : 0 };
}

struct secret secret_copy(const struct secret *s)
{
	if (!s->p)
		return (struct secret){ 0 };
	return (struct secret){ .p = mem_dup(s->p, s->n + 1), .n = s->n };
}

void secret_free(struct secret *s)
{
	if (s->p)
		explicit_bzero(s->p, s->n);
	free(s->p);
	*s = (struct secret){ 0 };
}

void mem_trim(void)
{
	malloc_trim(0);
}
