/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIST.  Error codes as in s3/client.h; CORRUPT also for pages that never end.
 * All callbacks run on the caller's thread.
 */
#ifndef S3_LIST_H
#define S3_LIST_H

#include "s3/client.h"
#include "s3/xml.h"

typedef int s3_list_cb(void *arg, const struct s3_xml_object *o);

/* One page after the other.  delimiter: "/" or NULL.  cb non-zero: enough. */
MUST_CHECK int s3_list(struct s3_client *c, const char *prefix, const char *delimiter,
		       s3_list_cb *cb, void *arg, struct err *e);

/* All below prefix, many pages at once, in no particular order.  fold: a character that groups the
 * keys, some groups to a page or some pages to a group.  0; -1; 1 when this store's pages cannot be
 * asked for in ranges: then what cb got is void, and s3_list does it. */
MUST_CHECK int s3_list_wide(struct s3_client *c, const char *prefix, char fold,
			    s3_list_cb *cb, void *arg, struct err *e);

#endif
