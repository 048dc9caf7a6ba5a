/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_tree FOLDER [MEGABYTES [SEGMENTS [AN_INDEX [SEED]]]]: a replica as Litestream 0.3 lays it out
 * (docs/format.md): one generation, a snapshot of a database of that size, and a WAL of that many
 * segments of one transaction each, AN_INDEX (100) segments an index.  The WAL is SQLite's own, cut at its
 * commits.  FOLDER/replica is the replica, FOLDER/final.db the newest state.
 *
 * The rows are one third random bytes and two thirds text.
 */
#include <errno.h>
#include <fcntl.h>
#include <lz4frame.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define ROW 3800 /* one row a page */
#define ROWS_PER_SEGMENT 16
#define GENERATION "b0a7b0a7b0a7b0a7"

static uint64_t rng;

static uint64_t next_random(void)
{
	/* splitmix64 */
	uint64_t z = rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static void die(const char *what)
{
	fprintf(stderr, "gen_tree: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void check(int rc, sqlite3 *db, const char *what)
{
	if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
		return;
	fprintf(stderr, "gen_tree: %s: %s\n", what, sqlite3_errmsg(db));
	exit(1);
}

static void sql(sqlite3 *db, const char *text)
{
	check(sqlite3_exec(db, text, NULL, NULL, NULL), db, text);
}

static void fill_row(char row[ROW])
{
	static const char words[] =
		"the order was sent to the customer on the day it was paid; ";
	size_t third = ROW / 3;

	for (size_t i = 0; i < third; i += 8) {
		uint64_t r = next_random();

		memcpy(row + i, &r, third - i < 8 ? third - i : 8);
	}
	for (size_t i = third; i < ROW; i++)
		row[i] = words[(i - third) % (sizeof(words) - 1)];
}

/* Bytes [from, to) of a file as one LZ4 frame with the parameters that Litestream uses. */
static void compress_range(const char *from_path, const char *to_path, off_t from, off_t to)
{
	LZ4F_preferences_t prefs = { .frameInfo = { .blockSizeID = LZ4F_max4MB,
						    .blockMode = LZ4F_blockIndependent,
						    .contentChecksumFlag =
							    LZ4F_contentChecksumEnabled } };
	size_t n = (size_t)(to - from), bound = LZ4F_compressFrameBound(n, &prefs), size;
	char *raw = malloc(n), *packed = malloc(bound);
	int fd = open(from_path, O_RDONLY | O_CLOEXEC);
	FILE *f = fopen(to_path, "wb");

	if (fd < 0 || !raw || !packed)
		die(from_path);
	for (size_t got = 0; got < n;) {
		ssize_t r = pread(fd, raw + got, n - got, from + (off_t)got);

		if (r <= 0)
			die(from_path);
		got += (size_t)r;
	}
	close(fd);
	size = LZ4F_compressFrame(packed, bound, raw, n, &prefs);
	if (LZ4F_isError(size) || !f || fwrite(packed, 1, size, f) != size ||
	    fclose(f) != 0)
		die(to_path);
	free(raw);
	free(packed);
}

static off_t file_size(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		die(path);
	return st.st_size;
}

static void make_database(sqlite3 *db, uint32_t rows)
{
	char row[ROW];
	sqlite3_stmt *st;

	sql(db, "PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
		"CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB); BEGIN");
	check(sqlite3_prepare_v2(db, "INSERT INTO t(b) VALUES (?)", -1, &st, NULL), db,
	      "insert");
	for (uint32_t i = 0; i < rows; i++) {
		fill_row(row);
		check(sqlite3_bind_blob(st, 1, row, ROW, SQLITE_STATIC), db, "bind");
		check(sqlite3_step(st), db, "insert");
		check(sqlite3_reset(st), db, "insert");
	}
	sqlite3_finalize(st);
	sql(db, "COMMIT; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
		"PRAGMA wal_checkpoint(TRUNCATE)");
}

static void change_rows(sqlite3 *db, sqlite3_stmt *st, uint32_t rows)
{
	char row[ROW];

	sql(db, "BEGIN");
	for (int i = 0; i < ROWS_PER_SEGMENT; i++) {
		fill_row(row);
		check(sqlite3_bind_blob(st, 1, row, ROW, SQLITE_STATIC), db, "bind");
		check(sqlite3_bind_int64(st, 2, (sqlite3_int64)(next_random() % rows) + 1),
		      db, "bind");
		check(sqlite3_step(st), db, "update");
		check(sqlite3_reset(st), db, "update");
	}
	sql(db, "COMMIT");
}

static void make_folders(const char *root)
{
	static const char *const parts[] = { "",
					     "/replica",
					     "/replica/generations",
					     "/replica/generations/" GENERATION,
					     "/replica/generations/" GENERATION
					     "/snapshots",
					     "/replica/generations/" GENERATION "/wal" };
	char path[1024];

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", root, parts[i]);
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			die(path);
	}
}

int main(int argc, char **argv)
{
	char path[1024], db_path[1024], wal_path[1040];
	uint32_t megabytes = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 256;
	uint32_t segments = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 3000;
	uint32_t an_index = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 100;
	uint32_t rows = megabytes * (1000000 / PAGE), done = 0;
	sqlite3_stmt *st;
	sqlite3 *db;

	if (argc < 2) {
		fputs("usage: gen_tree FOLDER [MEGABYTES [SEGMENTS [AN_INDEX [SEED]]]]\n",
		      stderr);
		return 2;
	}
	rng = argc > 5 ? strtoull(argv[5], NULL, 10) : 1;
	make_folders(argv[1]);
	snprintf(db_path, sizeof(db_path), "%s/final.db", argv[1]);
	snprintf(wal_path, sizeof(wal_path), "%s-wal", db_path);
	check(sqlite3_open(db_path, &db), db, "open");
	make_database(db, rows);
	snprintf(path, sizeof(path),
		 "%s/replica/generations/" GENERATION "/snapshots/00000000.snapshot.lz4",
		 argv[1]);
	compress_range(db_path, path, 0, file_size(db_path));

	check(sqlite3_prepare_v2(db, "UPDATE t SET b = ? WHERE id = ?", -1, &st, NULL), db,
	      "update");
	for (uint32_t index = 0; done < segments; index++) {
		off_t at = 0;

		for (uint32_t i = 0; i < an_index && done < segments; i++, done++) {
			off_t end;

			change_rows(db, st, rows);
			end = file_size(wal_path);
			snprintf(path, sizeof(path),
				 "%s/replica/generations/" GENERATION
				 "/wal/%08x_%08llx.wal.lz4",
				 argv[1], index, (unsigned long long)at);
			compress_range(wal_path, path, at, end);
			at = end;
		}
		sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	}
	sqlite3_finalize(st);
	check(sqlite3_close(db), db, "close");
	printf("%s: %u MB, %u segments\n", argv[1], megabytes, segments);
	return 0;
}
