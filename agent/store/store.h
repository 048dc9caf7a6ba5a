/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a replica's objects live: a folder (agent/store_file) or an S3 bucket
 * (agent/store_s3), behind one small struct of operations.
 *
 * Keys are relative to the replica's root, without a leading slash; the
 * alphabet is [0-9A-Za-z._/-].  Objects appear whole or not at all.  All
 * functions may be called from any thread; they block, and give up at the
 * deadline of store_options or when the stop token is set.
 *
 * Codes: NOT_FOUND no such object (or bucket: its message and slug say so);
 * EXISTS an if-absent or if-match condition failed; DENIED; AGAIN unreachable
 * or failing after all retries; CANCELED; CORRUPT an answer that makes no
 * sense; IO local failure.
 */
#ifndef AGENT_STORE_H
#define AGENT_STORE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/stop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_ETAG_MAX 96

struct store_object {
	char *key;     /* relative; in a list callback valid during the call */
	uint64_t size; /* stored bytes */
	int64_t mtime_ms;
	char etag[STORE_ETAG_MAX]; /* with quotes as the store gives it; "" if none */
};

struct store_put {
	bool if_absent;	      /* EXISTS when there is one */
	const char *if_match; /* EXISTS when its ETag is another (or it is gone) */
	char *etag_out;	      /* STORE_ETAG_MAX bytes or NULL: the new object's ETag */
};

/* One piece of a bulk fetch: a whole object (len UINT64_MAX) or a range of it. */
struct store_piece {
	const char *key; /* must live until store_fetch_end */
	uint64_t offset, len;
	uint64_t
		expect; /* bytes expected (from LIST), to reserve window; the answer may not be larger */
};

struct store;
struct store_fetch;
struct store_writer;

struct store_ops {
	/* Append bytes [offset, offset+len) to out (len UINT64_MAX: to the end; a range beyond the
	 * end gives fewer bytes).  meta may be NULL. */
	int (*get)(struct store *s, const char *key, uint64_t offset, uint64_t len,
		   struct buf *out, struct store_object *meta, struct err *e);
	int (*head)(struct store *s, const char *key, struct store_object *meta,
		    struct err *e);
	int (*put)(struct store *s, const char *key, const void *p, size_t n,
		   const struct store_put *o, struct err *e);
	/* Every object below prefix, in no particular order; cb returning non-zero stops with 0.
	 * With a delimiter: only direct children; sub-folders come as keys that end in '/'.
	 * A missing folder lists as empty; a missing bucket is NOT_FOUND. */
	int (*list)(struct store *s, const char *prefix, bool delimiter,
		    int (*cb)(void *arg, const struct store_object *o), void *arg,
		    struct err *e);
	/* Every object below prefix with many requests at once; fold: a character that groups the keys
	 * (s3/list.h).  1: not with this store; then what cb was given is void, and list does it.  NULL
	 * where no request goes over a network. */
	int (*list_wide)(struct store *s, const char *prefix, char fold,
			 int (*cb)(void *arg, const struct store_object *o), void *arg,
			 struct err *e);
	/* Missing objects are fine. */
	int (*del)(struct store *s, const char *const *keys, size_t n, struct err *e);
	int (*copy)(struct store *s, const char *from, const char *to,
		    const struct store_put *o, struct err *e);

	/* Many pieces at once, delivered in order; at most window requests and about max_bytes
	 * of undelivered data.  pieces and keys live until end. */
	struct store_fetch *(*fetch_begin)(struct store *s,
					   const struct store_piece *pieces, size_t n,
					   unsigned window, size_t max_bytes);
	/* The next piece's bytes into out (reset first).  1, 0 after the last, -1 (the piece's error;
	 * the fetch can go on with the next piece). */
	int (*fetch_next)(struct store_fetch *f, struct buf *out, struct err *e);
	void (*fetch_end)(
		struct store_fetch *f); /* may be called early; waits for nothing remote */

	/* A large object written as a stream: bounded memory, parts sent while more is written. */
	struct store_writer *(*write_begin)(struct store *s, const char *key,
					    const struct store_put *o, struct err *e);
	int (*write)(struct store_writer *w, const void *p, size_t n, struct err *e);
	int (*write_commit)(struct store_writer *w,
			    struct err *e);	     /* frees w in every case */
	void (*write_abort)(struct store_writer *w); /* nothing is left behind; frees w */

	void (*close)(struct store *s);
};

struct store {
	const struct store_ops *ops;
	char *url; /* for messages, without secrets: "s3://bucket/path", "file:///dir" */
};

struct store_options {
	const struct stop *stop;
	int64_t timeout_ms; /* total for one operation with its retries; 0: 30 s */
	bool forever; /* replicate: never give up on connection trouble inside one operation's
			     * retries sooner than the stop token says; still at most timeout_ms a call */
};

struct replica_config;

/* Opens nothing remote.  The store keeps what it needs of rc by copy. */
MUST_CHECK struct store *store_open(const struct replica_config *rc,
				    const struct store_options *o, struct err *e);
void store_close(struct store *s); /* NULL is fine */
void store_closep(struct store **s);

struct store *store_file_new(const char *root, const struct store_options *o);
struct store *store_s3_new(const struct replica_config *rc, const struct store_options *o,
			   struct err *e);

#endif
