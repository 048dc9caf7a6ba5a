/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "s3/xml.h"
#include "tests/unit/unit.h"

#include <string.h>

static int collect(void *arg, const struct s3_xml_object *o)
{
	buf_addf(arg, "%s%s %llu %lld %s|", o->is_prefix ? "P:" : "", o->key,
		 (unsigned long long)o->size, (long long)o->mtime_ms, o->etag);
	return strcmp(o->key, "stop") == 0;
}

static int list(const char *xml, struct s3_xml_list *page, struct buf *out, struct err *e)
{
	buf_reset(out);
	buf_add(out, "", 0);
	return s3_xml_list(xml, strlen(xml), page, collect, out, e);
}

#define ROOT(inner) "<ListBucketResult>" inner "</ListBucketResult>"

static void a_list_is_read_field_by_field(void **state)
{
	static const struct {
		const char *xml, *want, *token;
		bool truncated;
	} cases[] = {
		{ ROOT(""), "", "", false },
		{ "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		  "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
		  "<Name>b</Name><Prefix>a&amp;b/</Prefix><IsTruncated>true</IsTruncated>"
		  "<NextContinuationToken>1/+=&#x41;</NextContinuationToken>"
		  "<Contents><Key>a&amp;b/&lt;x&gt; \xc3\xa9</Key>"
		  "<LastModified>2026-11-21T03:02:11.920Z</LastModified>"
		  "<ETag>&quot;abc&#34;</ETag><Size>42</Size>"
		  "<Owner><ID>me</ID><Key>not this</Key></Owner></Contents>"
		  "<CommonPrefixes><Prefix>a&amp;b/c/</Prefix></CommonPrefixes>"
		  "</ListBucketResult>",
		  "a&b/<x> \xc3\xa9 42 1795230131920 \"abc\"|P:a&b/c/ 0 -1 |", "1/+=A",
		  true },
		/* Order, comments, CDATA, unknown elements, a time that is none. */
		{ " \n" ROOT(
			  "<!-- c --><Contents><Size>1</Size><LastModified>x</LastModified>"
			  "<Key><![CDATA[k&1]]></Key><New><Deep/></New></Contents>"),
		  "k&1 1 -1 |", "", false },
		/* Decoded only where the answer says that it encoded; blanks may be plus signs. */
		{ ROOT("<Contents><Key>a+b%20c</Key></Contents>"
		       "<EncodingType>url</EncodingType>"),
		  "a b c 0 -1 |", "", false },
		{ ROOT("<Contents><Key>a+b%20c</Key></Contents>"), "a+b%20c 0 -1 |", "",
		  false },
	};
	struct buf out = BUF(4096);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct s3_xml_list page;
		struct err e = ERR_INIT;

		if (list(cases[i].xml, &page, &out, &e) != 0)
			fail_msg("%zu: %s", i, e.msg);
		assert_string_equal((char *)out.p, cases[i].want);
		assert_string_equal(page.token, cases[i].token);
		assert_int_equal(page.truncated, cases[i].truncated);
	}
	buf_free(&out);
}

static void a_callback_may_stop_a_list(void **state)
{
	struct buf out = BUF(4096);
	struct s3_xml_list page;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(list(ROOT("<Contents><Key>stop</Key></Contents>"
				   "<Contents><Key>b</Key></Contents>"),
			      &page, &out, &e),
			 1);
	assert_string_equal((char *)out.p, "stop 0 -1 |");
	buf_free(&out);
}

static void hostile_lists_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"   ",
		"no xml",
		"<ListBucketResult>",
		"<ListBucketResult><Contents><Key>x</Key></Contents>",
		"<ListBucketResult></ListBucketResult><more/>",
		"<Error><Code>X</Code></Error>",
		ROOT("<Contents><Size>1</Size></Contents>"),
		ROOT("<Contents><Size>-1</Size><Key>x</Key></Contents>"),
		ROOT("<Contents><Size>99999999999999999999</Size><Key>x</Key></Contents>"),
		ROOT("<IsTruncated>maybe</IsTruncated>"),
		ROOT("<EncodingType>url</EncodingType><Contents><Key>%zz</Key></Contents>"),
		ROOT("<EncodingType>url</EncodingType><Contents><Key>%00</Key></Contents>"),
		ROOT("<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"
		     "</a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></"
		     "a>"),
		/* A DOCTYPE is refused before anything in it is looked at. */
		"<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>" ROOT(
			"<Contents><Key>&x;</Key></Contents>"),
		"<!DOCTYPE l [<!ENTITY a \"aaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">"
		"<!ENTITY c \"&b;&b;&b;&b;&b;&b;\">]>" ROOT(
			"<Contents><Key>&c;</Key></Contents>"),
		ROOT("<Contents><Key>&unknown;</Key></Contents>"),
	};
	struct buf out = BUF(4096);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct s3_xml_list page;
		struct err e = ERR_INIT;

		if (list(bad[i], &page, &out, &e) != -1)
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(e.code, ERR_CORRUPT);
	}
	buf_free(&out);
}

static void a_text_or_token_beyond_its_ceiling_is_refused(void **state)
{
	struct buf xml = BUF(1 << 20), out = BUF(1 << 20);
	AUTO_FREE char *long_text = mem_alloc(20001);
	struct s3_xml_list page;
	struct err e = ERR_INIT;

	(void)state;
	memset(long_text, 'k', 20000);
	buf_addf(&xml, ROOT("<Contents><Key>%s</Key></Contents>"), long_text);
	assert_int_equal(list((char *)xml.p, &page, &out, &e), -1);
	buf_reset(&xml);
	buf_addf(&xml, ROOT("<NextContinuationToken>%.2048s</NextContinuationToken>"),
		 long_text);
	assert_int_equal(list((char *)xml.p, &page, &out, &e), -1);
	buf_reset(&xml);
	buf_addf(&xml, ROOT("<%.300s/>"), long_text);
	assert_int_equal(list((char *)xml.p, &page, &out, &e), -1);
	buf_free(&xml);
	buf_free(&out);
}

