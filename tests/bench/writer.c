/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer DATABASE SECONDS: one connection that commits small transactions as fast as it can.
 * Prints commits a second, and p50, p99 and max of a commit in milliseconds, and the largest WAL.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define MAX_SAMPLES (1 << 22)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static void must(int ok, sqlite3 *db)
{
	if (!ok) {
		fprintf(stderr, "writer: %s\n", sqlite3_errmsg(db));
		exit(1);
	}
}

int main(int argc, char **argv)
{
	double end, last;
	size_t n = 0;
	long long wal_max = 0;
	char wal[1024];
	float *ms = malloc(MAX_SAMPLES * sizeof(*ms));
	sqlite3_stmt *insert;
	sqlite3 *db;

	if (argc != 3 || !ms) {
		fputs("usage: writer DATABASE SECONDS\n", stderr);
		return 2;
	}
	snprintf(wal, sizeof(wal), "%s-wal", argv[1]);
	must(sqlite3_open(argv[1], &db) == SQLITE_OK, db);
	sqlite3_busy_timeout(db, 10000);
	must(sqlite3_exec(db,
			  "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
			  "CREATE TABLE IF NOT EXISTS w(id INTEGER PRIMARY KEY, v TEXT)",
			  NULL, NULL, NULL) == SQLITE_OK,
	     db);
	must(sqlite3_prepare_v2(db, "INSERT INTO w(v) VALUES (hex(randomblob(100)))", -1,
				&insert, NULL) == SQLITE_OK,
	     db);
	last = now();
	end = last + strtod(argv[2], NULL);
	while (last < end && n < MAX_SAMPLES) {
		struct stat st;
		double t;

		must(sqlite3_step(insert) == SQLITE_DONE, db);
		must(sqlite3_reset(insert) == SQLITE_OK, db);
		t = now();
		ms[n++] = (float)((t - last) * 1000);
		if (n % 64 == 0 && stat(wal, &st) == 0 && st.st_size > wal_max)
			wal_max = st.st_size;
		last = t;
	}
	sqlite3_finalize(insert);
	must(sqlite3_close(db) == SQLITE_OK, db);
	qsort(ms, n, sizeof(*ms), by_value);
	printf("{\"per_second\": %.0f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": "
	       "%.1f, "
	       "\"wal_max_bytes\": %lld}\n",
	       (double)n / strtod(argv[2], NULL), (double)ms[n / 2],
	       (double)ms[n * 99 / 100], (double)ms[n - 1], wal_max);
	free(ms);
	return 0;
}
