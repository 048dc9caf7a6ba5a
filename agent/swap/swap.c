/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/swap/swap.h"

#include "agent/exit.h"
#include "agent/swap/inuse.h"
#include "agent/swap/swap_record.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "wal/sqlite_check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char *const side_suffixes[] = { "-wal", "-journal" };
#define SIDES (sizeof(side_suffixes) / sizeof(*side_suffixes))

void swap_report_free(struct swap_report *r)
{
	free(r->quarantine);
	r->quarantine = NULL;
}

/* Where the file system has no hard links (or refuses them for this file): a rename.  In the moment
 * without a database, swap.json tells what to do, and step 5 replaces nothing. */
static int link_or_rename(const char *from, const char *to, struct err *e)
{
	if (link(from, to) == 0)
		return 0;
	if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
		return err_errno(e, "link %s to %s", from, to);
	return file_move_new(from, to, e);
}

static int appeared(const char *db_path, struct err *e)
{
	err_set(e, ERR_EXISTS, "a process began to use %s; it was left there", db_path);
	err_slug(e, "database_in_use");
	err_hint(e, "stop it, then run this again");
	return err_exit(e, EXIT_LOCKED);
}

int swap_take_empty(const char *db_path, int64_t now_ms, struct err *e)
{
	AUTO_FREE char *aside = NULL;
	struct inuse u = { 0 };
	struct stat st;
	int there = swap_look(db_path, &st, e);
	int asked;

	if (there <= 0)
		return there;
	if (st.st_size > 0)
		return appeared(db_path, e);
	aside = swap_free_name(db_path, "replaced", now_ms, e);
	if (!aside || file_move_new(db_path, aside, e) < 0)
		return -1;
	/* Nobody opens it under this name: what is true now stays true. */
	asked = inuse_ask(aside, &u, e);
	if (asked == 0 && !u.in_use && file_size(aside) == 0)
		return file_unlink(aside, e);
	if (file_move_new(aside, db_path, e) < 0)
		return err_wrap(e, "put %s back", db_path);
	return asked < 0 ? -1 : appeared(db_path, e);
}

/* The name under which what is there now is kept: the planned one, unless another database has it. */
static char *name_to_keep(const struct swap *s, struct err *e)
{
	struct stat db;
	struct stat kept;
	int there = swap_look(s->db, &db, e);
	int done = swap_look(s->quarantine, &kept, e);

	if (there < 0 || done < 0)
		return NULL;
	if (!there || db.st_size == 0 || !done || file_same(&db, &kept))
		return mem_str(s->quarantine);
	return swap_free_name(s->db, "replaced", clock_wall_ms(), e);
}

static int quarantine_main(const struct swap *s, const char *name, struct err *e)
{
	struct stat db;
	struct stat kept;
	int there = swap_look(s->db, &db, e);
	int done = swap_look(name, &kept, e);

	if (there < 0 || done < 0)
		return -1;
	if (there && db.st_size == 0)
		return swap_take_empty(s->db, clock_wall_ms(), e);
	if (!there || done)
		return 0;
	return link_or_rename(s->db, name, e);
}

static int quarantine_side(const char *db, const char *name, const char *suffix,
			   bool *moved, struct err *e)
{
	AUTO_FREE char *from = mem_fmt("%s%s", db, suffix);
	AUTO_FREE char *to = mem_fmt("%s%s", name, suffix);
	AUTO_FREE char *other = NULL;
	struct stat st;
	int there = swap_look(from, &st, e);

	if (there <= 0)
		return there;
	if (st.st_size == 0)
		return file_unlink(from, e);
	*moved = true;
	if (file_move_new(from, to, e) == 0)
		return 0;
	if (e->code != ERR_EXISTS)
		return -1;
	/* An app ran in between and left one more. */
	*e = (struct err)ERR_INIT;
	other = swap_free_name(db, "replaced", clock_wall_ms(), e);
	if (!other)
		return -1;
	free(to);
	to = mem_fmt("%s%s", other, suffix);
	return file_move_new(from, to, e);
}

/* Step 4. */
static int quarantine(struct swap *s, struct swap_report *out, struct err *e)
{
	AUTO_FREE char *shm = mem_fmt("%s-shm", s->db);

	AUTO_FREE char *name = name_to_keep(s, e);

	if (!name || quarantine_main(s, name, e) < 0)
		return -1;
	for (size_t i = 0; i < SIDES; i++)
		if (quarantine_side(s->db, name, side_suffixes[i], &out->side_files, e) < 0)
			return -1;
	if (file_unlink(shm, e) < 0)
		return -1;
	return file_sync_dir(s->db, e);
}

