/* SPDX-License-Identifier: Apache-2.0 */
/* Segments and snapshots in LZ4: see object.h. */
#include "tests/fuzz/object.h"

FUZZ_OBJECTS_OF(CODEC_LZ4)
