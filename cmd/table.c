/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/common.h"

#include <stdarg.h>
#include <string.h>

enum { TABLE_BYTES_MAX = 1 << 30, TABLE_COLUMNS_MAX = 32 };

void table_init(struct table *t, const char *const *columns, size_t ncolumns)
{
	*t = (struct table){ .cells = BUF(TABLE_BYTES_MAX) };
	t->ncolumns = ncolumns < TABLE_COLUMNS_MAX ? ncolumns : TABLE_COLUMNS_MAX;
	for (size_t i = 0; i < t->ncolumns; i++)
		table_add(t, columns[i]);
}

void table_free(struct table *t)
{
	buf_free(&t->cells);
}

void table_add(struct table *t, const char *cell)
{
	t->ncells++;
	if (!cell || !*cell)
		cell = "-";
	for (; *cell; cell++)
		buf_add(&t->cells,
			text_is_control(*cell) || (*cell == ' ' && !t->blanks) ? "?" : cell,
			1);
	buf_add(&t->cells, "", 1);
}

void table_addf(struct table *t, const char *fmt, ...)
{
	char cell[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cell, sizeof(cell), fmt, ap);
	va_end(ap);
	table_add(t, cell);
}

/* Characters, as Go's tabwriter counts them, not bytes. */
static size_t width_of(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

int table_format(const struct table *t, struct buf *out, struct err *e)
{
	size_t width[TABLE_COLUMNS_MAX] = { 0 };
	const char *cell = (const char *)t->cells.p;

	if (!buf_ok(&t->cells))
		return err_set(e, ERR_IO, "the table is larger than %d bytes",
			       (int)TABLE_BYTES_MAX);
	for (size_t i = 0; i < t->ncells; i++, cell += strlen(cell) + 1) {
		size_t w = width_of(cell);

		if (w > width[i % t->ncolumns])
			width[i % t->ncolumns] = w;
	}
	cell = (const char *)t->cells.p;
	for (size_t i = 0; i < t->ncells; i++, cell += strlen(cell) + 1) {
		size_t column = i % t->ncolumns;
		bool last = column + 1 == t->ncolumns;

		buf_add(out, cell, strlen(cell));
		if (last)
			buf_add(out, "\n", 1);
		else
			buf_addf(out, "%*s", (int)(width[column] + 2 - width_of(cell)), "");
	}
	return 0;
}

int table_print(const struct table *t)
{
	CLEANUP(buf_free) struct buf out = BUF((size_t)TABLE_BYTES_MAX * 2);
	struct err e = ERR_INIT;

	if (table_format(t, &out, &e) < 0)
		return cmd_fail(&e);
	return cmd_print(&out);
}
