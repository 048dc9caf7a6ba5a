/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw_download CONNECTIONS < URLS: fetch every (presigned) URL with libcurl's multi interface, that
 * many at once over kept-alive connections, and drop the bytes.  The limit that a restore of the
 * same objects is measured against.  Prints bytes and seconds.
 */
#include <curl/curl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t total;
static unsigned failures, active;

static size_t drop(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	(void)arg;
	total += size * n;
	return size * n;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The next URL onto the handle; 0 when there is none. */
static int next_url(CURL *h)
{
	static char line[8192];

	if (!fgets(line, sizeof(line), stdin))
		return 0;
	line[strcspn(line, "\n")] = '\0';
	return curl_easy_setopt(h, CURLOPT_URL, line) == CURLE_OK;
}

static void finish_some(CURLM *m)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(m, &left)) != NULL) {
		CURL *h = msg->easy_handle;
		long status = 0;

		curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
		failures += msg->data.result != CURLE_OK || status != 200;
		curl_multi_remove_handle(m, h);
		if (next_url(h)) {
			curl_multi_add_handle(m, h);
		} else {
			curl_easy_cleanup(h);
			active--;
		}
	}
}

int main(int argc, char **argv)
{
	long connections = argc > 1 ? strtol(argv[1], NULL, 10) : 64;
	int running;
	double start;
	CURLM *m;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	m = curl_multi_init();
	curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, connections);
	start = now();
	for (long i = 0; i < connections; i++) {
		CURL *h = curl_easy_init();

		curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, drop);
		curl_easy_setopt(h, CURLOPT_BUFFERSIZE, 262144L);
		curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
		if (!next_url(h)) {
			curl_easy_cleanup(h);
			break;
		}
		curl_multi_add_handle(m, h);
		active++;
	}
	while (active) {
		if (curl_multi_perform(m, &running) != CURLM_OK)
			return 1;
		finish_some(m);
		if (running && curl_multi_poll(m, NULL, 0, 1000, NULL) != CURLM_OK)
			return 1;
	}
	printf("%llu bytes %.3f seconds\n", (unsigned long long)total, now() - start);
	curl_multi_cleanup(m);
	if (failures)
		fprintf(stderr, "raw_download: %u failed\n", failures);
	return failures != 0;
}
