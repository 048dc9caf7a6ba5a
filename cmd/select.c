/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/select.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "cmd/common.h"

#include <sys/stat.h>

/* "restore /backups/app" means a replica's folder, not a database. */
static void suggest_url(const char *operand, struct err *e)
{
	struct stat st;
	struct err ignored = ERR_INIT;
	char *real AUTO_FREE = NULL;

	if (stat(operand, &st) < 0 || !S_ISDIR(st.st_mode) ||
	    !(real = file_realpath(operand, &ignored)))
		return;
	e->hint[0] = '\0';
	err_hint(e, "a replica in that folder is named by its URL: file://%s", real);
}

int selection_load(struct selection *s, const struct common_args *a, struct err *e)
{
	const char *operand = a->noperands > 0 ? a->operands[0] : NULL;

	*s = (struct selection){ .by_url = operand && config_is_url(operand) };
	s->config =
		operand ? cmd_load_config(a, s->by_url ? NULL : operand,
					  s->by_url ? &operand : NULL, s->by_url ? 1 : 0, e)
			: cmd_load_replicas(a, e);
	if (!s->config) {
		if (operand && !s->by_url)
			suggest_url(operand, e);
		return -1;
	}
	if (s->config->ndbs == 1 && (s->by_url || !operand)) {
		s->db = &s->config->dbs[0];
		s->by_url |= !*s->db->path;
		return 0;
	}
	if (operand && !s->by_url) {
		s->db = config_db(s->config, operand, e);
		if (!s->db)
			suggest_url(operand, e);
		return s->db ? 0 : -1;
	}
	if (s->config->ndbs)
		err_set(e, ERR_USAGE, "which database? %zu are configured",
			s->config->ndbs);
	else
		err_set(e, ERR_USAGE, "no database is configured");
	return err_hint(e, "name it by its path, or give a replica's URL");
}

void selection_free(struct selection *s)
{
	config_free(s->config);
	*s = (struct selection){ .db = NULL };
}
