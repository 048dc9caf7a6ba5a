/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/store/layout.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define GENERATION_LEN 16
#define INDEX_LEN 8
#define OFFSET_MIN 8
#define OFFSET_MAX 16

/* Length of the run of lower-case hex digits at s. */
static size_t hex_run(const char *s)
{
	return strspn(s, "0123456789abcdef");
}

bool layout_generation_ok(const char *s)
{
	return hex_run(s) == GENERATION_LEN && s[GENERATION_LEN] == '\0';
}

static bool name_ok(const char *s, size_t n)
{
	return n > 0 && n <= LAYOUT_NAME_MAX && s[0] != '.' &&
	       strspn(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._"
			 "-") >= n;
}

bool layout_name_ok(const char *s)
{
	return name_ok(s, strlen(s));
}

static uint8_t offset_digits(uint64_t offset)
{
	uint8_t n = OFFSET_MIN;

	for (uint64_t v = offset >> 32; v != 0; v >>= 4)
		n++;
	return n;
}

bool layout_canonical(const struct fact *f)
{
	return f->kind != LAYOUT_SEGMENT ||
	       f->offset_digits == offset_digits(f->pos.offset);
}

static int parse_index(const char *s, uint32_t *out)
{
	uint64_t v = 0;

	if (text_hex64(s, INDEX_LEN, &v) < 0 || v > LAYOUT_INDEX_MAX)
		return -1;
	*out = (uint32_t)v;
	return 0;
}

static int parse_suffix(const char *s, const char *kind, enum codec *out)
{
	size_t n = strlen(kind);

	if (strncmp(s, kind, n) != 0)
		return -1;
	if (strcmp(s + n, codec_suffix(CODEC_ZST)) == 0)
		*out = CODEC_ZST;
	else if (strcmp(s + n, codec_suffix(CODEC_LZ4)) == 0)
		*out = CODEC_LZ4;
	else
		return -1;
	return 0;
}

/* <index>.snapshot.<codec> */
static int parse_snapshot(const char *s, struct fact *f)
{
	if (hex_run(s) != INDEX_LEN || parse_index(s, &f->pos.index) < 0 ||
	    parse_suffix(s + INDEX_LEN, ".snapshot.", &f->codec) < 0)
		return -1;
	f->kind = LAYOUT_SNAPSHOT;
	return 0;
}

/* <index>_<offset>[-<session>].wal.<codec> */
static int parse_segment(const char *s, struct fact *f)
{
	size_t n;

	if (hex_run(s) != INDEX_LEN || s[INDEX_LEN] != '_' ||
	    parse_index(s, &f->pos.index) < 0)
		return -1;
	s += INDEX_LEN + 1;
	n = hex_run(s);
	if (n < OFFSET_MIN || n > OFFSET_MAX || text_hex64(s, n, &f->pos.offset) < 0)
		return -1;
	f->offset_digits = (uint8_t)n;
	s += n;
	if (*s == '-') {
		s++;
		if (hex_run(s) != GENERATION_LEN ||
		    text_hex64(s, GENERATION_LEN, &f->session) < 0)
			return -1;
		f->has_session = true;
		s += GENERATION_LEN;
	}
	if (parse_suffix(s, ".wal.", &f->codec) < 0)
		return -1;
	f->kind = LAYOUT_SEGMENT;
	return 0;
}

static int parse_generation(const char *s, struct fact *f)
{
	if (hex_run(s) != GENERATION_LEN || s[GENERATION_LEN] != '/')
		return -1;
	memcpy(f->generation, s, GENERATION_LEN);
	s += GENERATION_LEN + 1;
	if (text_starts(s, "snapshots/"))
		return parse_snapshot(s + strlen("snapshots/"), f);
	if (text_starts(s, "wal/"))
		return parse_segment(s + strlen("wal/"), f);
	if (strcmp(s, "generation.json") != 0)
		return -1;
	f->kind = LAYOUT_LINEAGE;
	return 0;
}

/* <name>.json in a folder */
static int parse_named(const char *s, enum layout_kind kind, struct fact *f)
{
	size_t n = strlen(s);

	if (!text_ends(s, ".json"))
		return -1;
	n -= strlen(".json");
	if (!name_ok(s, n))
		return -1;
	memcpy(f->name, s, n);
	f->kind = kind;
	return 0;
}

