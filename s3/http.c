/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: epoll over libcurl's sockets (curl_multi_socket_action, so that the
 * cost of an event does not grow with the number of transfers), an eventfd for
 * submits and cancels, and the descriptors of the stop tokens in use.
 *
 * Only the loop's thread touches libcurl and the lists `waiting` and `running`;
 * `incoming` and the calls' canceled flags are under the lock.
 */
#include "s3/http.h"

#include "base/clock.h"
#include "base/mem.h"
#include "s3/http_transfer.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#define HEADERS_MAX ((size_t)32 << 10)
#define ERROR_BODY_MAX ((size_t)64 << 10)
#define HOST_CONNECTIONS 96L
#define KEPT_CONNECTIONS 96L
#define IDLE_HANDLES 64
#define IDLE_HANDLES_AT_REST 2
#define STOPS 8
#define EVENTS 64
#define STOP_POLL_MS 100

/* A stop token that calls in the loop wait for. */
struct token {
	const struct stop *stop;
	unsigned refs;
};

struct http {
	char *ca_file, *ca_path;

	pthread_mutex_t lock;
	bool started, quit, cancels;
	struct http_call *incoming, **incoming_end;

	pthread_t thread;
	CURLM *multi;
	int epoll, wake;
	int64_t timer_ms; /* clock_mono_ms of libcurl's timer; -1: none */
	struct http_call *waiting, *running;
	struct token tokens[STOPS];
	unsigned other_tokens; /* calls whose token found no place there: polled */
	CURL *idle[IDLE_HANDLES];
	unsigned nidle;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_start(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
}

/* ---- lists of calls ---- */

static void list_add(struct http_call **head, struct http_call *c)
{
	c->prev = NULL;
	c->next = *head;
	if (*head)
		(*head)->prev = c;
	*head = c;
}

static void list_remove(struct http_call **head, struct http_call *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		*head = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->next = c->prev = NULL;
}

/* ---- stop tokens ---- */

static void token_ref(struct http *h, const struct stop *s)
{
	struct token *free_one = NULL;

	if (!s)
		return;
	for (size_t i = 0; i < STOPS; i++) {
		struct token *t = &h->tokens[i];

		if (t->refs && t->stop == s) {
			t->refs++;
			return;
		}
		if (!t->refs)
			free_one = t;
	}
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = stop_fd(s) };

	if (free_one && epoll_ctl(h->epoll, EPOLL_CTL_ADD, stop_fd(s), &ev) == 0)
		*free_one = (struct token){ s, 1 };
	else
		h->other_tokens++;
}

static void token_unref(struct http *h, const struct stop *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < STOPS; i++) {
		struct token *t = &h->tokens[i];

		if (!t->refs || t->stop != s)
			continue;
		if (--t->refs == 0)
			(void)epoll_ctl(h->epoll, EPOLL_CTL_DEL, stop_fd(s), NULL);
		return;
	}
	h->other_tokens--;
}

/* ---- one transfer ---- */

/* Give the answer to the caller, who may reuse the call at once. */
static void finish(struct http_call *c, enum http_fail fail)
{
	c->fail = fail;
	if (fail == HTTP_CANCELED)
		snprintf(c->why, sizeof(c->why), "canceled");
	if (fail != HTTP_OK && c->out) {
		buf_cut(c->out, c->out_start);
		c->out->overflow = false;
	}
	c->done(c);
}

static CURL *handle_get(struct http *h)
{
	CURL *easy = h->nidle ? h->idle[--h->nidle] : curl_easy_init();

	if (!easy)
		abort(); /* out of memory */
	return easy;
}

static void handle_put(struct http *h, CURL *easy)
{
	if (h->nidle == IDLE_HANDLES) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	h->idle[h->nidle++] = easy;
}

/* Out of the running ones; the answer's facts are taken before. */
static void detach(struct http *h, struct http_call *c)
{
	curl_multi_remove_handle(h->multi, c->easy);
	handle_put(h, c->easy);
	curl_slist_free_all(c->list);
	c->easy = c->list = NULL;
	list_remove(&h->running, c);
	token_unref(h, c->stop);
}

