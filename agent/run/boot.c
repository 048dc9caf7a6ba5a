/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run/boot.h"

#include "agent/exit.h"
#include "agent/swap/swap.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>
#include <unistd.h>

#define LINE_REQUIRED "DATABASE RESTORE REQUIRED"
#define LINE_RESTORED "Database successfully restored and verified"
#define LINE_NO_BACKUP "WARNING: No backup found or restore failed"

static int recover(const struct db_config *db, struct err *e)
{
	CLEANUP(swap_report_free) struct swap_report out = { 0 };

	if (swap_recover(db->path, &out, e) < 0)
		return -1;
	if (out.undone)
		log_warn("an interrupted replacement was taken back", LOGS("db", db->path));
	else if (out.redone)
		log_info("an interrupted replacement was finished", LOGS("db", db->path),
			 LOGS("quarantine", out.quarantine));
	return 0;
}

/* A replica that cannot serve is named, also where another one does. */
static void say_facts(const struct boot_request *r, const struct facts *f)
{
	log_info("database checked", LOGS("db", r->db->path),
		 LOGS("state", db_state_name(f->file.state)), LOGU("bytes", f->file.bytes),
		 LOGS("backup", backup_state_name(f->backup)));
	if (f->file.state == DB_INTACT && f->file.message[0])
		log_warn("the check found something to look at", LOGS("db", r->db->path),
			 LOGS("finding", f->file.message));
	for (size_t i = 0; i < f->nreplicas; i++) {
		const struct replica_facts *rf = &f->replicas[i];

		if (rf->fact.state != BACKUP_EXISTS && rf->fact.state != BACKUP_NONE)
			log_warn("replica cannot be used", LOGS("db", r->db->path),
				 LOGS("replica", rf->rc->name),
				 LOGS("state", backup_state_name(rf->fact.state)),
				 LOGE(&rf->e));
	}
}

/* What the replica that decided said, behind the first line. */
static void add_said(const struct replica_facts *rf, bool hint_too, struct err *e)
{
	size_t n = strlen(e->msg);
	bool more = hint_too && rf->e.hint[0] && !strchr(rf->e.msg, '\n');

	snprintf(e->msg + n, sizeof(e->msg) - n, "\n%s: %s%s%s%s", rf->rc->name, rf->e.msg,
		 more ? " (" : "", more ? rf->e.hint : "", more ? ")" : "");
}

/* The decision's words, with what lies behind it. */
static int stop_with(const struct boot_request *r, const struct facts *f,
		     const struct startup_decision *d, struct err *e)
{
	const struct replica_facts *rf = f->nreplicas ? &f->replicas[f->chosen] : NULL;
	const char *why = "", *next = d->remedy;

	if (f->file.state == DB_ABSENT || f->file.state == DB_CORRUPT)
		log_warn(LINE_NO_BACKUP, LOGS("db", r->db->path),
			 LOGS("reason", d->reason));
	if (d->exit == EXIT_DIFFER && f->differs[0])
		why = f->differs;
	else if (f->file.state != DB_ABSENT && f->file.state != DB_INTACT)
		why = f->file.message;
	err_set(e, ERR_IO, "%s %s%s%s", r->db->path, d->reason, *why ? ": " : "", why);
	if (rf && rf->e.msg[0] && f->backup != BACKUP_EXISTS && f->backup != BACKUP_NONE &&
	    f->file.state != DB_BUSY && f->file.state != DB_UNUSABLE &&
	    d->exit != EXIT_DB_CORRUPT) {
		/* The rule's way out of damage leads to what can be proven, if there is anything. */
		if (f->backup == BACKUP_DAMAGED && !rf->have_provable && rf->e.hint[0])
			next = rf->e.hint;
		add_said(rf, next == d->remedy, e);
	}
	err_slug(e, d->slug);
	err_hint(e, "%s", next);
	return err_exit(e, d->exit);
}

static int start_empty(const struct boot_request *r, const struct facts *f,
		       const struct startup_decision *d, struct err *e)
{
	bool moved = false;

	log_warn(LINE_NO_BACKUP, LOGS("db", r->db->path), LOGS("reason", d->reason));
	if (!f->file.leftovers)
		return 0;
	if (swap_clear_leftovers(r->db->path, "corrupted", r->now_ms, &moved, e) < 0)
		return -1;
	if (moved)
		log_warn("a -wal or -journal without its database was set aside",
			 LOGS("db", r->db->path));
	return 0;
}

