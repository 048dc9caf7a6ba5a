/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/config.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *url = mem_strn((const char *)p, n);
	struct replica_config r;
	struct err e = ERR_INIT;

	log_setup(LOG_ERROR, false);
	if (replica_from_url(&r, url, &e) == 0)
		replica_config_free(&r);
	free(url);
	return 0;
}
