/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and folders: whole reads with a ceiling, writes that are complete,
 * and files that appear all at once (temp, write, fsync, rename, fsync of the
 * folder).  Every error names the path.  EINTR is retried; all descriptors
 * are close-on-exec.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Append the whole file to out.  ERR_NOT_FOUND if there is none; ERR_IO if it exceeds out's room. */
MUST_CHECK int file_read(const char *path, struct buf *out, struct err *e);

/* All n bytes or an error; `what` names the file in the message. */
MUST_CHECK int file_pread_full(int fd, void *p, size_t n, uint64_t offset, const char *what,
			       struct err *e);
MUST_CHECK int file_pwrite_full(int fd, const void *p, size_t n, uint64_t offset,
				const char *what, struct err *e);
MUST_CHECK int file_write_full(int fd, const void *p, size_t n, const char *what,
			       struct err *e);
/* Up to n bytes, fewer only at the end of the file; -1 on error. */
MUST_CHECK ssize_t file_pread_some(int fd, void *p, size_t n, uint64_t offset,
				   const char *what, struct err *e);

MUST_CHECK int file_sync(int fd, const char *what, struct err *e);     /* fsync */
MUST_CHECK int file_datasync(int fd, const char *what, struct err *e); /* fdatasync */
MUST_CHECK int file_close(int *fd, const char *what,
			  struct err *e); /* checked close; *fd = -1 */
MUST_CHECK int file_sync_dir(const char *path_in_dir,
			     struct err *e); /* fsync of the folder that holds path */

/* path appears with these bytes or does not change.  With if_absent: ERR_EXISTS when
 * something is there (link(2), so also against other processes). */
MUST_CHECK int file_write_atomic(const char *path, const void *p, size_t n, mode_t mode,
				 bool if_absent, struct err *e);

MUST_CHECK int file_mkdirs(const char *path, mode_t mode, struct err *e);    /* mkdir -p */
MUST_CHECK int file_rename(const char *from, const char *to, struct err *e); /* no fsync */
/* temp gets the name path, unless something has it: ERR_EXISTS, also against other processes.  No fsync. */
MUST_CHECK int file_rename_new(const char *temp, const char *path, struct err *e);

/*
 * The same for a file whose old name matters: on success `from` is gone, on failure `to` is as it was.
 * ERR_EXISTS: something has that name (a dangling link too); no other process can come between the look and the
 * deed.  No fsync.
 *
 * renameat2(2) with RENAME_NOREPLACE; where that is not to be had (NFS, some FUSE) link(2) and unlink(2), which a
 * crash may leave half done: one file with both names, and the same call again finishes it.  File systems with
 * neither get an empty file that only one process can have made (O_EXCL), and it is replaced: nobody's file is
 * lost there either, but who opens it in that instant holds an empty file that is gone, and a crash may leave it
 * behind.  (So not for a store's objects, which appear whole or not at all.)
 */
MUST_CHECK int file_move_new(const char *from, const char *to, struct err *e);

/* Missing is fine. */
MUST_CHECK int file_unlink(const char *path, struct err *e);
/* rm -r of a folder that this program made; missing is fine. */
MUST_CHECK int file_remove_tree(const char *path, struct err *e);

bool file_exists(const char *path);	 /* anything of that name */
int64_t file_size(const char *path);	 /* -1: none or not a file */
int64_t file_mtime_ms(const char *path); /* -1: none */
/* Is it one and the same file, whatever its names? */
bool file_same(const struct stat *a, const struct stat *b);
/* Does the open file lie at path (links followed)?  False also if nothing can be told. */
bool file_is_at(int fd, const char *path);
MUST_CHECK int file_free_space(const char *path, uint64_t *bytes, struct err *e);

/* realpath(3) of a path whose last part need not exist; malloc'd. */
MUST_CHECK char *file_realpath(const char *path, struct err *e);
/* "/a/b/c" -> "/a/b" and "c"; malloc'd. "c" -> "." */
char *file_dirname(const char *path);
const char *file_basename(const char *path);
char *file_join(const char *dir, const char *name); /* one slash between; malloc'd */

#endif
