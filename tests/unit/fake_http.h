/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP server in a thread that answers by a script: one step a request, in
 * the order the requests come; the last step answers all that follow.
 */
#ifndef TESTS_UNIT_FAKE_HTTP_H
#define TESTS_UNIT_FAKE_HTTP_H

#include "base/buf.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FAKE_REQUESTS 256
#define FAKE_CONNECTIONS 128

struct fake;

struct fake_step {
	int status;
	const char *headers; /* "Name: value\r\n"... or NULL */
	const char *body;    /* NULL: none */
	enum {
		FAKE_ANSWER,
		FAKE_RESET,   /* close with a RST instead of an answer */
		FAKE_CLOSE,   /* close without an answer */
		FAKE_CUT,     /* announce ten bytes more than are sent, then close */
		FAKE_STALL,   /* never answer */
		FAKE_TRICKLE, /* half of the body, and never the rest */
		FAKE_GARBAGE, /* not HTTP */
	} how;
	/* May change the step by the request. */
	void (*look)(struct fake *f, const char *request, struct fake_step *s);
};

struct fake {
	int fd;
	unsigned port;
	const struct fake_step *steps;
	size_t nsteps;
	void *arg;

	pthread_mutex_t lock;
	char *request[FAKE_REQUESTS]; /* head and body, as text */
	size_t requests;
	int conn[FAKE_CONNECTIONS];
	pthread_t thread[FAKE_CONNECTIONS], acceptor;
	size_t conns;
	char note[128];
};

struct fake_conn {
	struct fake *f;
	int fd;
};

static inline int fake_send(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

		if (w <= 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

/* One whole request; NULL when the connection is over. */
static inline char *fake_read(int fd)
{
	struct buf b = BUF(64 << 20);
	char chunk[16384];
	size_t need = 0;

	for (;;) {
		ssize_t n = recv(fd, chunk, sizeof(chunk), 0);

		if (n <= 0) {
			buf_free(&b);
			return NULL;
		}
		buf_add(&b, chunk, (size_t)n);
		if (!need) {
			char *end = strstr((char *)b.p, "\r\n\r\n");
			char *len =
				end ? strcasestr((char *)b.p, "\r\nContent-Length:") : NULL;

			if (!end)
				continue;
			need = (size_t)(end - (char *)b.p) + 4;
			if (len && len < end)
				need += strtoul(len + 17, NULL, 10);
		}
		if (b.len >= need)
			return (char *)b.p;
	}
}

static inline int fake_answer(int fd, const struct fake_step *s, int head)
{
	const char *body = s->body ? s->body : "";
	size_t n = strlen(body);
	struct buf b = BUF(64 << 20);
	int more = s->how == FAKE_CUT ? 10 : 0;

	buf_addf(&b, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n", s->status,
		 n + (size_t)more, s->headers ? s->headers : "");
	if (!head)
		buf_add(&b, body, s->how == FAKE_TRICKLE ? n / 2 : n);
	int rc = fake_send(fd, (char *)b.p, b.len);

	buf_free(&b);
	return rc;
}

static inline void fake_stall(int fd)
{
	char c;

	while (recv(fd, &c, 1, 0) > 0)
		;
}

static inline void *fake_serve(void *arg)
{
	struct fake_conn *c = arg;
	struct fake *f = c->f;
	char *request;

	while ((request = fake_read(c->fd))) {
		pthread_mutex_lock(&f->lock);
		size_t i = f->requests++;

		if (i < FAKE_REQUESTS)
			f->request[i] = request;
		struct fake_step s = f->steps[i < f->nsteps ? i : f->nsteps - 1];

		if (s.look)
			s.look(f, request, &s);
		pthread_mutex_unlock(&f->lock);
		int head = strncmp(request, "HEAD ", 5) == 0;

		if (i >= FAKE_REQUESTS)
			free(request);
		if (s.how == FAKE_RESET) {
			const struct linger l = { .l_onoff = 1, .l_linger = 0 };

			setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
			break;
		}
		if (s.how == FAKE_STALL)
			fake_stall(c->fd);
		if (s.how == FAKE_CLOSE || s.how == FAKE_STALL)
			break;
		if (s.how == FAKE_GARBAGE) {
			(void)fake_send(c->fd, "SSH-2.0-x\r\n", 11);
			break;
		}
		if (fake_answer(c->fd, &s, head) < 0)
			break;
		if (s.how == FAKE_TRICKLE)
			fake_stall(c->fd);
		if (s.how == FAKE_CUT || s.how == FAKE_TRICKLE)
			break;
	}
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->conns; i++)
		if (f->conn[i] == c->fd)
			f->conn[i] = -1;
	close(c->fd);
	pthread_mutex_unlock(&f->lock);
	free(c);
	return NULL;
}

static inline void *fake_accept(void *arg)
{
	struct fake *f = arg;
	int fd;

	while ((fd = accept(f->fd, NULL, NULL)) >= 0) {
		struct fake_conn *c = mem_alloc(sizeof(*c));

		*c = (struct fake_conn){ f, fd };
		pthread_mutex_lock(&f->lock);
		assert_true(f->conns < FAKE_CONNECTIONS);
		size_t i = f->conns++;

		f->conn[i] = fd;
		pthread_create(&f->thread[i], NULL, fake_serve, c);
		pthread_mutex_unlock(&f->lock);
	}
	return NULL;
}

/* At this port, which was one before; 0: at any. */
static inline struct fake *fake_start_at(unsigned port, const struct fake_step *steps,
					 size_t n)
{
	struct fake *f = mem_alloc(sizeof(*f));
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int one = 1;

	f->steps = steps;
	f->nsteps = n;
	pthread_mutex_init(&f->lock, NULL);
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(f->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(f->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(f->fd, 128), 0);
	assert_int_equal(getsockname(f->fd, (struct sockaddr *)&a, &len), 0);
	f->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&f->acceptor, NULL, fake_accept, f), 0);
	return f;
}

static inline struct fake *fake_start(const struct fake_step *steps, size_t n)
{
	return fake_start_at(0, steps, n);
}

static inline void fake_stop(struct fake *f)
{
	shutdown(f->fd, SHUT_RDWR);
	pthread_join(f->acceptor, NULL);
	close(f->fd);
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->conns; i++)
		if (f->conn[i] >= 0)
			shutdown(f->conn[i], SHUT_RDWR);
	pthread_mutex_unlock(&f->lock);
	for (size_t i = 0; i < f->conns; i++)
		pthread_join(f->thread[i], NULL);
	for (size_t i = 0; i < f->requests && i < FAKE_REQUESTS; i++)
		free(f->request[i]);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* A port where nobody listens. */
static inline unsigned fake_dead_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

#endif
