/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines on stderr: one fact a line, one write(2), logfmt or JSON.
 *
 *   log_info("segment uploaded", LOGS("db", path), LOGU("bytes", n), LOGI("ms", took));
 *   time=2026-11-21T03:02:11.920Z level=INFO msg="segment uploaded" db=/data/app.db ...
 *
 * Keys are literals.  The same event always has the same message.  Values of
 * secrets have no way in: there is no field type for struct secret.
 * level=ERROR only for what a person must act on.  Thread-safe.  A value is cut at 2 KiB;
 * what could steer a terminal or forge a line is escaped.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

enum log_type { LOG_STR, LOG_INT, LOG_UINT, LOG_HEX8, LOG_BOOL };

struct log_field {
	const char *key;
	enum log_type type;
	union {
		const char *s;
		int64_t i;
		uint64_t u;
		bool b;
	};
};

#define LOGS(k, v) ((struct log_field){ .key = (k), .type = LOG_STR, .s = (v) })
#define LOGI(k, v) ((struct log_field){ .key = (k), .type = LOG_INT, .i = (int64_t)(v) })
#define LOGU(k, v) ((struct log_field){ .key = (k), .type = LOG_UINT, .u = (uint64_t)(v) })
#define LOGX(k, v) \
	((struct log_field){ .key = (k), .type = LOG_HEX8, .u = (uint64_t)(v) }) /* %08x */
#define LOGB(k, v) ((struct log_field){ .key = (k), .type = LOG_BOOL, .b = (v) })

/* log_event(LOG_INFO, "snapshot uploaded", LOGS("db", path), LOGU("bytes", n)); */
#define log_event(level, msg, ...) \
	log_fields((level), (msg), \
		   (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
#define log_error(msg, ...) log_event(LOG_ERROR, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_warn(msg, ...) log_event(LOG_WARN, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_info(msg, ...) log_event(LOG_INFO, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_debug(msg, ...) log_event(LOG_DEBUG, msg __VA_OPT__(, ) __VA_ARGS__)

void log_fields(enum log_level level, const char *msg, const struct log_field *fields);

/* An error as fields: error="..." code=slug hint="...". */
#define LOGE(e)                                           \
	LOGS("error", (e)->msg), LOGS("code", (e)->slug), \
		LOGS("hint", (e)->hint[0] ? (e)->hint : NULL)

/* Fields whose string is NULL are left out. */
void log_setup(enum log_level level, bool json); /* INFO and logfmt until called */
/* Lines go to this descriptor (2 by default; Litestream's logging.stderr: false means 1). */
void log_to(int fd);
bool log_enabled(enum log_level level);
/* "debug" "info" "warn" "warning" "error", any case; -1 if none. */
int log_level_parse(const char *s);

/* Say it once, then count, then say it is over.
 * One of these for each thing that can be in trouble; zero-initialised; one thread at a time. */
struct log_trouble {
	bool on;
	uint64_t count;
	int64_t since_ms, said_ms;
	char last[160];
};
/* Logs at the first call, when the text changes in more than its numbers, and every 60 s,
 * with the count so far. */
void log_trouble(struct log_trouble *t, enum log_level level, const char *msg,
		 const char *db, const struct err *e);
/* Logs msg with duration and count if there was trouble. */
void log_trouble_over(struct log_trouble *t, const char *msg, const char *db);

#endif
