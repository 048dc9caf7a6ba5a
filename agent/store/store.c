/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/store/store.h"

void store_close(struct store *s)
{
	if (s)
		s->ops->close(s);
}

void store_closep(struct store **s)
{
	store_close(*s);
	*s = NULL;
}
