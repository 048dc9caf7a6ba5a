/* SPDX-License-Identifier: Apache-2.0 */
/*
 * swap.json: {"v":1,"temp":NAME,"db_sum":"16 hex digits","old":BOOL,"quarantine":NAME}.
 * Names without a slash: all files lie in the database's folder.  The side files'
 * quarantine names are the quarantine name with -wal and -journal.  db_sum is
 * the sum of the new file (docs/format.md): a temporary file found by
 * swap_recover counts only if it has it.
 */
#include "agent/swap/swap_record.h"

#include "agent/exit.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wal/dbhdr.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>

#define LOCK_WAIT_MS 10000
#define LOCK_POLL_MS 50
#define NAMES_TRIED 1000
#define NAME_EXTRA 32 /* ".", ".20261121T030211Z", ".1000", "-journal" */

void swap_init(struct swap *s, const char *db_path)
{
	*s = (struct swap)SWAP_NONE;
	s->db = mem_str(db_path);
	s->dir = file_dirname(db_path);
	s->meta = mem_fmt("%s/.%s-walback", s->dir, file_basename(db_path));
	s->json = mem_fmt("%s/swap.json", s->meta);
	s->lock = mem_fmt("%s/swap.lock", s->meta);
}

/* The lock's name goes while it is held; whoever waits for it sees that and makes a new one.  The
 * folder goes when nothing else is in it. */
void swap_free(struct swap *s)
{
	if (s->lock_fd >= 0) {
		unlink(s->lock);
		rmdir(s->meta);
		close(s->lock_fd);
	}
	free(s->db);
	free(s->dir);
	free(s->json);
	free(s->lock);
	free(s->meta);
	free(s->temp);
	free(s->quarantine);
}

/* 1 there, 0 not there, -1 cannot tell. */
int swap_look(const char *path, struct stat *st, struct err *e)
{
	if (lstat(path, st) == 0)
		return 1;
	if (errno == ENOENT || errno == ENOTDIR)
		return 0;
	return err_errno(e, "%s", path);
}

/* As root the folder belongs to whom the database's folder belongs: the agent may run as that user. */
static int make_meta(const struct swap *s, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct stat parent;
	struct stat st;
	int there = swap_look(s->meta, &st, e);

	if (there)
		return there < 0 ? -1 : 0;
	if (file_mkdirs(s->meta, 0700, e) < 0)
		return -1;
	if (geteuid() == 0 && stat(s->dir, &parent) == 0) {
		/* Not by name: who owns the parent could put a link to another's folder there. */
		fd = open(s->meta, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fchown(fd, parent.st_uid, parent.st_gid) < 0)
			return err_errno(e, "owner of %s", s->meta);
	}
	return file_sync_dir(s->meta, e);
}

/* One attempt: 1 locked, 0 somebody has it (or it has just gone), -1. */
static int try_lock(struct swap *s, struct err *e)
{
	AUTO_CLOSE int fd = -1;

	if (make_meta(s, e) < 0)
		return -1;
	fd = open(s->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, "open %s", s->lock);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 0 : err_errno(e, "lock %s", s->lock);
	if (!file_is_at(fd, s->lock))
		return 0;
	s->lock_fd = steal_fd(&fd);
	return 1;
}

int swap_lock(struct swap *s, struct err *e)
{
	int64_t deadline = clock_mono_ms() + LOCK_WAIT_MS;
	int got;

	while ((got = try_lock(s, e)) == 0) {
		if (clock_mono_ms() >= deadline) {
			err_set(e, ERR_EXISTS, "another walback is replacing %s", s->db);
			err_slug(e, "swap_locked");
			err_hint(e, "wait for it to end");
			return err_exit(e, EXIT_LOCKED);
		}
		clock_sleep_ms(LOCK_POLL_MS);
	}
	return got < 0 ? -1 : 0;
}

