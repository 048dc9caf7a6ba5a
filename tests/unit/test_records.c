/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/store/records.h"
#include "base/cleanup.h"
#include "tests/unit/unit.h"

#include <string.h>

static const char lineage_text[] =
	"{\"format\":1,\"generation\":\"6bcb2bd4a3552e4e\",\"created_at\":\"2024-01-02T03:"
	"08:"
	"31.555Z\",\"reason\":\"rollback\",\"parent\":{\"generation\":\"59b54de49c0d7aa9\","
	"\"index\":2,\"offset\":20632,\"time\":\"2024-01-02T03:06:45.395Z\"},\"writer\":{"
	"\"session\":\"29ec016a1ec6b229\",\"host\":\"host1\",\"version\":\"0.0.0\"},"
	"\"compression\":\"zst\",\"page_size\":4096,\"db\":\"app.db\"}\n";

static const char head_text[] =
	"{\"format\":1,\"generation\":\"6bcb2bd4a3552e4e\",\"epoch\":3,\"reason\":"
	"\"rollback\",\"updated_at\":\"2024-01-02T03:09:05.845Z\",\"writer\":{\"session\":"
	"\"04d1d9449fd3b14c\",\"host\":\"host1\",\"since\":\"2024-01-02T03:04:05.123Z\","
	"\"released_at\":\"2024-01-02T03:09:05.845Z\"},\"intent\":null}\n";

static void a_lineage_record_is_read_and_written_alike(void **state)
{
	struct buf b CLEANUP(buf_free) = BUF(4096);
	struct lineage l;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
		records_lineage_parse(&l, lineage_text, strlen(lineage_text), "x", &e), 0);
	assert_string_equal(l.generation, "6bcb2bd4a3552e4e");
	assert_true(l.created_at_ms == 1704164911555);
	assert_int_equal(l.reason, REASON_ROLLBACK);
	assert_true(l.has_parent);
	assert_string_equal(l.parent.generation, "59b54de49c0d7aa9");
	assert_int_equal(l.parent.pos.index, 2);
	assert_int_equal(l.parent.pos.offset, 20632);
	assert_true(l.parent.time_ms == 1704164805395);
	assert_true(l.session == 0x29ec016a1ec6b229);
	assert_int_equal(l.compression, CODEC_ZST);
	assert_int_equal(l.page_size, 4096);
	records_lineage_format(&l, &b);
	assert_string_equal((char *)b.p, lineage_text);
}

static void a_head_is_read_and_written_alike(void **state)
{
	struct buf b CLEANUP(buf_free) = BUF(4096);
	struct head h, again;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(records_head_parse(&h, head_text, strlen(head_text), "x", &e), 0);
	assert_true(h.epoch == 3 && h.released && !h.has_intent);
	assert_true(h.released_at_ms == 1704164945845);
	records_head_format(&h, &b);
	assert_string_equal((char *)b.p, head_text);

	h.released = false;
	h.has_intent = true;
	strcpy(h.intent_action, "rollback");
	strcpy(h.intent_by, "0011223344556677");
	h.intent_at_ms = 1704164945000;
	buf_reset(&b);
	records_head_format(&h, &b);
	assert_int_equal(records_head_parse(&again, b.p, b.len, "x", &e), 0);
	assert_false(again.released);
	assert_true(again.has_intent);
	assert_string_equal(again.intent_by, "0011223344556677");
	assert_true(again.intent_at_ms == h.intent_at_ms);
}

/* Replace the first `from` by `to` in text. */
static size_t edited(char *out, size_t size, const char *text, const char *from,
		     const char *to)
{
	const char *at = strstr(text, from);

	assert_non_null(at);
	return (size_t)snprintf(out, size, "%.*s%s%s", (int)(at - text), text, to,
				at + strlen(from));
}

struct edit {
	const char *from, *to, *message;
};

