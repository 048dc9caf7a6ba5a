/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int text_u64(const char *s, uint64_t *out)
{
	uint64_t v = 0;

	if (!*s)
		return -1;
	for (; *s; s++)
		if (!is_digit(*s) || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -1;
	*out = v;
	return 0;
}

int text_u32(const char *s, uint32_t *out)
{
	uint64_t v = 0;

	if (text_u64(s, &v) || v > UINT32_MAX)
		return -1;
	*out = (uint32_t)v;
	return 0;
}

int text_hex64(const char *s, size_t n, uint64_t *out)
{
	uint64_t v = 0;

	if (n < 1 || n > 16)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int d = hex_digit(s[i]);

		if (d < 0 || (s[i] >= 'A' && s[i] <= 'F'))
			return -1;
		v = v << 4 | (uint64_t)d;
	}
	*out = v;
	return 0;
}

int text_hex_any(const char *s, uint64_t *out)
{
	uint64_t v = 0;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		s += 2;
	if (!*s)
		return -1;
	for (; *s; s++) {
		int d = hex_digit(*s);

		if (d < 0 || v >> 60)
			return -1;
		v = v << 4 | (uint64_t)d;
	}
	*out = v;
	return 0;
}

int text_bool(const char *s, bool *out)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{ "true", true }, { "false", false }, { "yes", true }, { "no", false },
		{ "on", true },	  { "off", false },   { "1", true },   { "0", false },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcasecmp(s, words[i].word)) {
			*out = words[i].value;
			return 0;
		}
	return -1;
}

/* A size is number, then one of: nothing, B, K KB KiB Ki, and so on to T. */
static int size_unit(const char *s, uint64_t *unit)
{
	static const char letters[] = "kmgt";
	uint64_t base = 1024;
	const char *at = NULL;

	*unit = 1;
	if (!*s || !strcasecmp(s, "b"))
		return 0;
	at = strchr(letters, *s | 0x20);
	if (!at || !*at)
		return -1;
	if (!strcasecmp(s + 1, "b"))
		base = 1000;
	else if (s[1] && strcasecmp(s + 1, "i") != 0 && strcasecmp(s + 1, "ib") != 0)
		return -1;
	for (const char *p = letters; p <= at; p++)
		*unit *= base;
	return 0;
}

int text_size(const char *s, uint64_t *out_bytes)
{
	uint64_t whole = 0, fraction = 0, scale = 1, unit = 0;

	if (!is_digit(*s))
		return -1;
	for (; is_digit(*s); s++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*s - '0'), &whole))
			return -1;
	if (*s == '.') {
		if (!is_digit(*++s))
			return -1;
		/* 15 digits are below a byte of a terabyte. */
		for (; is_digit(*s); s++)
			if (scale < 1000000000000000) {
				fraction = fraction * 10 + (uint64_t)(*s - '0');
				scale *= 10;
			}
	}
	if (size_unit(s, &unit))
		return -1;
	unsigned __int128 bytes = (unsigned __int128)whole * unit +
				  (unsigned __int128)fraction * unit / scale;

	if (bytes > UINT64_MAX)
		return -1;
	*out_bytes = (uint64_t)bytes;
	return 0;
}

void text_human_bytes(uint64_t n, char out[24])
{
	static const char *const units[] = { "kB", "MB", "GB", "TB", "PB", "EB" };
	uint64_t unit = 1000;
	size_t i = 0;

	if (n < 1000) {
		snprintf(out, 24, "%u B", (unsigned)n);
		return;
	}
	/* 999.95 and more would print as 1000.0. */
	while (i < 5 && n >= unit * 1000 - unit / 20) {
		unit *= 1000;
		i++;
	}
	uint64_t tenths = n / (unit / 10);

	if (n % (unit / 10) >= unit / 20)
		tenths++;
	snprintf(out, 24, "%u.%u %s", (unsigned)(tenths / 10), (unsigned)(tenths % 10),
		 units[i]);
}

void text_human_count(uint64_t n, const char *what, char out[48])
{
	snprintf(out, 48, "%llu %.20s%s", (unsigned long long)n, what, n == 1 ? "" : "s");
}

bool text_is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

bool text_starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

bool text_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && !memcmp(s + n - m, suffix, m);
}

enum { DISTANCE_MAX = 32 };

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

unsigned text_distance(const char *a, const char *b)
{
	/* Three rows are enough: a swap of neighbours looks two rows back. */
	unsigned rows[3][DISTANCE_MAX + 1];
	size_t n = strnlen(a, DISTANCE_MAX), m = strnlen(b, DISTANCE_MAX);

	for (unsigned j = 0; j <= m; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= n; i++) {
		unsigned *row = rows[i % 3], *up = rows[(i + 2) % 3];
		const unsigned *up2 = rows[(i + 1) % 3];

		row[0] = i;
		for (unsigned j = 1; j <= m; j++) {
			unsigned change = up[j - 1] + (a[i - 1] != b[j - 1]);

			row[j] = min3(change, up[j] + 1, row[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && up2[j - 2] + 1 < row[j])
				row[j] = up2[j - 2] + 1;
		}
	}
	return rows[n % 3][m];
}

static bool is_unreserved(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || is_digit((char)c) ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

void text_uri_encode(struct buf *out, const char *s, size_t n, bool keep_slash)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)s[i];

		if (is_unreserved(c) || (keep_slash && c == '/'))
			buf_addc(out, (char)c);
		else
			buf_addf(out, "%%%02X", c);
	}
}

int text_uri_decode(struct buf *out, const char *s, size_t n, bool plus_is_space)
{
	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (c == '+' && plus_is_space) {
			c = ' ';
		} else if (c == '%') {
			int hi = n - i > 2 ? hex_digit(s[i + 1]) : -1;
			int lo = n - i > 2 ? hex_digit(s[i + 2]) : -1;

			if (hi < 0 || lo < 0 || !(hi | lo))
				return -1;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		buf_addc(out, c);
	}
	return 0;
}

void text_hex(const uint8_t *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = 0;
}

size_t text_utf8(const char *s, size_t n, uint32_t *cp)
{
	const uint8_t *p = (const uint8_t *)s;
	/* The least code point of each length: shorter forms are not UTF-8. */
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = 0;
	uint32_t v = 0;

	if (!n)
		return 0;
	if (p[0] < 0x80) {
		*cp = p[0];
		return 1;
	}
	if (p[0] >= 0xc2 && p[0] <= 0xf4)
		len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (!len || len > n)
		return 0;
	v = p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (p[i] & 0x3f);
	}
	if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	*cp = v;
	return len;
}
