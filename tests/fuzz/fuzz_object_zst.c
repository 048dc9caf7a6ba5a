/* SPDX-License-Identifier: Apache-2.0 */
/* Segments and snapshots in zstd: see object.h. */
#include "tests/fuzz/object.h"

FUZZ_OBJECTS_OF(CODEC_ZST)