/* The sum of the file's pages; ERR_CORRUPT when it is no database. */
int swap_sum_of_file(const char *path, uint64_t *sum, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	AUTO_FREE uint8_t *page = NULL;
	uint8_t first[DBHDR_SIZE];
	struct dbhdr h;
	ssize_t got;

	if (fd < 0)
		return err_errno(e, "open %s", path);
	got = file_pread_some(fd, first, sizeof(first), 0, path, e);
	if (got < 0 || dbhdr_parse(&h, first, (size_t)got, e) < 0)
		return err_wrap(e, "%s", path);
	page = mem_alloc(h.page_size);
	*sum = 0;
	for (uint32_t pgno = 1; pgno; pgno++) {
		got = file_pread_some(fd, page, h.page_size,
				      (uint64_t)(pgno - 1) * h.page_size, path, e);
		if (got < 0)
			return -1;
		if (got == 0)
			return 0;
		if ((size_t)got != h.page_size)
			break;
		if (pgno != db_lock_page(h.page_size))
			*sum ^= hash_page(pgno, page, h.page_size);
	}
	return err_set(e, ERR_CORRUPT, "%s does not end with a whole page", path);
}

/* NAME.<label>.<time>, or the same with .2 and so on: neither it nor its side files exist. */
char *swap_free_name(const char *db, const char *label, int64_t now_ms, struct err *e)
{
	static const char *const parts[] = { "", "-wal", "-journal" };
	char when[17];

	text_format_time_compact(now_ms, when);
	if (strlen(file_basename(db)) + strlen(label) + NAME_EXTRA > NAME_MAX) {
		err_set(e, ERR_USAGE, "%s: name too long for %s.%s.%s-journal", db,
			file_basename(db), label, when);
		return NULL;
	}
	for (int i = 1; i <= NAMES_TRIED; i++) {
		AUTO_FREE char *name = i == 1 ? mem_fmt("%s.%s.%s", db, label, when)
					      : mem_fmt("%s.%s.%s.%d", db, label, when, i);
		bool taken = false;

		for (size_t k = 0; k < sizeof(parts) / sizeof(*parts); k++) {
			AUTO_FREE char *path = mem_fmt("%s%s", name, parts[k]);

			taken = taken || file_exists(path);
		}
		if (!taken)
			return STEAL(name);
	}
	err_set(e, ERR_EXISTS, "%s.%s.%s: all such names are taken", db, label, when);
	return NULL;
}

int swap_write_record(const struct swap *s, struct err *e)
{
	CLEANUP(buf_free) struct buf b = BUF(16384);
	struct json_out j = { .b = &b };

	json_open(&j, NULL, '{');
	json_put_i64(&j, "v", 1);
	json_put_str(&j, "temp", file_basename(s->temp));
	json_put_hex(&j, "db_sum", s->sum, 16);
	json_put_bool(&j, "old", s->old);
	json_put_str(&j, "quarantine", file_basename(s->quarantine));
	json_close(&j, '}');
	buf_addf(&b, "\n");
	if (!buf_ok(&b))
		return err_set(e, ERR_USAGE, "%s: name too long", s->db);
	return file_write_atomic(s->json, b.p, b.len, 0600, false, e);
}

static bool plain_name(const char *name, const struct swap *s)
{
	return name && *name && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0 && strcmp(name, file_basename(s->db)) != 0;
}

int swap_read_record(struct swap *s, struct err *e)
{
	CLEANUP(buf_free) struct buf b = BUF(16384);
	CLEANUP(json_freep) struct json *j = NULL;
	const char *sum;
	int64_t v = 0;

	if (file_read(s->json, &b, e) < 0)
		return -1;
	j = json_parse(b.len ? b.p : (const uint8_t *)"", b.len, s->json, e);
	if (!j)
		return -1;
	sum = json_str(j, "db_sum");
	if (json_i64(j, "v", &v) < 0 || v != 1 || !sum || strlen(sum) != 16 ||
	    text_hex64(sum, 16, &s->sum) < 0 || !plain_name(json_str(j, "temp"), s) ||
	    !plain_name(json_str(j, "quarantine"), s)) {
		err_set(e, ERR_CORRUPT, "%s is not a record of a swap", s->json);
		err_slug(e, "swap_record_damaged");
		return err_hint(e, "look at the files beside %s, then remove it", s->db);
	}
	s->old = json_bool(j, "old", true);
	s->temp = file_join(s->dir, json_str(j, "temp"));
	s->quarantine = file_join(s->dir, json_str(j, "quarantine"));
	return 0;
}

int swap_remove_record(const struct swap *s, struct err *e)
{
	if (file_unlink(s->json, e) < 0)
		return -1;
	return file_sync_dir(s->json, e);
}
