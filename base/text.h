/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to value and back.  The parsers are strict: the whole string must be
 * of the form, no blanks, no sign unless said, overflow is refused.  They
 * return 0 or -1 and set nothing on failure; the caller knows the name of
 * what it parses and writes the message.  No locale, no allocation.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

MUST_CHECK int text_u64(const char *s, uint64_t *out); /* decimal */
MUST_CHECK int text_u32(const char *s, uint32_t *out); /* decimal */
MUST_CHECK int text_hex64(
	const char *s, size_t n,
	uint64_t *out); /* exactly the n bytes, 1..16 digits, lower case */
MUST_CHECK int text_hex_any(const char *s, uint64_t *out); /* optional 0x, either case */
MUST_CHECK int text_bool(const char *s,
			 bool *out); /* true/false yes/no on/off 1/0, any case */

/* Go's durations ("300ms", "1m30s", "1.5h", "-1s") and days "7d"; "0" is 0.
 * A bare number other than 0 is refused (Litestream's YAML nanoseconds are the
 * configuration's business).  Milliseconds; finer units round towards zero. */
MUST_CHECK int text_duration_ms(const char *s, int64_t *out_ms);

/* "16MiB", "256MB", "1.5GB", "4096", any case.  KB MB GB TB are powers of 1000; KiB, Ki
 * and the bare letters K M G T are powers of 1024.  Parts of a byte are cut. */
MUST_CHECK int text_size(const char *s, uint64_t *out_bytes);

/* RFC 3339 with fractions and offsets ("2026-11-21T03:02:11.5+01:00"; the
 * separator may be a blank, seconds may be left out, no zone is refused, the
 * fraction may follow a comma as in ISO 8601), "@unix[.fraction]", or relative:
 * "now", "5m ago", "1h30m ago", "2 hours ago", "1 hour 30 minutes ago",
 * "yesterday" (24 hours ago).  now_ms is the caller's clock.
 * Unix time in milliseconds; finer fractions are cut.  Years 0000 to 9999. */
MUST_CHECK int text_time_ms(const char *s, int64_t now_ms, int64_t *out_ms);

/* "2026-11-21T03:02:11.920Z" (always 24 characters + NUL; outside the years 0000 to
 * 9999 the nearest moment inside). */
void text_format_time_ms(int64_t ms, char out[25]);
/* "2026-11-21T03:02:11Z", cut to seconds. */
void text_format_time_s(int64_t ms, char out[21]);
/* For file names and keys: "20261121T030211Z". */
void text_format_time_compact(int64_t ms, char out[17]);

/* For people: "1.2 GB" (decimal); "4.1s" "12m" "3h" "1h48m" "2d4h"; "3m ago" / "in 5s" / "now". */
void text_human_bytes(uint64_t n, char out[24]);
/* "1 object", "2 objects": what is one thing's name, of at most 20 characters. */
void text_human_count(uint64_t n, const char *what, char out[48]);
void text_human_duration(int64_t ms, char out[24]);
void text_human_age(int64_t then_ms, int64_t now_ms, char out[32]);
/* Go's time.Duration.String(), which Litestream's lag column prints: "1h2m3s", "1.5s", "-3ms", "0s". */
void text_go_duration(int64_t ns, char out[40]);

/* C0 or DEL: what may move a cursor. */
bool text_is_control(char c);
bool text_starts(const char *s, const char *prefix);
bool text_ends(const char *s, const char *suffix);

/* Edit distance (a swap of neighbours counts once), for "did you mean"; only the first
 * 32 bytes of each side are looked at. */
unsigned text_distance(const char *a, const char *b);

/* RFC 3986: everything but A-Za-z0-9-._~ becomes %XX; `/` too unless keep_slash. */
void text_uri_encode(struct buf *out, const char *s, size_t n, bool keep_slash);
/* Append s with %XX decoded; -1 on a broken escape or an encoded NUL.  plus_is_space for
 * queries. */
MUST_CHECK int text_uri_decode(struct buf *out, const char *s, size_t n,
			       bool plus_is_space);

/* Length of the UTF-8 character at s (of n bytes), its code point in *cp; 0: not UTF-8 or
 * n is 0.  Overlong forms and surrogates are not UTF-8. */
size_t text_utf8(const char *s, size_t n, uint32_t *cp);

void text_hex(const uint8_t *p, size_t n, char *out /* 2n+1 */);

#endif
