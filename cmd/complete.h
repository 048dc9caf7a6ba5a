/* SPDX-License-Identifier: Apache-2.0 */
/* What shells and the check of the manual want to know of commands and settings. */
#ifndef CMD_COMPLETE_H
#define CMD_COMPLETE_H

#include "base/buf.h"

/* The bash completion script, from the tables. */
void complete_bash(struct buf *out);

/*
 * One line for each thing that the manual must name:
 *
 *	command NAME
 *	option COMMAND NAME
 *	key SCOPE KEY		(SCOPE - for the top level)
 *	env NAME
 */
void complete_list(struct buf *out);

#endif