static void report_quarantine(const struct swap *s, struct swap_report *out)
{
	struct stat st;

	for (size_t i = 0; i < SIDES; i++) {
		AUTO_FREE char *path = mem_fmt("%s%s", s->quarantine, side_suffixes[i]);

		out->side_files = out->side_files || file_exists(path);
	}
	if (lstat(s->quarantine, &st) == 0)
		out->quarantine = mem_str(s->quarantine);
}

/* Step 5.  The old file has its other name; where there is none, nothing is replaced. */
static int place_new(const struct swap *s, struct err *e)
{
	struct stat db;
	int there = swap_look(s->db, &db, e);

	if (there < 0)
		return -1;
	return there ? file_rename(s->temp, s->db, e) : file_move_new(s->temp, s->db, e);
}

/* Steps 4 to 6, all of them repeatable. */
static int finish(struct swap *s, struct swap_report *out, struct err *e)
{
	if (quarantine(s, out, e) < 0 || place_new(s, e) < 0 ||
	    file_sync_dir(s->db, e) < 0 || swap_remove_record(s, e) < 0)
		return err_wrap(e, "replace %s (begun; the next command goes on)", s->db);
	report_quarantine(s, out);
	return 0;
}

/* A side file gets its name back, unless there is another one by now: then it stays where it is. */
static int put_side_back(const struct swap *s, const char *suffix, struct err *e)
{
	AUTO_FREE char *to = mem_fmt("%s%s", s->db, suffix);
	AUTO_FREE char *from = mem_fmt("%s%s", s->quarantine, suffix);

	if (!file_exists(from) || file_move_new(from, to, e) == 0)
		return 0;
	if (e->code != ERR_EXISTS)
		return -1;
	*e = (struct err)ERR_INIT;
	return 0;
}

/* The new file is lost: the old database gets its names back. */
static int undo(struct swap *s, struct swap_report *out, struct err *e)
{
	struct stat db;
	struct stat kept;
	int there = swap_look(s->db, &db, e);
	int linked = swap_look(s->quarantine, &kept, e);

	if (there < 0 || linked < 0)
		return -1;
	if (!there && linked && file_move_new(s->quarantine, s->db, e) < 0)
		return -1;
	bool ours = !there || !linked || file_same(&db, &kept);

	for (size_t i = 0; ours && i < SIDES; i++)
		if (put_side_back(s, side_suffixes[i], e) < 0)
			return -1;
	if (ours && there && linked && file_unlink(s->quarantine, e) < 0)
		return -1;
	if (file_sync_dir(s->db, e) < 0)
		return -1;
	out->undone = true;
	return swap_remove_record(s, e);
}

/* Without its temporary file: is step 5 done (1), or was the file lost before (0)? */
static int was_renamed(const struct swap *s, struct err *e)
{
	struct stat db;
	struct stat kept;
	uint64_t sum = 0;
	int there = swap_look(s->db, &db, e);
	int linked = swap_look(s->quarantine, &kept, e);

	if (there < 0 || linked < 0)
		return -1;
	if (!there)
		return 0;
	if (linked)
		return !file_same(&db, &kept);
	if (!s->old)
		return 1;
	/* The quarantined file was removed by hand, or the link never made: only the content tells. */
	if (swap_sum_of_file(s->db, &sum, e) == 0)
		return sum == s->sum;
	if (e->code != ERR_CORRUPT)
		return -1;
	*e = (struct err)ERR_INIT;
	return 0;
}

/* Is there a temporary file?  Not if it is the database already: a link was made, its old name is to go. */
static int look_at_temp(const struct swap *s, struct err *e)
{
	struct stat temp;
	struct stat db;
	int there = swap_look(s->temp, &temp, e);
	int placed = there > 0 ? swap_look(s->db, &db, e) : 0;

	if (there < 0 || placed < 0)
		return -1;
	if (!placed || !file_same(&temp, &db))
		return there;
	return file_unlink(s->temp, e);
}

static int recover_locked(struct swap *s, struct swap_report *out, struct err *e)
{
	struct stat st;
	uint64_t sum = 0;
	int there = swap_look(s->json, &st, e);
	int done;

	if (there <= 0)
		return there;
	if (swap_read_record(s, e) < 0)
		return -1;
	there = look_at_temp(s, e);
	if (there < 0)
		return -1;
	out->redone = true;
	if (!there) {
		done = was_renamed(s, e);
		if (done < 0)
			return -1;
		if (done) {
			if (file_sync_dir(s->db, e) < 0 || swap_remove_record(s, e) < 0)
				return -1;
			report_quarantine(s, out);
			return 0;
		}
	}
	if (inuse_refuse(s->db, e) < 0)
		return -1;
	if (!there)
		return undo(s, out, e);
	if (swap_sum_of_file(s->temp, &sum, e) < 0) {
		if (e->code != ERR_CORRUPT)
			return -1;
		*e = (struct err)ERR_INIT;
		return undo(s, out, e);
	}
	return sum == s->sum ? finish(s, out, e) : undo(s, out, e);
}

