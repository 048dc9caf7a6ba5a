/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections with which a live database is captured, and nothing else of
 * SQLite (docs/capture.md, "Connections").
 *
 * Two readers are used in turn so that one read transaction is always open; W takes
 * the write lock for a barrier, and nothing else; K runs wal_checkpoint(PASSIVE)
 * and never another mode.  None of them checkpoints by itself, also not on close.
 *
 * The database file and its -shm are reached through SQLite's own file object only:
 * closing any other descriptor of them would drop the POSIX locks that this process
 * holds.  The one exception, for F_GETLK, stays open as long as the connections.
 *
 * One thread at a time may use a struct sq; a struct sq_file of it may be used by
 * another one.
 */
#ifndef WAL_SQLITE_H
#define WAL_SQLITE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sq;
struct sq_file;

/* Open an existing, non-empty database and switch it to WAL mode if it is not (*switched, may
 * be NULL, says so).  ERR_AGAIN: busy (an app in exclusive locking mode, recovery running);
 * ERR_NOT_FOUND; ERR_CORRUPT: not a database; ERR_DENIED; ERR_IO. */
MUST_CHECK struct sq *sq_open(const char *path, bool *switched, struct err *e);
/* Ends everything that is open.  NULL is fine. */
void sq_close(struct sq *s);

uint32_t sq_page_size(const struct sq *s);
const char *sq_path(const struct sq *s);     /* as realpath(3) gives it */
const char *sq_wal_path(const struct sq *s); /* the -wal beside it */

/* Why what is open here is not what an app that opens the path now would see: another file lies there (by inode), it is
 * empty, or its -shm was deleted and made anew.  NULL: it is the same. */
const char *sq_moved(struct sq *s);

/* Region 0 of the wal-index, 32 KiB; changes under our eyes.  NULL with *e when it cannot be
 * mapped.  Valid until sq_close. */
MUST_CHECK const volatile void *sq_index(struct sq *s, struct err *e);

/* Open a read transaction on reader 0 or 1.  ERR_AGAIN: busy. */
MUST_CHECK int sq_read_begin(struct sq *s, int reader, struct err *e);
void sq_read_end(struct sq *s, int reader);
bool sq_reading(const struct sq *s, int reader);

/* SQLite's write lock, without a transaction or a read mark; polls every 0.3 ms for up to
 * max_wait_ms.  Needs an open read transaction.  ERR_AGAIN when the time is over. */
MUST_CHECK int sq_write_lock(struct sq *s, int64_t max_wait_ms, struct err *e);
void sq_write_unlock(struct sq *s);

/* wal_checkpoint(PASSIVE): *log frames are in the WAL, *done of them are in the file. */
MUST_CHECK int sq_checkpoint(struct sq *s, uint32_t *log, uint32_t *done, struct err *e);
/* xSync on the database file. */
MUST_CHECK int sq_sync(struct sq *s, struct err *e);

/* Does another process hold a read mark of this database, from that one (0 to 4) on?  *pid: whose (0: unknown, in
 * another PID namespace).  0 no, 1 yes, -1 error. */
MUST_CHECK int sq_mark_holder(struct sq *s, int first, pid_t *pid, struct err *e);

/* Do other processes hold the checkpoint lock and the write lock?  So does wal_checkpoint(FULL, RESTART or TRUNCATE),
 * which waits for readers meanwhile.  False also when it cannot be asked. */
bool sq_checkpointer(struct sq *s);

/* The database file as it lies on the disk, without locks or transactions: for reading under
 * a transaction that another connection holds. */
MUST_CHECK struct sq_file *sq_file_open(struct sq *s, struct err *e);
/* n bytes at offset; bytes beyond the end are zeros. */
MUST_CHECK int sq_file_read(struct sq_file *f, void *p, size_t n, uint64_t offset,
			    struct err *e);
MUST_CHECK int sq_file_size(struct sq_file *f, uint64_t *size, struct err *e);
void sq_file_close(struct sq_file *f);

#endif
