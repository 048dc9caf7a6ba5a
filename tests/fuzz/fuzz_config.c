/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration file: expansion, YAML, levels of settings, and what is built from them. */
#include "agent/config/config.h"
#include "base/log.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char *const env[] = { "A=x", "HOME=/h", "DB_PATH=/d", NULL };
	static int fd = -1;
	static char path[64];
	const struct config_request r = {
		.config_path = path, .env = env, .explain = true, .replica_only = true
	};
	struct err e = ERR_INIT;

	if (fd < 0) {
		fd = memfd_create("config", 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		log_setup(LOG_ERROR, false);
	}
	if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, p, n, 0) != (ssize_t)n)
		abort();
	config_free(config_load(&r, &e));
	return 0;
}