static int put_in_place(const struct boot_request *r, const struct restore_report *rep,
			bool healthy, struct err *e)
{
	CLEANUP(swap_report_free) struct swap_report out = { 0 };
	const struct swap_request s = { .db_path = r->db->path,
					.temp_path = rep->temp,
					.db_sum = rep->db_sum,
					.have_db_sum = rep->have_db_sum,
					.label = healthy ? "replaced" : "corrupted",
					.now_ms = r->now_ms,
					.old_is_healthy = healthy };

	if (swap_replace(&s, &out, e) < 0) {
		if (!out.begun)
			unlink(rep->temp);
		return -1;
	}
	if (out.quarantine || out.side_files)
		log_warn("the former database was set aside", LOGS("db", r->db->path),
			 LOGS("quarantine", out.quarantine ? out.quarantine : "its -wal"));
	return 0;
}

static void say_restored(const struct boot_request *r, const struct restore_report *rep)
{
	if (rep->warnings && rep->warnings[0])
		log_warn("restore went round damage", LOGS("db", r->db->path),
			 LOGS("details", rep->warnings));
	log_info(LINE_RESTORED, LOGS("db", r->db->path), LOGS("replica", rep->replica_name),
		 LOGS("generation", rep->generation), LOGU("bytes", rep->bytes),
		 LOGU("transactions", rep->transactions), LOGI("ms", rep->total_ms));
}

/* One attempt from one replica, as far as in place. */
static int restore_from(const struct boot_request *r, struct replica_facts *rf,
			const struct facts_ops *ops, const struct plan_target *target,
			struct restore_report *rep, struct err *e)
{
	const struct restore_request rr = { .db = r->db,
					    .replica = rf->rc->name,
					    .target = *target,
					    .check = r->check,
					    .check_timeout_ms = r->check_timeout_ms,
					    .stop = r->stop,
					    .temp_only = true,
					    .show_progress = !r->quiet };

	restore_report_free(rep);
	return ops->restore(&rr, rep, e);
}

/* The replica that speaks for all, then any other that may serve as well; what each one said is kept. */
static int restore_any(const struct boot_request *r, struct facts *f,
		       const struct facts_ops *ops, struct restore_report *rep,
		       struct err *e)
{
	const struct plan_target newest = { .kind = PLAN_LATEST };

	for (;;) {
		struct replica_facts *rf = &f->replicas[f->chosen];
		struct err said = ERR_INIT;

		if (restore_from(r, rf, ops, &newest, rep, &said) == 0)
			return 0;
		rf->e = said;
		rf->have_provable = rep->have_provable;
		if (rf->fact.state == BACKUP_EXISTS)
			rf->fact.state = facts_backup_of(-1, &said);
		size_t failed = f->chosen;

		if (said.code == ERR_CANCELED || said.exit == EXIT_LOCKED ||
		    facts_merge(f, &f->chosen) != BACKUP_EXISTS) {
			*e = said;
			f->chosen = failed;
			return -1;
		}
		log_warn("restore failed, trying another replica", LOGS("db", r->db->path),
			 LOGS("replica", rf->rc->name), LOGE(&said));
	}
}

static int in_place(const struct boot_request *r, const struct restore_report *rep,
		    const struct startup_decision *d, struct err *e)
{
	if (put_in_place(r, rep, d->action == STARTUP_ADOPT_REPLICA, e) < 0) {
		log_warn(LINE_NO_BACKUP, LOGS("db", r->db->path), LOGE(e));
		return -1;
	}
	say_restored(r, rep);
	return 0;
}

/* As far as the chain of that replica can be proven; rep says how far that is. */
static int restore_older(const struct boot_request *r, struct facts *f,
			 const struct facts_ops *ops, const struct startup_decision *d,
			 struct restore_report *rep, struct err *e)
{
	struct plan_target t = { .kind = PLAN_POSITION, .pos = rep->provable };

