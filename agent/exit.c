/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/exit.h"

int exit_from_err(const struct err *e)
{
	if (e->exit)
		return e->exit;
	if (e->code == ERR_USAGE)
		return EXIT_USAGE;
	if (e->code == ERR_DENIED && !e->sys)
		return EXIT_DENIED;
	if (e->code == ERR_AGAIN)
		return EXIT_UNREACHABLE;
	return EXIT_FAILED;
}

void exit_mark_store(struct err *e)
{
	if (e->code == ERR_DENIED)
		err_exit(e, EXIT_DENIED);
	else if (e->code == ERR_AGAIN || e->code == ERR_NOT_FOUND)
		err_exit(e, EXIT_UNREACHABLE);
}

void exit_mark_listing(struct err *e)
{
	if (e->code == ERR_CORRUPT)
		err_exit(e, EXIT_UNREACHABLE);
	exit_mark_store(e);
}
