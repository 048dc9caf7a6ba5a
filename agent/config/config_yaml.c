/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/config_yaml.h"

#include "base/cleanup.h"
#include "base/mem.h"

#include <string.h>
#include <yaml.h>

/* A node with what building the tree needs to know. */
struct node {
	struct yaml y;
	char *anchor;
	size_t weight; /* nodes below and including this one, aliases counted each time */
	unsigned height;
	bool open; /* still being read: an alias to it would be a circle */
	struct node *next;
};

struct yaml_doc {
	struct node *nodes; /* newest first */
	struct yaml *root;
	int second;
	const char *name;
	struct node *stack[YAML_DEPTH_MAX];
	struct node *keys[YAML_DEPTH_MAX]; /* the key that waits for its value, by level */
	bool has_key[YAML_DEPTH_MAX];
	unsigned depth;
};

static int line_of(yaml_mark_t mark)
{
	return (int)mark.line + 1;
}

static struct node *add_node(struct yaml_doc *d, enum yaml_kind kind, int line,
			     const yaml_char_t *anchor)
{
	struct node *n = mem_alloc(sizeof(*n));

	n->y.kind = kind;
	n->y.line = line;
	n->anchor = mem_str((const char *)anchor);
	n->weight = 1;
	n->height = 1;
	n->next = d->nodes;
	d->nodes = n;
	return n;
}

static bool is_null(const char *text, bool plain)
{
	return plain && (!*text || !strcmp(text, "~") || !strcmp(text, "null") ||
			 !strcmp(text, "Null") || !strcmp(text, "NULL"));
}

/* Readers go through the pairs in order, so the last of two equal keys wins. */
static void put_pair(struct yaml *map, struct yaml *key, struct yaml *value)
{
	/* Room for a power of two of items: grow when n is one. */
	if ((map->n & (map->n - 1)) == 0)
		map->items =
			mem_grow(map->items, map->n ? map->n * 2 : 1, sizeof(*map->items));
	map->items[map->n++] = (struct yaml_pair){ .key = key, .value = value };
}

/* Put a finished node (or an alias' target) where the parser stands. */
static int place(struct yaml_doc *d, struct node *n, int line, struct err *e)
{
	struct node *top;

	if (!d->depth) {
		d->root = &n->y;
		return 0;
	}
	top = d->stack[d->depth - 1];
	if (__builtin_add_overflow(top->weight, n->weight, &top->weight) ||
	    top->weight > YAML_NODES_MAX)
		return err_set(e, ERR_USAGE, "%s:%d: more than %d values", d->name, line,
			       (int)YAML_NODES_MAX);
	if (n->height + 1 > top->height)
		top->height = n->height + 1;
	if (d->depth - 1 + top->height > YAML_DEPTH_MAX)
		return err_set(e, ERR_USAGE, "%s:%d: nested deeper than %d levels", d->name,
			       line, (int)YAML_DEPTH_MAX);
	if (top->y.kind == YAML_LIST) {
		put_pair(&top->y, NULL, &n->y);
	} else if (!d->has_key[d->depth - 1]) {
		d->has_key[d->depth - 1] = true;
		d->keys[d->depth - 1] = n;
	} else {
		struct node *key = d->keys[d->depth - 1];

		put_pair(&top->y, key->y.kind == YAML_TEXT ? &key->y : NULL, &n->y);
		d->has_key[d->depth - 1] = false;
	}
	return 0;
}

static int push(struct yaml_doc *d, enum yaml_kind kind, const yaml_event_t *ev,
		const yaml_char_t *anchor, struct err *e)
{
	struct node *n;

	if (d->depth == YAML_DEPTH_MAX)
		return err_set(e, ERR_USAGE, "%s:%d: nested deeper than %d levels", d->name,
			       line_of(ev->start_mark), (int)YAML_DEPTH_MAX);
	n = add_node(d, kind, line_of(ev->start_mark), anchor);
	n->open = true;
	d->has_key[d->depth] = false;
	d->stack[d->depth++] = n;
	return 0;
}

static int pop(struct yaml_doc *d, const yaml_event_t *ev, struct err *e)
{
	struct node *n = d->stack[--d->depth];

	n->open = false;
	return place(d, n, line_of(ev->start_mark), e);
}

