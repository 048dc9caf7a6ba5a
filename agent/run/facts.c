/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run/facts.h"

#include "agent/exit.h"
#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

/* One replica's question, in a thread of its own. */
struct question {
	const struct facts_request *request;
	const struct facts_ops *ops;
	struct replica_facts *out;
	pthread_t thread;
	bool started;
};

enum backup_state facts_backup_of(int rc, const struct err *e)
{
	if (rc == 0)
		return BACKUP_EXISTS;
	switch (exit_from_err(e)) {
	case EXIT_NO_BACKUP:
		return BACKUP_NONE;
	case EXIT_DAMAGED:
		return BACKUP_DAMAGED;
	case EXIT_DIFFER:
		return BACKUP_AMBIGUOUS;
	case EXIT_DENIED:
		return BACKUP_DENIED;
	default: /* whatever else it is, it is no answer */
		return BACKUP_UNREACHABLE;
	}
}

static void *ask(void *arg)
{
	struct question *q = arg;
	struct replica_facts *out = q->out;
	const struct restore_request r = { .db = q->request->db,
					   .replica = out->rc->name,
					   .store_timeout_ms = q->request->store_wait_ms,
					   .stop = q->request->stop,
					   .dry_run = true };
	struct restore_report report;

	memset(&report, 0, sizeof(report));
	report.temp_fd = -1;
	int rc = q->ops->restore(&r, &report, &out->e);

	out->fact.state = facts_backup_of(rc, &out->e);
	out->fact.time_ms = report.time_ms;
	out->have_provable = report.have_provable;
	memcpy(out->generation, report.generation, sizeof(out->generation));
	restore_report_free(&report);
	return NULL;
}

/* Signals are the main thread's.  A thread that cannot be had: asked here and now. */
static void start(struct question *q)
{
	sigset_t all;
	sigset_t old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	q->started = pthread_create(&q->thread, NULL, ask, q) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!q->started)
		ask(q);
}

enum backup_state facts_merge(const struct facts *f, size_t *chosen)
{
	struct backup_fact *all = mem_array(f->nreplicas, sizeof(*all));
	enum backup_state s;

	for (size_t i = 0; i < f->nreplicas; i++)
		all[i] = f->replicas[i].fact;
	s = startup_merge(all, f->nreplicas, chosen);
	free(all);
	return s;
}

static int ask_history(const struct facts_request *r, const struct facts_ops *ops,
		       struct facts *out, struct err *e)
{
	struct replica_facts *rf = &out->replicas[out->chosen];
	int same = ops->same_history(r->db, rf->rc, r->store_wait_ms, out->differs, &rf->e);

	if (same >= 0) {
		out->history = same ? HISTORY_SAME : HISTORY_FOREIGN;
		return 0;
	}
	if (rf->e.code == ERR_CANCELED) {
		*e = rf->e;
		return -1;
	}
	/* It answered a moment ago; what it says now is no answer to this question. */
	out->backup = rf->fact.state = facts_backup_of(-1, &rf->e);
	return 0;
}

int facts_gather(const struct facts_request *r, const struct facts_ops *ops,
		 struct facts *out, struct err *e)
{
	size_t n = r->db->nreplicas;
	struct question *q = mem_array(n, sizeof(*q));
	int rc;

	*out = (struct facts){ .nreplicas = n };
	out->replicas = mem_array(n, sizeof(*out->replicas));
	for (size_t i = 0; i < n; i++) {
		out->replicas[i].rc = &r->db->replicas[i];
		q[i] = (struct question){ .request = r,
					  .ops = ops,
					  .out = &out->replicas[i] };
		start(&q[i]);
	}
	rc = ops->check(r->db->path, r->check, r->check_timeout_ms, &out->file, e);
	for (size_t i = 0; i < n; i++)
		if (q[i].started)
			pthread_join(q[i].thread, NULL);
	free(q);
	if (rc < 0 || stop_check(r->stop, e) < 0)
		return -1;
	out->backup = facts_merge(out, &out->chosen);
	if (out->file.state == DB_INTACT && out->backup == BACKUP_EXISTS)
		return ask_history(r, ops, out, e);
	return 0;
}

void facts_free(struct facts *f)
{
	free(f->replicas);
	f->replicas = NULL;
	f->nreplicas = 0;
}
