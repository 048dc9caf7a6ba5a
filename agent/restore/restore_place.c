/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/restore/restore_place.h"

#include "agent/exit.h"
#include "agent/swap/inuse.h"
#include "agent/swap/swap.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 20 };

/* This machine's matter whatever errno says: no store denied it, and no other replica can help. */
static int local(struct err *e)
{
	if (e->sys == EACCES || e->sys == EPERM)
		err_hint(e, "run this as a user who may write there");
	if (e->code == ERR_DENIED || e->code == ERR_NOT_FOUND)
		e->code = ERR_IO;
	return -1;
}

static int no_file(const char *output, const struct stat *st, struct err *e)
{
	bool folder = S_ISDIR(st->st_mode);

	err_set(e, ERR_EXISTS, "%s is %s; nothing was changed", output,
		folder ? "a folder" : "not a regular file");
	err_hint(e, "%s",
		 folder ? "-o FOLDER/NAME.db for a file in it"
			: "-o OTHER to restore elsewhere, or -o - for standard output");
	err_slug(e, "output_is_no_file");
	return err_exit(e, EXIT_FAILED);
}

static int exists(const char *output, struct err *e)
{
	err_set(e, ERR_EXISTS, "%s exists; nothing was changed", output);
	err_hint(e, "-o OTHER to restore beside it, or -force to replace it (the old file "
		    "is kept)");
	err_slug(e, "output_exists");
	return err_exit(e, EXIT_FAILED);
}

int place_refuse(const char *output, bool replace, struct err *e)
{
	struct stat st;

	if (stat(output, &st) < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		err_errno(e, "look at %s", output);
		return local(e);
	}
	if (!S_ISREG(st.st_mode))
		return no_file(output, &st, e);
	if (replace)
		return inuse_refuse(output, e);
	if (st.st_size == 0)
		return 0;
	return exists(output, e);
}

static int open_unlinked(struct place *p, struct err *e)
{
	const char *dir = getenv("TMPDIR"); // NOLINT(concurrency-mt-unsafe): nobody sets it
	char *name;

	if (!dir || !*dir)
		dir = "/tmp";
	p->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (p->fd < 0) {
		/* Not every file system has O_TMPFILE. */
		name = mem_fmt("%s/walback-XXXXXX", dir);
		p->fd = mkostemp(name, O_CLOEXEC);
		if (p->fd >= 0)
			unlink(name);
		free(name);
	}
	if (p->fd < 0) {
		err_errno(e, "make a temporary file in %s", dir);
		return err_hint(e, "set TMPDIR to a folder with room for the database");
	}
	p->path = mem_fmt("/proc/self/fd/%d", p->fd);
	return 0;
}