static int parse_own(const char *s, struct fact *f)
{
	if (text_starts(s, "tags/"))
		return parse_named(s + strlen("tags/"), LAYOUT_TAG, f);
	if (text_starts(s, "audit/"))
		return parse_named(s + strlen("audit/"), LAYOUT_AUDIT, f);
	if (strcmp(s, "head.json") == 0)
		f->kind = LAYOUT_HEAD;
	else if (strcmp(s, "verified.json") == 0)
		f->kind = LAYOUT_VERIFIED;
	else
		return -1;
	return 0;
}

/* Litestream 0.5: in folders ltx/<level, decimal>/, in S3 <level, 4 hex digits>/; levels 0 to 9. */
static int parse_ltx(const char *s, struct fact *f)
{
	bool folder = text_starts(s, "ltx/");

	if (folder)
		s += strlen("ltx/");
	else if (!text_starts(s, "000"))
		return -1;
	else
		s += 3;
	if (s[0] < '0' || s[0] > '9' || s[1] != '/')
		return -1;
	f->level = (uint8_t)(s[0] - '0');
	s += 2;
	if (hex_run(s) != 16 || s[16] != '-' || hex_run(s + 17) != 16 ||
	    strcmp(s + 33, ".ltx") != 0 || text_hex64(s, 16, &f->min_txid) < 0 ||
	    text_hex64(s + 17, 16, &f->max_txid) < 0)
		return -1;
	f->kind = LAYOUT_LTX;
	return 0;
}

struct fact layout_parse(const char *key)
{
	struct fact f = { .kind = LAYOUT_OTHER };
	int r;

	if (text_starts(key, LAYOUT_GENERATIONS))
		r = parse_generation(key + strlen(LAYOUT_GENERATIONS), &f);
	else if (text_starts(key, "walback/"))
		r = parse_own(key + strlen("walback/"), &f);
	else
		r = parse_ltx(key, &f);
	return r == 0 ? f : (struct fact){ .kind = LAYOUT_OTHER };
}

static void format_segment(const struct fact *f, char out[LAYOUT_KEY_MAX])
{
	char session[18] = "";
	int digits = f->offset_digits ? f->offset_digits : offset_digits(f->pos.offset);

	if (f->has_session)
		snprintf(session, sizeof(session), "-%016llx",
			 (unsigned long long)f->session);
	snprintf(out, LAYOUT_KEY_MAX, LAYOUT_GENERATIONS "%s/wal/%08x_%0*llx%s.wal.%s",
		 f->generation, f->pos.index, digits, (unsigned long long)f->pos.offset,
		 session, codec_suffix(f->codec));
}

void layout_format(const struct fact *f, char out[LAYOUT_KEY_MAX])
{
	out[0] = '\0';
	switch (f->kind) {
	case LAYOUT_SNAPSHOT:
		snprintf(out, LAYOUT_KEY_MAX,
			 LAYOUT_GENERATIONS "%s/snapshots/%08x.snapshot.%s", f->generation,
			 f->pos.index, codec_suffix(f->codec));
		break;
	case LAYOUT_SEGMENT:
		format_segment(f, out);
		break;
	case LAYOUT_LINEAGE:
		snprintf(out, LAYOUT_KEY_MAX, LAYOUT_GENERATIONS "%s/generation.json",
			 f->generation);
		break;
	case LAYOUT_HEAD:
		snprintf(out, LAYOUT_KEY_MAX, "%s", LAYOUT_HEAD_KEY);
		break;
	case LAYOUT_TAG:
		snprintf(out, LAYOUT_KEY_MAX, LAYOUT_TAGS "%s.json", f->name);
		break;
	case LAYOUT_AUDIT:
		snprintf(out, LAYOUT_KEY_MAX, "walback/audit/%s.json", f->name);
		break;
	case LAYOUT_VERIFIED:
		snprintf(out, LAYOUT_KEY_MAX, "walback/verified.json");
		break;
	case LAYOUT_LTX:
	case LAYOUT_OTHER:
		break;
	}
}

void layout_snapshot_key(const char *generation, uint32_t index, enum codec c,
			 char out[LAYOUT_KEY_MAX])
{
	struct fact f = { .kind = LAYOUT_SNAPSHOT, .pos.index = index, .codec = c };

	memcpy(f.generation, generation, GENERATION_LEN);
	layout_format(&f, out);
}

void layout_segment_key(const char *generation, struct wal_pos pos, enum codec c,
			char out[LAYOUT_KEY_MAX])
{
	struct fact f = { .kind = LAYOUT_SEGMENT, .pos = pos, .codec = c };

	memcpy(f.generation, generation, GENERATION_LEN);
	layout_format(&f, out);
}
