/* SPDX-License-Identifier: Apache-2.0 */
/* Files without a name, for what is too large for memory; gone when closed. */
#ifndef WAL_SCRATCH_H
#define WAL_SCRATCH_H

#include "base/err.h"

#include <stdint.h>

/* dir NULL: $TMPDIR, else /var/tmp.  The descriptor is the caller's; -1 on failure (ERR_IO and others from
 * errno). */
MUST_CHECK int scratch_open(const char *dir, struct err *e);
/* In the folder of the file that is open as fd; if that cannot be, as with dir NULL. */
MUST_CHECK int scratch_open_beside(int fd, struct err *e);
/* Makes the file's first n bytes real blocks, so that a full disk is an error here and not a
 * SIGBUS in a mapping.  what names the file. */
MUST_CHECK int scratch_reserve(int fd, uint64_t n, const char *what, struct err *e);

#endif
