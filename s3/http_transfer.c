/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/http_transfer.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define RECEIVE_BUFFER (32L << 10)
#define DEFAULT_CONNECT_MS 10000
#define DEFAULT_STALL_MS 30000

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *c = arg;

	if (size * n >= 5 && memcmp(p, "HTTP/", 5) == 0)
		buf_reset(&c->headers_in);
	buf_add(&c->headers_in, p, size * n);
	return size * n;
}

/* Not for the programs that we start. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	(void)arg;
	(void)purpose;
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* Libcurl sends again by itself when a kept connection closes before the answer. */
static int on_send(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct http_call *c = arg;

	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	c->resent = ++c->sends > 1;
	return CURL_PREREQFUNC_OK;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *c = arg;
	size_t len = size * n, room;
	long status = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && status < 300) {
		if (!c->out)
			return len;
		buf_add(c->out, p, len);
		c->overflow = !buf_ok(c->out);
		return c->overflow ? 0 : len;
	}
	room = c->error_body.max - c->error_body.len;
	buf_add(&c->error_body, p, len < room ? len : room);
	return len;
}

/* No slow answer: there was nothing to send the request on. */
static bool never_connected(const struct http_call *c, CURLcode code)
{
	return code == CURLE_OPERATION_TIMEDOUT && !c->sends;
}

static enum http_fail classify(const struct http_call *c, CURLcode code)
{
	static const struct {
		CURLcode code;
		enum http_fail fail;
	} known[] = {
		{ CURLE_OK, HTTP_OK },
		{ CURLE_COULDNT_RESOLVE_HOST, HTTP_RESOLVE },
		{ CURLE_COULDNT_RESOLVE_PROXY, HTTP_RESOLVE },
		{ CURLE_COULDNT_CONNECT, HTTP_CONNECT },
		{ CURLE_OPERATION_TIMEDOUT, HTTP_TIMEOUT },
		{ CURLE_PARTIAL_FILE, HTTP_BROKEN },
		{ CURLE_GOT_NOTHING, HTTP_BROKEN },
		{ CURLE_SEND_ERROR, HTTP_BROKEN },
		{ CURLE_RECV_ERROR, HTTP_BROKEN },
		{ CURLE_SEND_FAIL_REWIND, HTTP_BROKEN },
		{ CURLE_SSL_CONNECT_ERROR, HTTP_BROKEN },
		{ CURLE_WEIRD_SERVER_REPLY, HTTP_BROKEN },
		{ CURLE_UNSUPPORTED_PROTOCOL,
		  HTTP_BROKEN }, /* an answer that is not HTTP */
		{ CURLE_PEER_FAILED_VERIFICATION, HTTP_TLS },
		{ CURLE_SSL_CACERT_BADFILE, HTTP_TLS },
		{ CURLE_SSL_CERTPROBLEM, HTTP_TLS },
		{ CURLE_SSL_ISSUER_ERROR, HTTP_TLS },
	};

	if (c->overflow)
		return HTTP_TOO_BIG;
	if (never_connected(c, code))
		return HTTP_CONNECT;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].code == code)
			return known[i].fail;
	return HTTP_OTHER;
}

static void set_method(const struct http_call *c, CURL *easy)
{
	if (strcmp(c->method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (strcmp(c->method, "PUT") == 0 || strcmp(c->method, "POST") == 0) {
		/* The body is read where it lies, and again after a stale connection. */
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
				 c->body_len ? (const char *)c->body : "");
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)c->body_len);
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, c->method);
	} else if (strcmp(c->method, "GET") != 0) {
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, c->method);
	}
}

static void set_options(struct http_call *c, CURL *easy)
{
	int64_t stall_ms = c->stall_ms ? c->stall_ms : DEFAULT_STALL_MS;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, c);
	curl_easy_setopt(easy, CURLOPT_URL, c->url);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "walback");
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, c->why);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_send);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, c);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)(c->connect_ms ? c->connect_ms : DEFAULT_CONNECT_MS));
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)c->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)((stall_ms + 999) / 1000));
	if (c->skip_verify) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static struct curl_slist *set_headers(const struct http_call *c, CURL *easy)
{
	/* Headers libcurl would add by itself, which nobody asked for. */
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");

	list = curl_slist_append(list, "Accept:");
	for (size_t i = 0; i < c->nheaders; i++)
		list = curl_slist_append(list, c->headers[i]);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
	return list;
}

void *http_transfer_set(struct http_call *c, void *easy, const char *ca_file,
			const char *ca_path)
{
	set_options(c, easy);
	set_method(c, easy);
	if (ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
	if (ca_path)
		curl_easy_setopt(easy, CURLOPT_CAPATH, ca_path);
	return set_headers(c, easy);
}

/* libcurl only says that it could not; the system knows why. */
static void explain_connect(struct http_call *c, CURL *easy, CURLcode code)
{
	char text[96];
	long sys = 0;

	if (never_connected(c, code))
		sys = ETIMEDOUT;
	else if (code != CURLE_COULDNT_CONNECT ||
		 curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &sys) != CURLE_OK)
		return;
	if (sys)
		snprintf(c->why, sizeof(c->why), "%s",
			 strerror_r((int)sys, text, sizeof(text)));
}

enum http_fail http_transfer_end(struct http_call *c, int result)
{
	CURLcode code = (CURLcode)result;
	long status = 0;

	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	c->status = (int)status;
	explain_connect(c, c->easy, code);
	if (code != CURLE_OK && !c->why[0])
		snprintf(c->why, sizeof(c->why), "%s", curl_easy_strerror(code));
	return classify(c, code);
}

/* ---- reading answers ---- */

bool http_header(const struct http_call *c, const char *name, char *out, size_t n)
{
	size_t len = strlen(name);
	const char *p = c->headers_in.p ? (const char *)c->headers_in.p : "";

	out[0] = 0;
	for (; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		if (strncasecmp(p, name, len) != 0 || p[len] != ':')
			continue;
		p += len + 1;
		p += strspn(p, " \t");
		size_t v = strcspn(p, "\r\n");

		while (v && (p[v - 1] == ' ' || p[v - 1] == '\t'))
			v--;
		if (v > n - 1)
			v = n - 1;
		memcpy(out, p, v);
		out[v] = 0;
		return true;
	}
	return false;
}

int64_t http_date_ms(const char *text)
{
	time_t t = curl_getdate(text, NULL);

	return t < 0 ? -1 : (int64_t)t * 1000;
}