	log_warn("start-up", LOGS("db", r->db->path), LOGS("reason", d->reason), LOGE(e));
	memcpy(t.generation, rep->generation, sizeof(t.generation));
	*e = (struct err)ERR_INIT;
	if (restore_from(r, &f->replicas[f->chosen], ops, &t, rep, e) < 0) {
		log_warn(LINE_NO_BACKUP, LOGS("db", r->db->path), LOGE(e));
		return -1;
	}
	return in_place(r, rep, d, e);
}

/* A plan cannot show all damage: what a restore finds out is a fact too, and decides again. */
static int restore(const struct boot_request *r, struct facts *f,
		   const struct facts_ops *ops, const struct startup_decision *d,
		   struct err *e)
{
	CLEANUP(restore_report_free) struct restore_report rep = { .temp_fd = -1 };
	struct startup_facts now = { .file = f->file.state, .history = f->history };
	struct startup_decision again;

	log_warn(LINE_REQUIRED, LOGS("db", r->db->path),
		 LOGS("state", db_state_name(f->file.state)),
		 LOGS("finding", f->file.message[0] ? f->file.message : NULL),
		 LOGS("replica", f->replicas[f->chosen].rc->name),
		 LOGS("reason", d->reason));
	if (restore_any(r, f, ops, &rep, e) == 0)
		return in_place(r, &rep, d, e);
	now.backup = f->backup = f->replicas[f->chosen].fact.state;
	startup_decide(&again, &now, &r->options);
	if (again.action == STARTUP_RESTORE_OLDER && rep.have_provable)
		return restore_older(r, f, ops, &again, &rep, e);
	if (again.action == STARTUP_STOP && e->code != ERR_CANCELED &&
	    again.exit == exit_from_err(e))
		return stop_with(r, f, &again, e);
	log_warn(LINE_NO_BACKUP, LOGS("db", r->db->path), LOGE(e));
	return -1;
}

static int act(const struct boot_request *r, struct facts *f, const struct facts_ops *ops,
	       const struct startup_decision *d, struct err *e)
{
	switch (d->action) {
	case STARTUP_STOP:
		return stop_with(r, f, d, e);
	case STARTUP_REPLICATE:
	case STARTUP_ADOPT_LOCAL:
		if (d->warn)
			log_warn("start-up", LOGS("db", r->db->path),
				 LOGS("reason", d->reason));
		return 0;
	case STARTUP_EMPTY:
		return start_empty(r, f, d, e);
	case STARTUP_RESTORE:
	case STARTUP_RESTORE_OLDER:
	case STARTUP_ADOPT_REPLICA:
		return restore(r, f, ops, d, e);
	}
	return err_set(e, ERR_BUG, "start-up action %d", (int)d->action);
}

/* On an empty volume not even the folder is there; restore makes it, so does a start. */
static char *real_path(const char *path, struct err *e)
{
	AUTO_FREE char *dir = file_dirname(path);
	char *real = file_realpath(path, e);

	if (real || e->code != ERR_NOT_FOUND || file_exists(dir))
		return real;
	*e = (struct err)ERR_INIT;
	if (file_mkdirs(dir, 0700, e) < 0) {
		err_hint(e, "make the folder, or mount the volume that holds it");
		return NULL;
	}
	log_warn("the database's folder was not there: made", LOGS("db", path),
		 LOGS("folder", dir));
	return file_realpath(path, e);
}

int boot_run(const struct boot_request *r, const struct facts_ops *ops, struct err *e)
{
	AUTO_FREE char *real = real_path(r->db->path, e);
	CLEANUP(facts_free) struct facts f = { 0 };
	struct db_config db = *r->db; /* the same, at its real path */
	struct boot_request b = *r;
	struct startup_decision d;

	if (!real)
		return -1;
	db.path = real;
	b.db = &db;
	const struct facts_request fr = { .db = &db,
					  .check = r->check,
					  .check_timeout_ms = r->check_timeout_ms,
					  .store_wait_ms = r->store_wait_ms,
					  .stop = r->stop };

	if (recover(&db, e) < 0 || facts_gather(&fr, ops, &f, e) < 0)
		return -1;
	say_facts(&b, &f);
	const struct startup_facts sf = { .file = f.file.state,
					  .backup = f.backup,
					  .history = f.history };

	startup_decide(&d, &sf, &r->options);
	return act(&b, &f, ops, &d, e);
}
