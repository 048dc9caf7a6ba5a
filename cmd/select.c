/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/select.h"

#include "cmd/common.h"

int selection_load(struct selection *s, const struct common_args *a, struct err *e)
{
	const char *operand = a->noperands > 0 ? a->operands[0] : NULL;

	*s = (struct selection){ .by_url = operand && config_is_url(operand) };
	s->config =
		operand ? cmd_load_config(a, s->by_url ? NULL : operand,
					  s->by_url ? &operand : NULL, s->by_url ? 1 : 0, e)
			: cmd_load_replicas(a, e);
	if (!s->config)
		return -1;
	if (s->config->ndbs == 1 && (s->by_url || !operand)) {
		s->db = &s->config->dbs[0];
		s->by_url |= !*s->db->path;
		return 0;
	}
	if (operand && !s->by_url) {
		s->db = config_db(s->config, operand, e);
		return s->db ? 0 : -1;
	}
	err_set(e, ERR_USAGE,
		s->config->ndbs ? "which database? %zu are configured"
				: "no database is configured (%zu)",
		s->config->ndbs);
	return err_hint(e, "name it by its path, or give a replica's URL");
}

void selection_free(struct selection *s)
{
	config_free(s->config);
	*s = (struct selection){ .db = NULL };
}