int swap_recover(const char *db_path, struct swap_report *out, struct err *e)
{
	CLEANUP(swap_free) struct swap s = SWAP_NONE;
	struct stat st;
	int there;

	*out = (struct swap_report){ 0 };
	swap_init(&s, db_path);
	there = swap_look(s.json, &st, e);
	if (there <= 0)
		return there;
	if (swap_lock(&s, e) < 0 || recover_locked(&s, out, e) < 0)
		return err_wrap(e, "finish the replacement of %s", db_path);
	return 0;
}

/* The new file as the old one: mode, owner, on the disk. */
static int dress(const char *temp, const struct stat *old, struct err *e)
{
	AUTO_CLOSE int fd = open(temp, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, "open %s", temp);
	if (old && (st.st_uid != old->st_uid || st.st_gid != old->st_gid) &&
	    fchown(fd, old->st_uid, old->st_gid) < 0) {
		err_errno(e, "give %s the owner %u:%u of the database it replaces", temp,
			  (unsigned)old->st_uid, (unsigned)old->st_gid);
		return err_hint(e, "run this as that user, or as root");
	}
	if (old && (st.st_mode & 07777) != (old->st_mode & 07777) &&
	    fchmod(fd, old->st_mode & 07777) < 0)
		return err_errno(e, "mode of %s", temp);
	return file_sync(fd, temp, e);
}

static int check_request(const struct swap_request *r, const struct swap *s, struct err *e)
{
	AUTO_FREE char *dir = file_dirname(r->temp_path);
	struct stat st;

	if (strcmp(dir, s->dir) != 0)
		return err_set(e, ERR_BUG, "%s is not beside %s", r->temp_path, s->db);
	if (lstat(r->temp_path, &st) < 0)
		return err_errno(e, "%s", r->temp_path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_USAGE, "%s is not a regular file", r->temp_path);
	return 0;
}

/* Steps 2 and 3. */
static int prepare(const struct swap_request *r, struct swap *s, struct err *e)
{
	struct stat old;
	int there = swap_look(s->db, &old, e);

	if (there < 0)
		return -1;
	if (there && !S_ISREG(old.st_mode))
		return err_set(e, ERR_USAGE, "%s is not a regular file", s->db);
	s->old = there && old.st_size > 0;
	if (there && inuse_refuse(s->db, e) < 0)
		return -1;
	if (s->old && r->old_is_healthy && sq_leave_wal(s->db, e) < 0)
		return -1;
	if (dress(r->temp_path, there ? &old : NULL, e) < 0)
		return -1;
	s->sum = r->db_sum;
	if (!r->have_db_sum && swap_sum_of_file(r->temp_path, &s->sum, e) < 0)
		return -1;
	s->temp = mem_str(r->temp_path);
	s->quarantine =
		swap_free_name(s->db, r->label ? r->label : "corrupted", r->now_ms, e);
	return s->quarantine ? swap_write_record(s, e) : -1;
}

int swap_replace(const struct swap_request *r, struct swap_report *out, struct err *e)
{
	CLEANUP(swap_free) struct swap s = SWAP_NONE;

	*out = (struct swap_report){ 0 };
	swap_init(&s, r->db_path);
	if (check_request(r, &s, e) < 0 || swap_lock(&s, e) < 0)
		return err_wrap(e, "replace %s", r->db_path);
	if (file_exists(s.json))
		return err_set(e, ERR_BUG, "replace %s: an earlier swap is not finished",
			       r->db_path);
	if (prepare(r, &s, e) < 0)
		return err_wrap(e, "replace %s (not begun, nothing was changed)",
				r->db_path);
	out->begun = true;
	return finish(&s, out, e);
}

int swap_clear_leftovers(const char *db_path, const char *label, int64_t now_ms,
			 bool *moved, struct err *e)
{
	CLEANUP(swap_free) struct swap s = SWAP_NONE;
	AUTO_FREE char *shm = mem_fmt("%s-shm", db_path);
	struct stat st;
	int there;

	*moved = false;
	swap_init(&s, db_path);
	there = swap_look(s.db, &st, e);
	if (there < 0)
		return -1;
	if (there && st.st_size > 0)
		return appeared(db_path, e);
	if (there && inuse_refuse(db_path, e) < 0)
		return -1;
	s.quarantine = swap_free_name(db_path, label, now_ms, e);
	if (!s.quarantine)
		return -1;
	for (size_t i = 0; i < SIDES; i++)
		if (quarantine_side(db_path, s.quarantine, side_suffixes[i], moved, e) < 0)
			return -1;
	if (file_unlink(shm, e) < 0)
		return -1;
	return *moved ? file_sync_dir(db_path, e) : 0;
}