static int scalar(struct yaml_doc *d, const yaml_event_t *ev, struct err *e)
{
	const char *text = (const char *)ev->data.scalar.value;
	int line = line_of(ev->start_mark);
	struct node *n = add_node(d, YAML_TEXT, line, ev->data.scalar.anchor);

	n->y.text = mem_str(text);
	n->y.null = is_null(text, ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
	if (strlen(text) != ev->data.scalar.length)
		return err_set(e, ERR_USAGE, "%s:%d: a zero byte in a value", d->name,
			       line);
	return place(d, n, line, e);
}

static int alias(struct yaml_doc *d, const yaml_event_t *ev, struct err *e)
{
	const char *anchor = (const char *)ev->data.alias.anchor;
	int line = line_of(ev->start_mark);
	struct node *n = d->nodes;

	while (n && (!n->anchor || strcmp(n->anchor, anchor) != 0))
		n = n->next;
	if (!n)
		return err_set(e, ERR_USAGE, "%s:%d: unknown anchor '%s'", d->name, line,
			       anchor);
	if (n->open)
		return err_set(e, ERR_USAGE, "%s:%d: the anchor '%s' contains itself",
			       d->name, line, anchor);
	return place(d, n, line, e);
}

/* Returns 1 at the end of the first document. */
static int event(struct yaml_doc *d, const yaml_event_t *ev, struct err *e)
{
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return scalar(d, ev, e);
	case YAML_ALIAS_EVENT:
		return alias(d, ev, e);
	case YAML_SEQUENCE_START_EVENT:
		return push(d, YAML_LIST, ev, ev->data.sequence_start.anchor, e);
	case YAML_MAPPING_START_EVENT:
		return push(d, YAML_MAP, ev, ev->data.mapping_start.anchor, e);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return pop(d, ev, e);
	case YAML_DOCUMENT_END_EVENT:
	case YAML_STREAM_END_EVENT:
		return 1;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_START_EVENT:
		return 0;
	}
	return 0;
}

static int parser_error(const yaml_parser_t *p, const char *name, struct err *e)
{
	int line = p->problem_mark.line || p->problem_mark.column ? line_of(p->problem_mark)
								  : line_of(p->mark);

	if (p->error == YAML_READER_ERROR)
		return err_set(e, ERR_USAGE, "%s: not UTF-8 text at byte %zu", name,
			       p->problem_offset);
	return err_set(e, ERR_USAGE, "%s:%d: not YAML: %s", name, line,
		       p->problem ? p->problem : "cannot be read");
}

/* The line of a document after the first, or 0.  What is wrong there is nobody's business. */
static int second_document(yaml_parser_t *p)
{
	yaml_event_t ev;
	int line = 0;

	if (yaml_parser_parse(p, &ev)) {
		if (ev.type == YAML_DOCUMENT_START_EVENT)
			line = line_of(ev.start_mark);
		yaml_event_delete(&ev);
	}
	return line;
}

static int run(struct yaml_doc *d, yaml_parser_t *p, struct err *e)
{
	int r = 0;

	while (!r) {
		yaml_event_t ev;

		if (!yaml_parser_parse(p, &ev))
			return parser_error(p, d->name, e);
		r = event(d, &ev, e);
		if (r > 0 && ev.type == YAML_DOCUMENT_END_EVENT)
			d->second = second_document(p);
		yaml_event_delete(&ev);
	}
	return r < 0 ? -1 : 0;
}

struct yaml_doc *yaml_parse(const char *text, size_t n, const char *name, struct err *e)
{
	struct yaml_doc *d = mem_alloc(sizeof(*d));
	yaml_parser_t p;
	int r;

	d->name = name;
	if (!yaml_parser_initialize(&p)) {
		err_set(e, ERR_IO, "%s: out of memory", name);
		yaml_doc_free(d);
		return NULL;
	}
	yaml_parser_set_input_string(&p, (const unsigned char *)text, n);
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	r = run(d, &p, e);
	yaml_parser_delete(&p);
	d->name = NULL;
	if (r < 0) {
		yaml_doc_free(d);
		return NULL;
	}
	return d;
}

const struct yaml *yaml_root(const struct yaml_doc *d)
{
	return d->root;
}

int yaml_second_document(const struct yaml_doc *d)
{
	return d->second;
}

void yaml_doc_free(struct yaml_doc *d)
{
	struct node *n = d ? d->nodes : NULL;

	while (n) {
		struct node *next = n->next;

		if (n->y.text)
			explicit_bzero(n->y.text, strlen(n->y.text));
		free(n->y.text);
		free(n->y.items);
		free(n->anchor);
		free(n);
		n = next;
	}
	free(d);
}

void yaml_doc_freep(struct yaml_doc **d)
{
	yaml_doc_free(*d);
	*d = NULL;
}
