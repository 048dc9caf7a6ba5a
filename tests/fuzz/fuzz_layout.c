/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/store/layout.h"
#include "agent/store/records.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Keys: what is recognised is written back as it was.  The records, too: what is read is written and read again. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *key = mem_strn((const char *)p, n);
	struct fact f = layout_parse(key);
	char again[LAYOUT_KEY_MAX];
	struct buf b = BUF(RECORDS_SIZE_MAX * 8);
	struct lineage l;
	struct head h;
	struct err e = ERR_INIT;

	layout_format(&f, again);
	assert(f.kind == LAYOUT_OTHER || f.kind == LAYOUT_LTX || strcmp(key, again) == 0);
	free(key);
	if (records_lineage_parse(&l, p, n, "input", &e) == 0) {
		records_lineage_format(&l, &b);
		assert(records_lineage_parse(&l, b.p, b.len, "output", &e) == 0);
	}
	buf_reset(&b);
	if (records_head_parse(&h, p, n, "input", &e) == 0) {
		records_head_format(&h, &b);
		assert(records_head_parse(&h, b.p, b.len, "output", &e) == 0);
	}
	buf_free(&b);
	return 0;
}
