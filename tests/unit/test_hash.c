/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Published values of XXH3_64bits: another seed or variant gives others. */
static void xxh3_has_seed_zero(void **state)
{
	(void)state;
	assert_int_equal(hash_xxh3("", 0), UINT64_C(0x2d06800538d394c2));
	assert_int_equal(hash_xxh3("abc", 3), UINT64_C(0x78af5f94892f3950));
}

static void a_page_is_hashed_with_its_number_in_front(void **state)
{
	static const size_t sizes[] = { 512, 1024, 4096, 32768, 65536 };
	static uint8_t whole[4 + 65536];

	(void)state;
	for (size_t i = 0; i < sizeof(whole); i++)
		whole[i] = (uint8_t)(i * 31 + i / 256);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		put_be32(whole, 0x01020304);
		assert_int_equal(hash_page(0x01020304, whole + 4, sizes[i]),
				 hash_xxh3(whole, 4 + sizes[i]));
		assert_true(hash_page(1, whole + 4, sizes[i]) !=
			    hash_page(2, whole + 4, sizes[i]));
	}
}

static void a_stream_equals_the_whole(void **state)
{
	static uint8_t bytes[5000];
	struct hash_stream *h = hash_stream_new();

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	assert_int_equal(hash_stream_value(h), hash_xxh3("", 0));
	hash_stream_add(h, bytes, 1);
	hash_stream_add(h, bytes + 1, 999);
	assert_int_equal(hash_stream_value(h), hash_xxh3(bytes, 1000));
	hash_stream_add(h, bytes + 1000, 4000);
	assert_int_equal(hash_stream_value(h), hash_xxh3(bytes, 5000));
	hash_stream_reset(h);
	hash_stream_add(h, "abc", 3);
	assert_int_equal(hash_stream_value(h), hash_xxh3("abc", 3));
	hash_stream_destroy(h);
	hash_stream_destroy(NULL);
}

/* RFC 3720, B.4, and the check value of the CRC catalogue. */
static void crc32c_has_the_values_of_rfc3720(void **state)
{
	uint8_t p[32];

	(void)state;
	memset(p, 0, sizeof(p));
	assert_int_equal(hash_crc32c(p, 32), 0x8a9136aa);
	memset(p, 0xff, sizeof(p));
	assert_int_equal(hash_crc32c(p, 32), 0x62a8ab43);
	for (size_t i = 0; i < 32; i++)
		p[i] = (uint8_t)i;
	assert_int_equal(hash_crc32c(p, 32), 0x46dd794e);
	for (size_t i = 0; i < 32; i++)
		p[i] = (uint8_t)(31 - i);
	assert_int_equal(hash_crc32c(p, 32), 0x113fdb5c);
	assert_int_equal(hash_crc32c("123456789", 9), 0xe3069283);
	assert_int_equal(hash_crc32c("", 0), 0);
}

static void both_ways_of_crc32c_agree(void **state)
{
	uint8_t p[100];

	(void)state;
	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = (uint8_t)(i * i + 3);
	for (size_t from = 0; from < 9; from++)
		for (size_t n = 0; n <= sizeof(p) - from; n++)
			assert_int_equal(hash_crc32c(p + from, n),
					 hash_crc32c_plain(p + from, n));
}

/* FIPS 180-4 and RFC 1321. */
static void digests_have_the_values_of_their_standards(void **state)
{
	static const struct {
		const char *in, *sha256, *md5;
	} rows[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		  "d41d8cd98f00b204e9800998ecf8427e" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		  "900150983cd24fb0d6963f7d28e17f72" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
		  "8215ef0796a20bcaaae116d3876c664a" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char hex[65], streamed[65];
		uint8_t md5[16];
		size_t n = strlen(rows[i].in);

		hash_sha256_hex(rows[i].in, n, hex);
		assert_string_equal(hex, rows[i].sha256);
		struct hash_sha *h = hash_sha_new();
		hash_sha_add(h, rows[i].in, n / 2);
		hash_sha_add(h, rows[i].in + n / 2, n - n / 2);
		hash_sha_end_hex(h, streamed);
		assert_string_equal(streamed, rows[i].sha256);
		hash_md5(rows[i].in, n, md5);
		text_hex(md5, 16, hex);
		assert_string_equal(hex, rows[i].md5);
	}
	hash_sha_destroy(hash_sha_new());
	hash_sha_destroy(NULL);
}

static void md5_in_base64_is_what_content_md5_wants(void **state)
{
	char text[25];

	(void)state;
	hash_md5_base64("", 0, text);
	assert_string_equal(text, "1B2M2Y8AsgTpgAmY7PhCfg==");
	hash_md5_base64("abc", 3, text);
	assert_string_equal(text, "kAFQmDzST7DWlj99KOF/cg==");
}

/* RFC 4231, test cases 1, 2, 6; and the empty key. */
static void hmac_has_the_values_of_rfc4231(void **state)
{
	uint8_t key[131], out[32];
	char hex[65];

	(void)state;
	memset(key, 0x0b, 20);
	hash_hmac_sha256(key, 20, "Hi There", 8, out);
	text_hex(out, 32, hex);
	assert_string_equal(
		hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	hash_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out);
	text_hex(out, 32, hex);
	assert_string_equal(
		hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	hash_hmac_sha256(key, sizeof(key),
			 "Test Using Larger Than Block-Size Key - Hash Key First", 54, out);
	text_hex(out, 32, hex);
	assert_string_equal(
		hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	hash_hmac_sha256("", 0, "", 0, out);
	text_hex(out, 32, hex);
	assert_string_equal(
		hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xxh3_has_seed_zero),
		cmocka_unit_test(a_page_is_hashed_with_its_number_in_front),
		cmocka_unit_test(a_stream_equals_the_whole),
		cmocka_unit_test(crc32c_has_the_values_of_rfc3720),
		cmocka_unit_test(both_ways_of_crc32c_agree),
		cmocka_unit_test(digests_have_the_values_of_their_standards),
		cmocka_unit_test(md5_in_base64_is_what_content_md5_wants),
		cmocka_unit_test(hmac_has_the_values_of_rfc4231),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
