/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/store/store.h"

#include "agent/config/config.h"

struct store *store_open(const struct replica_config *rc, const struct store_options *o,
			 struct err *e)
{
	switch (rc->type) {
	case REPLICA_FILE:
		if (!rc->path || rc->path[0] != '/') {
			err_set(e, ERR_USAGE,
				"file replica: \"%s\" is not an absolute path",
				rc->path ? rc->path : "");
			return NULL;
		}
		return store_file_new(rc->path, o);
	case REPLICA_S3:
		return store_s3_new(rc, o, e);
	}
	err_set(e, ERR_BUG, "replica of unknown type %d", (int)rc->type);
	return NULL;
}