static int lock_temp(const struct place *p, struct err *e)
{
	if (flock(p->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return err_errno(e, "lock %s", p->path);
	err_set(e, ERR_EXISTS, "another restore is writing %s", p->path);
	err_hint(e, "wait for it, or restore to another file with -o");
	err_slug(e, "restore_running");
	return err_exit(e, EXIT_LOCKED);
}

/* Is the locked file still the one of that name?  Its last owner may have renamed or removed it.  1, 0 or -1. */
static int still_there(const struct place *p, struct err *e)
{
	struct stat a, b;

	if (fstat(p->fd, &a) < 0 || lstat(p->path, &b) < 0 || !file_same(&a, &b))
		return 0;
	if (!S_ISREG(a.st_mode))
		return err_set(e, ERR_IO, "%s is not a regular file", p->path);
	/* Another name of a finished database (file_move_new, killed half-way) or of anybody's file: never to be
	 * emptied. */
	if (a.st_nlink > 1)
		return file_unlink(p->path, e);
	return 1;
}

static int open_beside(struct place *p, struct err *e)
{
	for (int tries = 0; tries < 10; tries++) {
		int ours;

		p->fd = open(p->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (p->fd < 0)
			return err_errno(e, "create %s", p->path);
		ours = lock_temp(p, e) < 0 ? -1 : still_there(p, e);
		if (ours > 0)
			return place_reset(p, e);
		close(p->fd);
		p->fd = -1;
		if (ours < 0)
			return -1;
	}
	return err_set(e, ERR_IO, "%s keeps being replaced by another process", p->path);
}

static int open_named(struct place *p, const char *output, struct err *e)
{
	char *dir AUTO_FREE = file_dirname(output);

	if (file_mkdirs(dir, 0700, e) < 0 || !(p->output = file_realpath(output, e)))
		return -1;
	p->path = mem_fmt("%s%s", p->output, RESTORE_TEMP_SUFFIX);
	return open_beside(p, e);
}

int place_open(struct place *p, const struct restore_request *r, struct err *e)
{
	*p = (struct place){ .fd = -1 };
	if ((r->output_fd > 0
		     ? open_unlinked(p, e)
		     : open_named(p, r->output ? r->output : r->db->path, e)) < 0) {
		place_drop(p);
		return local(e);
	}
	return 0;
}

int place_reset(struct place *p, struct err *e)
{
	if (ftruncate(p->fd, 0) < 0 || lseek(p->fd, 0, SEEK_SET) < 0)
		return err_errno(e, "empty %s", p->path);
	return 0;
}

static int set_owner(struct place *p, const struct restore_request *r, struct err *e)
{
	char *dir AUTO_FREE = NULL;
	uid_t uid = r->uid;
	gid_t gid = r->gid;
	struct stat st;

	if (!r->have_owner) {
		if (geteuid() != 0)
			return 0;
		dir = file_dirname(p->output);
		if (stat(dir, &st) < 0)
			return err_errno(e, "look at %s", dir);
		uid = st.st_uid;
		gid = st.st_gid;
	}
	if (fchown(p->fd, uid, gid) < 0)
		return err_errno(e, "give %s to user %u, group %u", p->path, uid, gid);
	return 0;
}

int place_seal(struct place *p, const struct restore_request *r, int64_t *sync_ms,
	       struct err *e)
{
	int64_t began = clock_mono_ms();

	if (p->output) {
		if (fchmod(p->fd, r->have_mode ? r->mode : 0600) < 0)
			return err_errno(e, "set the mode of %s", p->path);
		if (set_owner(p, r, e) < 0 || file_sync(p->fd, p->path, e) < 0)
			return local(e);
	}
	*sync_ms = clock_mono_ms() - began;
	return 0;
}

/* The output is a realpath: a link there has come since. */
static int refuse_link(const char *output, struct err *e)
{
	struct stat st;

	return lstat(output, &st) == 0 && S_ISLNK(st.st_mode) ? exists(output, e) : 0;
}

int place_commit(struct place *p, bool *moved, struct err *e)
{
	int64_t now_ms = clock_wall_ms();

	*moved = false;
	if (place_refuse(p->output, false, e) < 0 || refuse_link(p->output, e) < 0)
		return err_wrap(e, "during the restore something came there");
	if (swap_clear_leftovers(p->output, "corrupted", now_ms, moved, e) < 0 ||
	    swap_take_empty(p->output, now_ms, e) < 0)
		return local(e);
	if (file_move_new(p->path, p->output, e) < 0) {
		if (e->code != ERR_EXISTS)
			return local(e);
		*e = (struct err)ERR_INIT;
		exists(p->output, e);
		return err_wrap(e, "during the restore something came there");
	}
	free(p->path);
	p->path = NULL;
	return file_sync_dir(p->output, e);
}

int place_copy(struct place *p, int fd, const struct stop *stop, struct err *e)
{
	uint8_t *b AUTO_FREE = mem_alloc(COPY_BYTES);
	uint64_t at = 0;

	for (;;) {
		ssize_t n;

		if (stop_check(stop, e) < 0)
			return -1;
		n = file_pread_some(p->fd, b, COPY_BYTES, at, p->path, e);
		if (n < 0)
			return -1;
		if (n == 0)
			return 0;
		if (file_write_full(fd, b, (size_t)n, "standard output", e) < 0)
			return -1;
		at += (uint64_t)n;
	}
}

void place_drop(struct place *p)
{
	/* Still locked: nobody else's file of that name is hit. */
	if (p->output && p->path && p->fd >= 0)
		unlink(p->path);
	if (p->fd >= 0)
		close(p->fd);
	free(p->path);
	free(p->output);
	*p = (struct place){ .fd = -1 };
}