static void an_error_is_found_in_whatever_came(void **state)
{
	static const struct {
		const char *xml, *code, *region;
	} cases[] = {
		{ "<Error><Code>NoSuchKey</Code><Message>m</Message></Error>", "NoSuchKey",
		  "" },
		{ "<?xml version=\"1.0\"?><Error "
		  "xmlns=\"urn:x\"><Code>AuthorizationHeaderMalformed"
		  "</Code><Region>eu-west-1</Region></Error>",
		  "AuthorizationHeaderMalformed", "eu-west-1" },
		{ "<ErrorResponse><Error><Code>InvalidClientTokenId</Code></Error></"
		  "ErrorResponse>",
		  "InvalidClientTokenId", "" },
		{ "<html><body>502</body></html>", "", "" },
		{ "{\"error\":1}", "", "" },
		{ "<Error><Code>Cut", "", "" },
		{ "<Error><Code>two\nlines\x1f\xc3\xa9</Code></Error>", "", "" },
		{ "<Error><Code>two\nlines\xc3\xa9</Code></Error>", "two?lines??", "" },
		{ "", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct s3_xml_error x;

		s3_xml_error(cases[i].xml, strlen(cases[i].xml), &x);
		assert_string_equal(x.code, cases[i].code);
		assert_string_equal(x.region, cases[i].region);
	}
}

static void an_upload_id_is_read(void **state)
{
	static const char good[] =
		"<InitiateMultipartUploadResult><Bucket>b</Bucket>"
		"<UploadId>a/b+c==</UploadId></InitiateMultipartUploadResult>";
	static const char *const bad[] = {
		"<InitiateMultipartUploadResult/>",
		("<InitiateMultipartUploadResult><UploadId></UploadId></"
		 "InitiateMultipartUploadResult>"),
		"<Other><UploadId>x</UploadId></Other>",
		"<InitiateMultipartUploadResult><UploadId>x</UploadId>",
	};
	char id[S3_TOKEN_MAX];
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(s3_xml_upload_id(good, strlen(good), id, &e), 0);
	assert_string_equal(id, "a/b+c==");
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(s3_xml_upload_id(bad[i], strlen(bad[i]), id, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
	}
}

static void a_completion_is_believed_only_with_an_etag(void **state)
{
	static const char good[] =
		"   \n<?xml version=\"1.0\"?><CompleteMultipartUploadResult>"
		"<ETag>\"x-2\"</ETag></CompleteMultipartUploadResult>";
	static const struct {
		const char *xml, *code;
	} bad[] = {
		{ "<Error><Code>InternalError</Code></Error>", "InternalError" },
		{ "  <Error><Code>SlowDown</Code></Error>", "SlowDown" },
		{ "<CompleteMultipartUploadResult/>", "" },
		{ "<CompleteMultipartUploadResult><ETag/></CompleteMultipartUploadResult>",
		  "" },
		{ "<CompleteMultipartUploadResult><ETag>x", "" },
		{ "", "" },
	};
	struct s3_xml_error x;
	char etag[S3_ETAG_MAX];
	struct err e = ERR_INIT;

	(void)state;
	/* The declaration must stand first in XML; S3's blanks before it are taken away. */
	assert_int_equal(s3_xml_etag(good, strlen(good), "CompleteMultipartUploadResult",
				     etag, &x, &e),
			 0);
	assert_string_equal(etag, "\"x-2\"");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(s3_xml_etag(bad[i].xml, strlen(bad[i].xml),
					     "CompleteMultipartUploadResult", etag, &x, &e),
				 -1);
		assert_int_equal(e.code, ERR_AGAIN);
		assert_string_equal(x.code, bad[i].code);
	}
}

static void note(void *arg, const struct s3_xml_error *x)
{
	buf_addf(arg, "%s:%s ", x->key, x->code);
}

static void keys_that_were_not_deleted_are_told(void **state)
{
	static const char xml[] =
		"<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b&amp;</"
		"Key><Code>"
		"AccessDenied</Code></Error><Error><Key>c</Key></Error></DeleteResult>";
	struct buf out = BUF(1000);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(s3_xml_delete(xml, strlen(xml), note, &out, &e), 0);
	assert_string_equal((char *)out.p, "b&:AccessDenied c: ");
	assert_int_equal(s3_xml_delete("<x/>", 4, note, &out, &e), -1);
	assert_string_equal(e.msg, "the store answered with <x> instead of <DeleteResult>");
	buf_free(&out);
}

static void text_is_escaped(void **state)
{
	struct buf out = BUF(1000);

	(void)state;
	s3_xml_escape(&out, "a&<>\"'\n\xc3\xa9/ ");
	assert_string_equal((char *)out.p, "a&#38;&#60;&#62;&#34;&#39;&#10;\xc3\xa9/ ");
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_read_field_by_field),
		cmocka_unit_test(a_callback_may_stop_a_list),
		cmocka_unit_test(hostile_lists_are_refused),
		cmocka_unit_test(a_text_or_token_beyond_its_ceiling_is_refused),
		cmocka_unit_test(an_error_is_found_in_whatever_came),
		cmocka_unit_test(an_upload_id_is_read),
		cmocka_unit_test(a_completion_is_believed_only_with_an_etag),
		cmocka_unit_test(keys_that_were_not_deleted_are_told),
		cmocka_unit_test(text_is_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
