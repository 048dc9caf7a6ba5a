/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file a restore builds: <output>.walback-tmp, locked while it lives, or an
 * unlinked one in $TMPDIR for standard output; and how it gets its place.
 */
#ifndef AGENT_RESTORE_PLACE_H
#define AGENT_RESTORE_PLACE_H

#include "agent/restore/restore.h"

struct place {
	int fd;	      /* -1: none */
	char *path;   /* the temporary file; for standard output /proc/self/fd/N */
	char *output; /* realpath of the file to be; NULL for standard output */
};

/* Nothing but this opens or makes the file.  ERR_EXISTS: exit 15 when another restore builds it. */
MUST_CHECK int place_open(struct place *p, const struct restore_request *r, struct err *e);
/* Empty again, for another attempt. */
MUST_CHECK int place_reset(struct place *p, struct err *e);
/* Mode and owner, fsync (its time in *sync_ms). */
MUST_CHECK int place_seal(struct place *p, const struct restore_request *r,
			  int64_t *sync_ms, struct err *e);
/* Into place: what is left of an earlier database of that name is moved aside first (*moved), an empty file removed; the
 * folder is fsynced.  Nothing is ever replaced (file_move_new says how, and on which file systems what remains).
 * ERR_EXISTS: a database appeared there meanwhile (exit 1), or the empty file is in use (exit 15). */
MUST_CHECK int place_commit(struct place *p, bool *moved, struct err *e);
/* All of it to fd (standard output). */
MUST_CHECK int place_copy(struct place *p, int fd, const struct stop *stop, struct err *e);
/* Removes the file unless it has its place; p is empty after it. */
void place_drop(struct place *p);

/* May a database be put there?  ERR_EXISTS, exit 1: one is there already (an empty file is none), or something that
 * is no file.  replace: it is to be replaced, which only asks that it is a file and nobody has it open (exit 15). */
MUST_CHECK int place_refuse(const char *output, bool replace, struct err *e);

#endif
