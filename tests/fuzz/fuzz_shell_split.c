/* SPDX-License-Identifier: Apache-2.0 */
/* -exec strings: the words, quoted anew, are split into the same words. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/proc.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void quote(struct buf *b, const char *word)
{
	buf_addc(b, '\'');
	for (; *word; word++)
		if (*word == '\'')
			buf_adds(b, "'\\''");
		else
			buf_addc(b, *word);
	buf_adds(b, "' ");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *cmd = n ? mem_strn((const char *)p, n) : mem_str("");
	struct buf again = BUF(1 << 24);
	struct err e = ERR_INIT;
	char **words = proc_split(cmd, &e);
	size_t count = 0;

	for (; words && words[count]; count++)
		quote(&again, words[count]);
	char **same = words ? proc_split(buf_str(&again), &e) : NULL;

	if (words && !same)
		abort();
	for (size_t i = 0; words && i <= count; i++)
		if (!words[i] != !same[i] || (words[i] && strcmp(words[i], same[i]) != 0))
			abort();
	proc_free_argv(words);
	proc_free_argv(same);
	buf_free(&again);
	free(cmd);
	return 0;
}
