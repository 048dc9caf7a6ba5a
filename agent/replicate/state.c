/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slot: u32 length and u32 CRC-32C (little-endian) of the document, the document, zeros.
 */
#include "agent/replicate/state.h"

#include "agent/store/layout.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOT 4096U
#define HEAD 8U

struct state_file {
	int fd;
	char *path;
	uint64_t seq; /* of the newest valid slot; 0: none */
	unsigned slot;
	struct state now;
};

static int parse_hex(const struct json *o, const char *key, uint64_t *out)
{
	const char *s = json_str(o, key);

	return s && strlen(s) == 16 ? text_hex64(s, 16, out) : -1;
}

static int parse(const void *p, size_t n, struct state *out, uint64_t *seq)
{
	struct err ignored = ERR_INIT; /* an unusable slot is no error */
	struct json *o = json_parse(p, n, "state", &ignored);
	uint64_t index = 0;
	int rc = -1;

	if (!o)
		return -1;
	const char *gen = json_str(o, "generation");

	if (gen && layout_generation_ok(gen) && json_u64(o, "seq", seq) == 0 &&
	    json_u64(o, "index", &index) == 0 && index <= LAYOUT_INDEX_MAX &&
	    json_u64(o, "offset", &out->acked.offset) == 0 &&
	    parse_hex(o, "db_sum", &out->db_sum) == 0 &&
	    parse_hex(o, "session", &out->session) == 0 &&
	    json_i64(o, "time_ms", &out->time_ms) == 0) {
		const char *next = json_str(o, "next");

		memcpy(out->generation, gen, sizeof(out->generation));
		if (next && layout_generation_ok(next))
			memcpy(out->next, next, sizeof(out->next));
		out->acked.index = (uint32_t)index;
		rc = 0;
	}
	json_free(o);
	return rc;
}

static void read_slot(struct state_file *f, unsigned slot)
{
	struct err ignored = ERR_INIT;
	uint8_t raw[SLOT];
	struct state s = { 0 };
	uint64_t seq = 0;

	if (file_pread_full(f->fd, raw, SLOT, (uint64_t)slot * SLOT, f->path, &ignored) < 0)
		return;
	uint32_t n = get_le32(raw);

	if (n > SLOT - HEAD || hash_crc32c(raw + HEAD, n) != get_le32(raw + 4))
		return;
	if (parse(raw + HEAD, n, &s, &seq) == 0 && seq > f->seq) {
		f->seq = seq;
		f->slot = slot;
		f->now = s;
	}
}

struct state_file *state_open(const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0) {
		err_errno(e, "open %s", path);
		return NULL;
	}
	struct state_file *f = mem_alloc(sizeof(*f));

	f->fd = fd;
	f->path = mem_str(path);
	read_slot(f, 0);
	read_slot(f, 1);
	return f;
}

void state_close(struct state_file *f)
{
	if (!f)
		return;
	close(f->fd); /* what had to be durable was synced by state_put */
	free(f->path);
	free(f);
}

bool state_in_place(const struct state_file *f)
{
	return file_is_at(f->fd, f->path);
}

bool state_get(const struct state_file *f, struct state *out)
{
	if (!f->seq)
		return false;
	*out = f->now;
	return true;
}

int state_reserve(struct state_file *f, struct err *e)
{
	static const uint8_t nothing[SLOT];
	unsigned slot = f->seq ? !f->slot : 0;

	if (file_pwrite_full(f->fd, nothing, SLOT, (uint64_t)slot * SLOT, f->path, e) < 0)
		return -1;
	return file_datasync(f->fd, f->path, e);
}

int state_put(struct state_file *f, const struct state *s, bool sync, struct err *e)
{
	uint8_t raw[SLOT] = { 0 };
	struct buf b = BUF(SLOT - HEAD);
	struct json_out j = { .b = &b };
	unsigned slot = f->seq ? !f->slot : 0;

	json_open(&j, NULL, '{');
	json_put_u64(&j, "seq", f->seq + 1);
	json_put_str(&j, "generation", s->generation);
	if (s->next[0])
		json_put_str(&j, "next", s->next);
	json_put_u64(&j, "index", s->acked.index);
	json_put_u64(&j, "offset", s->acked.offset);
	json_put_hex(&j, "db_sum", s->db_sum, 16);
	json_put_hex(&j, "session", s->session, 16);
	json_put_i64(&j, "time_ms", s->time_ms);
	json_close(&j, '}');
	put_le32(raw, (uint32_t)b.len);
	put_le32(raw + 4, hash_crc32c(b.p, b.len));
	memcpy(raw + HEAD, b.p, b.len);
	buf_free(&b);
	if (file_pwrite_full(f->fd, raw, SLOT, (uint64_t)slot * SLOT, f->path, e) < 0 ||
	    (sync && file_datasync(f->fd, f->path, e) < 0))
		return -1;
	f->seq++;
	f->slot = slot;
	f->now = *s;
	return 0;
}