static const struct edit bad_lineages[] = {
	{ "{\"format\":1", "{\"format\":2", "x has format 2; this version reads format 1" },
	{ "\"format\":1,", "", "x: `format` is missing or not of the format" },
	{ "6bcb2bd4a3552e4e", "6BCB2BD4A3552E4E",
	  "x: `generation` is missing or not of the format" },
	{ "2024-01-02T03:08:31.555Z", "now",
	  "x: `created_at` is missing or not of the format" },
	{ "rollback", "whim", "x: `reason` is missing or not of the format" },
	{ "\"index\":2", "\"index\":-2",
	  "x: `parent.index` is missing or not of the format" },
	{ "\"index\":2", "\"index\":4294967296",
	  "x: `parent.index` is missing or not of the format" },
	{ "\"offset\":20632", "\"offset\":\"20632\"",
	  "x: `parent.offset` is missing or not of the format" },
	{ "\"parent\":{", "\"parent\":7,\"other\":{",
	  "x: `parent` is missing or not of the format" },
	{ "29ec016a1ec6b229", "29ec", "x: `session` is missing or not of the format" },
	{ "\"zst\"", "\"gz\"", "x: `compression` is missing or not of the format" },
	{ "4096", "4097", "x: `page_size` is missing or not of the format" },
	{ "4096", "131072", "x: `page_size` is missing or not of the format" },
	{ "\"writer\":{", "\"by\":{", "x: `writer` is missing or not of the format" },
};

static void broken_lineage_records_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_lineages) / sizeof(bad_lineages[0]); i++) {
		const struct edit *c = &bad_lineages[i];
		char text[2048];
		struct lineage l;
		struct err e = ERR_INIT;
		size_t n = edited(text, sizeof(text), lineage_text, c->from, c->to);

		assert_int_equal(records_lineage_parse(&l, text, n, "x", &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
		assert_string_equal(e.msg, c->message);
	}
}

static const struct edit bad_heads[] = {
	{ "\"epoch\":3", "\"epoch\":-3", "x: `epoch` is missing or not of the format" },
	{ "\"since\":\"2024", "\"since\":\"x2024",
	  "x: `since` is missing or not of the format" },
	{ "\"released_at\":\"2024-01-02T03:09:05.845Z\"", "\"released_at\":5",
	  "x: `released_at` is missing or not of the format" },
	{ "\"intent\":null", "\"intent\":true",
	  "x: `intent` is missing or not of the format" },
	{ "\"intent\":null",
	  "\"intent\":{\"by\":\"a\",\"at\":\"2024-01-02T03:09:05.845Z\"}",
	  "x: `intent.action` is missing or not of the format" },
	{ "\"intent\":null",
	  "\"intent\":{\"action\":\"rollback\",\"at\":\"2024-01-02T03:09:05.845Z\"}",
	  "x: `intent.by` is missing or not of the format" },
	{ "\"intent\":null", "\"intent\":{\"action\":\"rollback\",\"by\":\"a\"}",
	  "x: `at` is missing or not of the format" },
	{ "\"reason\"", "\"why\"", "x: `reason` is missing or not of the format" },
};

static void broken_heads_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_heads) / sizeof(bad_heads[0]); i++) {
		const struct edit *c = &bad_heads[i];
		char text[2048];
		struct head h;
		struct err e = ERR_INIT;
		size_t n = edited(text, sizeof(text), head_text, c->from, c->to);

		assert_int_equal(records_head_parse(&h, text, n, "x", &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
		assert_string_equal(e.msg, c->message);
	}
}

static void texts_for_people_lose_control_characters(void **state)
{
	char text[2048];
	struct head h;
	struct err e = ERR_INIT;
	size_t n = edited(text, sizeof(text), head_text, "host1", "a\\u001b[31mb\\n");

	(void)state;
	assert_int_equal(records_head_parse(&h, text, n, "x", &e), 0);
	assert_string_equal(h.host, "a?[31mb?");
}

static void a_record_has_a_ceiling(void **state)
{
	static char big[RECORDS_SIZE_MAX + 1];
	struct lineage l;
	struct head h;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(records_lineage_parse(&l, big, sizeof(big), "x", &e), -1);
	assert_int_equal(records_head_parse(&h, big, sizeof(big), "x", &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lineage_record_is_read_and_written_alike),
		cmocka_unit_test(a_head_is_read_and_written_alike),
		cmocka_unit_test(broken_lineage_records_are_refused),
		cmocka_unit_test(broken_heads_are_refused),
		cmocka_unit_test(texts_for_people_lose_control_characters),
		cmocka_unit_test(a_record_has_a_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