static void start(struct http *h, struct http_call *c)
{
	CURL *easy = handle_get(h);

	c->easy = easy;
	c->status = 0;
	c->why[0] = 0;
	c->overflow = c->resent = false;
	c->sends = 0;
	c->out_start = c->out ? c->out->len : 0;
	buf_reset(&c->headers_in);
	buf_reset(&c->error_body);
	c->list = http_transfer_set(c, easy, h->ca_file, h->ca_path);
	list_add(&h->running, c);
	if (curl_multi_add_handle(h->multi, easy) != CURLM_OK)
		abort(); /* out of memory */
}

/* Transfers that libcurl is done with. */
static void reap(struct http *h)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left))) {
		struct http_call *c = NULL;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
		enum http_fail fail = http_transfer_end(c, (int)m->data.result);

		detach(h, c);
		finish(c, fail);
	}
}

/* ---- the loop ---- */

static void wake(struct http *h)
{
	uint64_t one = 1;

	if (write(h->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort(); /* an eventfd of ours cannot fail otherwise */
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct http *h = arg;
	struct epoll_event ev = { .data.fd = fd };

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		(void)epoll_ctl(h->epoll, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	ev.events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
		    (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
	if (epoll_ctl(h->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev) < 0)
		return -1;
	if (!known)
		curl_multi_assign(h->multi, fd, h);
	return 0;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct http *h = arg;

	(void)multi;
	h->timer_ms = ms < 0 ? -1 : clock_mono_ms() + ms;
	return 0;
}

static bool is_canceled(struct http *h, struct http_call *c)
{
	pthread_mutex_lock(&h->lock);
	bool yes = c->canceled;

	pthread_mutex_unlock(&h->lock);
	return yes || stop_is_set(c->stop);
}

/* What was submitted since joins those that wait for their time; true if some are canceled already. */
static bool take_incoming(struct http *h)
{
	bool cancels = false;

	pthread_mutex_lock(&h->lock);
	struct http_call *c = h->incoming;

	h->incoming = NULL;
	h->incoming_end = &h->incoming;
	for (const struct http_call *i = c; i; i = i->next)
		cancels = cancels || i->canceled || stop_is_set(i->stop);
	pthread_mutex_unlock(&h->lock);
	while (c) {
		struct http_call *next = c->next;

		c->next = c->prev = NULL;
		token_ref(h, c->stop);
		list_add(&h->waiting, c);
		c = next;
	}
	return cancels;
}

static void end_canceled(struct http *h)
{
	for (struct http_call *c = h->running, *next; c; c = next) {
		next = c->next;
		if (!is_canceled(h, c))
			continue;
		detach(h, c);
		finish(c, HTTP_CANCELED);
	}
	for (struct http_call *c = h->waiting, *next; c; c = next) {
		next = c->next;
		if (!is_canceled(h, c))
			continue;
		list_remove(&h->waiting, c);
		token_unref(h, c->stop);
		c->status = 0;
		c->out_start = c->out ? c->out->len : 0;
		finish(c, HTTP_CANCELED);
	}
}

/* Start what is due; the ms until the next one is, or -1. */
static int64_t start_due(struct http *h)
{
	int64_t now = clock_mono_ms(), wait = -1;

	for (struct http_call *c = h->waiting, *next; c; c = next) {
		next = c->next;
		if (c->due_ms <= now) {
			list_remove(&h->waiting, c);
			start(h, c);
		} else if (wait < 0 || c->due_ms - now < wait) {
			wait = c->due_ms - now;
		}
	}
	return wait;
}

static int shorter(int64_t a, int64_t b)
{
	int64_t ms = a < 0 ? b : b < 0 ? a : a < b ? a : b;

	return ms > 60000 ? 60000 : (int)ms;
}

static bool has_token_fd(const struct http *h, int fd)
{
	for (size_t i = 0; i < STOPS; i++)
		if (h->tokens[i].refs && stop_fd(h->tokens[i].stop) == fd)
			return true;
	return false;
}

/* One wait and what it brought; true if calls may have been canceled. */
static bool turn(struct http *h, int wait_ms)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(h->epoll, ev, EVENTS, wait_ms), still = 0;
	bool cancels = h->other_tokens > 0;
	uint64_t drained;

	for (int i = 0; i < n; i++) {
		int fd = ev[i].data.fd;

		if (fd == h->wake) {
			if (read(fd, &drained, sizeof(drained)) < 0 && errno != EAGAIN)
				abort();
		} else if (has_token_fd(h, fd)) {
			cancels = true;
		} else {
			int what = (ev[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
				   (ev[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
				   (ev[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR
									 : 0);

			curl_multi_socket_action(h->multi, fd, what, &still);
		}
	}
	if (h->timer_ms >= 0 && clock_mono_ms() >= h->timer_ms) {
		h->timer_ms = -1;
		curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &still);
	}
	return cancels;
}

static void trim_idle(struct http *h)
{
	while (h->nidle > IDLE_HANDLES_AT_REST)
		curl_easy_cleanup(h->idle[--h->nidle]);
}

static void *loop(void *arg)
{
	struct http *h = arg;
	bool cancels = true;

	(void)prctl(PR_SET_NAME, "http");
	for (;;) {
		cancels = take_incoming(h) || cancels;
		pthread_mutex_lock(&h->lock);
		bool quit = h->quit;

		cancels = cancels || h->cancels;
		h->cancels = false;
		pthread_mutex_unlock(&h->lock);
		if (quit)
			return NULL;
		if (cancels)
			end_canceled(h);
		int64_t wait = start_due(h);

		if (!h->running && !h->waiting)
			trim_idle(h);
		if (h->timer_ms >= 0) {
			int64_t ms = h->timer_ms - clock_mono_ms();

			wait = shorter(wait, ms > 0 ? ms : 0);
		}
		pthread_mutex_lock(&h->lock);
		if (h->incoming)
			wait = 0;
		pthread_mutex_unlock(&h->lock);
		cancels = turn(h, shorter(wait, h->other_tokens ? STOP_POLL_MS : -1));
		reap(h);
	}
}

static void loop_start(struct http *h)
{
	sigset_t all, before;
	struct epoll_event ev = { .events = EPOLLIN };

	pthread_once(&curl_once, curl_start);
	h->multi = curl_multi_init();
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ev.data.fd = h->wake;
	if (!h->multi || h->epoll < 0 || h->wake < 0 ||
	    epoll_ctl(h->epoll, EPOLL_CTL_ADD, h->wake, &ev) < 0)
		abort();
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, HOST_CONNECTIONS);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&h->thread, NULL, loop, h) != 0)
		abort();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct http *http_new(const struct http_options *o)
{
	struct http *h = mem_alloc(sizeof(*h));

	pthread_mutex_init(&h->lock, NULL);
	h->incoming_end = &h->incoming;
	h->epoll = h->wake = -1;
	h->timer_ms = -1;
	h->ca_file = o ? mem_str(o->ca_file) : NULL;
	h->ca_path = o ? mem_str(o->ca_path) : NULL;
	return h;
}

void http_destroy(struct http *h)
{
	if (h->started) {
		pthread_mutex_lock(&h->lock);
		h->quit = true;
		pthread_mutex_unlock(&h->lock);
		wake(h);
		pthread_join(h->thread, NULL);
		while (h->nidle)
			curl_easy_cleanup(h->idle[--h->nidle]);
		curl_multi_cleanup(h->multi);
		close(h->epoll);
		close(h->wake);
	}
	pthread_mutex_destroy(&h->lock);
	free(h->ca_file);
	free(h->ca_path);
	free(h);
}

void http_call_init(struct http_call *c)
{
	c->headers_in = (struct buf)BUF(HEADERS_MAX);
	c->error_body = (struct buf)BUF(ERROR_BODY_MAX);
	c->canceled = false;
}

void http_call_free(struct http_call *c)
{
	buf_free(&c->headers_in);
	buf_free(&c->error_body);
}

void http_submit(struct http *h, struct http_call *c, int64_t delay_ms)
{
	c->due_ms = clock_mono_ms() + delay_ms;
	pthread_mutex_lock(&h->lock);
	if (!h->started) {
		loop_start(h);
		h->started = true;
	}
	c->next = NULL;
	*h->incoming_end = c;
	h->incoming_end = &c->next;
	bool inside = pthread_equal(h->thread, pthread_self());

	pthread_mutex_unlock(&h->lock);
	if (!inside)
		wake(h);
}

void http_cancel(struct http *h, struct http_call *c)
{
	pthread_mutex_lock(&h->lock);
	c->canceled = h->cancels = true;
	bool started = h->started;

	pthread_mutex_unlock(&h->lock);
	if (started)
		wake(h);
}
