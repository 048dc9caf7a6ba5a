# SPDX-License-Identifier: Apache-2.0
"""walback run: each row of the start-up table that a replica can produce, with the real program."""
import json
import os
import re
import sqlite3
import subprocess
import sys
import time

import pytest
from testenv import proc, sqlite, toxiproxy, vectors, walback as wb  # noqa: F401  pylint: disable=unused-import

REQUIRED = 'DATABASE RESTORE REQUIRED'
RESTORED = 'Database successfully restored and verified'
NO_BACKUP = 'WARNING: No backup found or restore failed'


class Box:
    """A database path, a replica, and the app that run starts."""

    def __init__(self, walback, target, folder):
        self.walback, self.target = walback, target
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.db = folder / 'app.db'

    def run(self, *args, app=None, env=None, timeout=60):
        """run with these flags; the app prints APP-RAN."""
        app = app or ['echo', 'APP-RAN']
        return self.walback.run('run', '-db', self.db, '-replica-url', self.target.url, *args, '--', *app,
                                env={**self.target.env, **(env or {})}, timeout=timeout)

    def sql(self, text, *args):
        """run, with an app that executes SQL and prints what it gets."""
        return self.run(*args, app=[sys.executable, '-c', SQL, self.db, text])

    def fill(self, rows=5):
        """A first start whose app makes the database; its backup is complete afterwards."""
        self.sql('PRAGMA journal_mode=WAL; CREATE TABLE t(a INTEGER PRIMARY KEY, b);'
                 f'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{rows})'
                 ' INSERT INTO t SELECT i, hex(randomblob(300)) FROM n').ok()
        assert len(self.rows()) == rows

    def rows(self):
        return sqlite.rows(self.db, 'SELECT a FROM t')

    def lose(self):
        """An empty disk."""
        for p in sorted(self.folder.rglob('*'), reverse=True):
            p.rmdir() if p.is_dir() else p.unlink()

    def names(self):
        return sorted(p.name for p in self.folder.iterdir())

    def quarantined(self, label='corrupted'):
        return [n for n in self.names() if re.fullmatch(rf'app\.db\.{label}\.\d{{8}}T\d{{6}}Z', n)]

    def damage(self, page=2):
        """Overwrite a page of the file; nothing of the -wal may lie over it."""
        c = sqlite.connect(self.db)
        assert c.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone()[0] == 0
        c.close()
        with open(self.db, 'r+b') as f:
            f.seek((page - 1) * 4096)
            f.write(b'\x55' * 4096)


SQL = '''
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
for s in sys.argv[2].split(';'):
    for r in c.execute(s):
        print(*r)
print('APP-RAN')
'''


@pytest.fixture
def box(walback, file_replica, tmp_path):
    return Box(walback, file_replica, tmp_path / 'data')


def stops(result, code, *words):
    result.fails(code)
    assert 'APP-RAN' not in result.out, result
    for w in words:
        assert w in result.err, (w, result)
    assert '\n  next: ' in result.err, result


def starts(result, *words):
    result.ok()
    assert 'APP-RAN' in result.out, result
    for w in words:
        assert w in result.err, (w, result)


def test_the_app_gets_its_own_words_and_no_others(box):
    show = [sys.executable, '-c', 'import sys; print("APP-RAN", sys.argv[1:])', 'a', '-v', '--', '-stop-timeout', '']
    want = "APP-RAN ['a', '-v', '--', '-stop-timeout', '']\n"
    assert box.run(app=show).ok().out == want
    assert box.run('-q', '--stop-timeout=9s', '-integrity-check', 'none', app=show).ok().out == want
    # Without "--" the first word that is no option begins it.
    env = {**box.target.env, 'DATABASE_PATH': box.db, 'WALBACK_REPLICA_URL': box.target.url}
    assert box.walback.run('run', '-q', *show, env=env).ok().out == want
    assert box.walback.run('run', *show, env=env).ok().out == want


def test_a_database_without_a_replica_is_a_mistake_and_not_a_backup(walback, tmp_path):
    cfg = tmp_path / 'walback.yml'
    cfg.write_text(f'dbs:\n  - path: {tmp_path}/app.db\n    replicsa: [{{url: "file://{tmp_path}/r"}}]\n')
    for words in (['run', '-config', cfg, '--', 'echo', 'APP-RAN'], ['replicate', '-config', cfg]):
        r = walback.run(*words)
        stops(r, 2, f'{tmp_path}/app.db has no replica', 'code=no_replica', 'nearest=replicas')
    assert walback.run('databases', '-config', cfg).ok()


def test_the_configured_app_is_started_once(walback, file_replica, tmp_path):
    log = tmp_path / 'started'
    cfg = walback.config(tmp_path / 'app.db', file_replica)
    doc = json.loads(cfg.read_text())
    cfg.write_text(json.dumps({'exec': f"sh -c 'echo one >> {log}; sleep 1'", **doc}))
    walback.run('run', '-config', cfg, '--wait-for-sync', '10s').ok()
    assert log.read_text() == 'one\n'
    # What the command line names is run instead, not as well.
    starts(walback.run('run', '-config', cfg, '--wait-for-sync', '10s', '--', 'sh', '-c', 'sleep 1; echo APP-RAN'))
    assert log.read_text() == 'one\n'
    walback.run('replicate', '-config', cfg).ok()
    assert log.read_text() == 'one\none\n'


# ---- absent ----

def test_the_folder_of_an_absent_database_is_made(box):
    box.fill()
    want = box.rows()
    box.lose()
    box.folder.rmdir()
    starts(box.run(), REQUIRED, RESTORED, "the database's folder was not there")
    assert box.rows() == want


def test_absent_with_a_backup_is_restored_before_the_app_starts(walback, replica, tmp_path):
    box = Box(walback, replica, tmp_path / 'data')
    box.fill(7)
    box.lose()
    r = box.sql('SELECT count(*) FROM t')
    starts(r, REQUIRED, RESTORED)
    assert r.out.startswith('7\n')
    assert r.err.index(REQUIRED) < r.err.index(RESTORED) < r.err.index('the app was started')


def test_a_zero_byte_file_counts_as_absent_and_keeps_its_mode(box):
    box.fill()
    box.lose()
    box.db.touch()
    box.db.chmod(0o640)
    starts(box.run(), RESTORED)
    assert len(box.rows()) == 5
    assert box.db.stat().st_mode & 0o777 == 0o640
    assert not box.quarantined()


def test_leftovers_of_a_lost_database_are_neither_replayed_nor_deleted(box):
    box.fill()
    old_wal = b'not the new database\'s frames' * 10
    box.lose()
    (box.folder / 'app.db-wal').write_bytes(old_wal)
    starts(box.run(), RESTORED)
    assert len(box.rows()) == 5
    kept = [n for n in box.names() if n.endswith('Z-wal') and '.corrupted.' in n]
    assert len(kept) == 1
    assert (box.folder / kept[0]).read_bytes() == old_wal


def test_absent_without_a_backup_starts_empty_and_says_so(box):
    (box.folder / 'app.db-wal').write_bytes(b'left over')
    starts(box.run(), NO_BACKUP, 'starting empty', 'set aside')
    assert any(n.endswith('Z-wal') for n in box.names())
    assert not (box.folder / 'app.db-wal').exists()


def test_absent_without_a_backup_stops_where_one_is_required(box):
    stops(box.run('--require-backup'), 10, 'code=no_backup', NO_BACKUP)
    assert not box.db.exists()


@pytest.fixture
def gap(box):
    """A backup with a hole in it: several segments, one of them gone; the disk is lost."""
    box.fill(3)
    cfg = [sys.executable, '-c', WRITE_SLOWLY, box.db]
    box.run(app=cfg, timeout=60).ok()
    segments = sorted((k for k in box.target.files() if '/wal/' in k), key=lambda k: k.split('/')[-1])
    newest = max(segments, key=lambda k: (box.target.folder / k).stat().st_mtime_ns)
    generation = newest.split('/wal/')[0]
    mine = [k for k in segments if k.startswith(generation)]
    assert len(mine) >= 4, segments
    box.target.delete(mine[-2])
    box.lose()
    return box


WRITE_SLOWLY = '''
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
for n in range(5):
    c.execute('INSERT INTO t VALUES(?, ?)', (100 + n, 'x' * 2000))
    time.sleep(1.3)
'''


def test_a_damaged_backup_stops_or_with_consent_is_restored_as_far_as_proven(gap):
    r = gap.run()
    stops(r, 13, 'code=', '--accept-loss')
    assert not gap.db.exists()
    starts(gap.run('--accept-loss'), REQUIRED, RESTORED)
    rows = [a for (a,) in gap.rows()]
    assert rows[:3] == [1, 2, 3] and 3 < len(rows) < 8, rows
    assert sqlite.integrity(gap.db) == 'ok'


def unreachable(box):
    """The same replica at a port where nobody listens."""
    box.target = wb.Target('s3', f's3://nowhere/db?endpoint=http://127.0.0.1:{proc.free_port()}'
                           '&region=us-east-1&force-path-style=true',
                           {'LITESTREAM_ACCESS_KEY_ID': 'k', 'LITESTREAM_SECRET_ACCESS_KEY': 's'}, {},
                           None, None, None, None)
    return box


@pytest.mark.parametrize('flags', [[], ['--offline', 'ok'], ['--offline', 'stop']])
def test_absent_with_an_unreachable_store_stops_within_store_wait(box, flags):
    unreachable(box)
    t0 = time.monotonic()
    stops(box.run('--store-wait', '1s', *flags), 11, 'code=store_unreachable')
    assert time.monotonic() - t0 < 10
    assert box.names() == []


def test_absent_offline_start_empty_says_it_in_so_many_words(box):
    unreachable(box)
    starts(box.run('--store-wait', '1s', '--offline', 'start-empty', '--stop-timeout', '1s'), NO_BACKUP,
           'start-empty')


def test_denied_is_not_none(walback, s3_replica, tmp_path):
    box = Box(walback, s3_replica, tmp_path / 'data')
    stops(box.run(env={'LITESTREAM_SECRET_ACCESS_KEY': 'wrong'}), 12)
    assert box.names() == []


def test_a_litestream_05_path_is_no_empty_one(box):
    box.target.write('ltx/0/0000000000000001-0000000000000001.ltx', b'LTX1' + bytes(96))
    stops(box.run(), 13)


# ---- corrupt ----

def test_corrupt_is_quarantined_and_restored(box):
    box.fill(40)
    box.damage(3)
    starts(box.run(), REQUIRED, RESTORED, 'set aside')
    assert len(box.rows()) == 40
    assert sqlite.integrity(box.db) == 'ok'
    (kept,) = box.quarantined()
    assert b'\x55' * 4096 in (box.folder / kept).read_bytes()


def untouched(box, act):
    """act must not change a byte of what is there."""
    def look():
        # What is in a -shm changes with being looked at; whether there is one does not.
        return {p.name: '' if p.name.endswith('-shm') or p.is_dir() else p.read_bytes() for p in box.folder.iterdir()}

    before = look()
    act()
    assert look() == before


@pytest.fixture
def corrupt(box):
    sqlite.create(box.db, rows=300)
    box.damage(3)
    return box


def test_corrupt_without_a_backup_touches_nothing(corrupt):
    untouched(corrupt, lambda: stops(corrupt.run(), 14, 'code=database_corrupt', 'nothing was touched', NO_BACKUP))


def test_a_check_leaves_no_wal_beside_a_database_that_had_none(box):
    conn = sqlite.connect(box.db)
    assert conn.execute('PRAGMA journal_mode=WAL').fetchone() == ('wal',)
    conn.execute('CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<500)'
                 ' SELECT i, hex(randomblob(40)) FROM n')
    conn.close()
    with open(box.db, 'r+b') as f:
        f.seek(2 * 4096)
        f.write(b'\x55' * 4096)
    assert box.names() == ['app.db']
    untouched(box, lambda: stops(box.run(), 14, 'code=database_corrupt'))
    assert box.names() == ['app.db']


def test_corrupt_with_an_unreachable_store_touches_nothing(corrupt):
    unreachable(corrupt)
    untouched(corrupt, lambda: stops(corrupt.run('--store-wait', '1s', '--offline', 'start-empty'), 11))


def test_corrupt_with_a_damaged_backup_touches_nothing(gap):
    sqlite.create(gap.db, rows=300)
    gap.damage(3)
    untouched(gap, lambda: stops(gap.run('--accept-loss'), 13, 'nothing was touched'))


def test_zeros_and_stubs_count_as_corrupt(box):
    for content in (bytes(8192), b'SQLite format 3\0', b'short'):
        box.db.write_bytes(content)
        untouched(box, lambda: stops(box.run(), 14, 'code=database_corrupt'))


def test_corrupt_and_in_use_is_not_replaced(box):
    box.fill(40)
    box.damage(3)
    c = sqlite3.connect(box.db)
    c.execute('SELECT count(*) FROM sqlite_master').fetchall()
    r = box.run()
    stops(r, 15, f'is open in process {os.getpid()}')
    c.close()
    assert not box.quarantined()
    assert 'app.db.walback-tmp' not in box.names()     # of the size of the database
    starts(box.run(), RESTORED)


# ---- unreadable, unusable ----

def test_what_looks_encrypted_is_left_alone_until_told(box):
    box.fill()
    box.lose()
    box.db.write_bytes(os.urandom(8192))
    untouched(box, lambda: stops(box.run(), 14, 'code=database_unreadable', '--replace-unreadable'))
    starts(box.run('--replace-unreadable'), RESTORED)
    assert len(box.rows()) == 5
    assert len(box.quarantined()) == 1


def test_a_folder_at_the_path_is_unusable(box):
    box.db.mkdir()
    stops(box.run(), 1, 'not a regular file')


def test_a_database_locked_by_another_is_busy(box):
    sqlite.create(box.db, wal=False)
    c = sqlite.connect(box.db)
    c.execute('BEGIN EXCLUSIVE')
    stops(box.run(), 15, 'code=database_busy')
    c.close()


# ---- intact ----

def test_intact_and_known_goes_on(box):
    box.fill()
    starts(box.run())
    box.sql("INSERT INTO t VALUES(77, 'x')").ok()
    box.lose()
    starts(box.run(), RESTORED)
    assert (77,) in box.rows()


def test_intact_without_a_backup_is_replicated(box):
    sqlite.create(box.db, rows=20)
    starts(box.run())
    box.lose()
    starts(box.run(), RESTORED)
    assert len(sqlite.rows(box.db, 'SELECT id FROM t')) == 20


def test_intact_after_its_state_was_lost_is_recognised_by_its_sum(box):
    box.fill()
    subprocess.run(['rm', '-rf', str(box.folder / '.app.db-walback')], check=True)
    starts(box.run())
    assert 'continued' in str([box.target.json(k).get('reason') for k in box.target.files()
                               if k.endswith('generation.json')])


def test_intact_with_an_unreachable_store_starts_unless_told_otherwise(box):
    sqlite.create(box.db, rows=20)
    unreachable(box)
    starts(box.run('--store-wait', '1s', '--stop-timeout', '1s'), 'no replica answers')
    stops(box.run('--store-wait', '1s', '--offline', 'stop'), 11)


def test_intact_with_a_damaged_backup_starts_a_new_generation(box):
    box.fill()
    for k in box.target.files():
        if '/snapshots/' in k:
            box.target.delete(k)
    starts(box.run(), 'its backup is damaged')
    box.lose()
    starts(box.run(), RESTORED)
    assert len(box.rows()) == 5


def test_a_foreign_database_stops_and_either_can_be_adopted(box):
    box.fill()
    box.lose()
    sqlite.create(box.db, rows=30, seed=9)
    untouched(box, lambda: stops(box.run(), 16, 'code=histories_differ', '--adopt'))
    starts(box.run('--adopt', 'replica'), RESTORED, 'adopt replica')
    assert len(box.rows()) == 5
    (kept,) = box.quarantined('replaced')
    assert len(sqlite.rows(box.folder / kept, 'SELECT id FROM t')) == 30


def test_adopting_the_local_one_makes_it_the_newest_state(box):
    box.fill()
    box.lose()
    sqlite.create(box.db, rows=30, seed=9)
    starts(box.run('--adopt', 'local'), 'adopt local')
    starts(box.run())
    box.lose()
    starts(box.run(), RESTORED)
    assert len(sqlite.rows(box.db, 'SELECT id FROM t')) == 30


def test_coming_from_litestream(walback, tmp_path):
    """README, "Coming from Litestream"."""
    target = wb.file_target(vectors.copy('litestream-v03', 'basic', tmp_path / 'replica'))
    box = Box(walback, target, tmp_path / 'data')
    walback.restore(target, box.db).ok()
    stops(box.run(), 16, 'was not made by walback', 'code=histories_differ')
    starts(box.run('--adopt', 'local'), 'adopt local', 'writing lz4')
    assert [k for k in target.files() if k.endswith('.zst')] == []
    starts(box.run())
    box.lose()
    starts(box.run(), RESTORED)


def test_warnings_of_the_check_do_not_stop(box):
    box.sql("CREATE TABLE t(a, b); INSERT INTO t VALUES(NULL, 1); PRAGMA writable_schema=ON;"
            "UPDATE sqlite_master SET sql='CREATE TABLE t(a NOT NULL, b)'").ok()
    starts(box.run(), 'NULL value in t.a')


# ---- several replicas ----

def two(walback, tmp_path, db):
    a, b = wb.file_target(tmp_path / 'a'), wb.file_target(tmp_path / 'b')
    return a, b, walback.config(db, [a, b])


def test_the_replica_with_the_newest_commit_wins(walback, tmp_path):
    db = tmp_path / 'data' / 'app.db'
    db.parent.mkdir()
    a, b, cfg = two(walback, tmp_path, db)
    app = [sys.executable, '-c', SQL, db]
    walback.run('run', '-config', cfg, '--', *app, 'PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t '
                'VALUES(1)').ok()
    only_b = walback.config(db, [b], name='b.yml')
    walback.run('run', '-config', only_b, '--', *app, 'INSERT INTO t VALUES(2)').ok()
    subprocess.run(['rm', '-rf', str(db.parent)], check=True)
    db.parent.mkdir()
    r = walback.run('run', '-config', cfg, '--', *app, 'SELECT count(*) FROM t').ok()
    assert r.out.startswith('2\n'), r
    assert a.files()


def test_a_damaged_replica_beside_a_good_one_is_named(walback, tmp_path):
    db = tmp_path / 'data' / 'app.db'
    db.parent.mkdir()
    a, _, cfg = two(walback, tmp_path, db)
    app = [sys.executable, '-c', SQL, db]
    walback.run('run', '-config', cfg, '--', *app, 'PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t '
                'VALUES(1)').ok()
    for k in a.files():
        if '/snapshots/' in k:
            a.delete(k)
    subprocess.run(['rm', '-rf', str(db.parent)], check=True)
    db.parent.mkdir()
    r = walback.run('run', '-config', cfg, '--', *app, 'SELECT count(*) FROM t').ok()
    assert r.out.startswith('1\n'), r
    assert 'replica cannot be used' in r.err and 'replica=r0' in r.err


# ---- the command line ----

def test_everything_from_the_environment(walback, tmp_path):
    env = {'DATABASE_PATH': tmp_path / 'e.db', 'WALBACK_REPLICA_URL': f'file://{tmp_path}/rep'}
    r = walback.run('run', 'sh', '-c', 'echo APP-RAN; exit 3', env=env)
    assert r.code == 3 and r.out == 'APP-RAN\n', r


@pytest.mark.parametrize('app', [['one'], ['one', '-two', '--', 'three four'], []])
def test_the_app_gets_its_own_arguments_and_no_others(box, app):
    r = box.run('-stop-timeout', '5s', app=[sys.executable, '-c', 'import sys; print(sys.argv[1:])', *app])
    assert r.ok().out == f'{app}\n'


@pytest.mark.parametrize('args, words', [
    (['run'], 'no app to run'),
    (['run', '-db', '/x.db', '--', 'true'], 'go together'),
    (['run', '--stop-timeout', '0s', '-db', '/x.db', '-replica-url', 'file:///x', 'true'], 'positive'),
])
def test_usage_errors(walback, tmp_path, args, words):
    env = {'DATABASE_PATH': tmp_path / 'e.db', 'WALBACK_REPLICA_URL': f'file://{tmp_path}/rep'}
    r = walback.run(*args, env=env).fails(2)
    assert words in r.err and '\n  next: ' in r.err, r


def test_an_agent_that_is_started_again_does_not_take_the_head_back(walback, file_replica, tmp_path):
    def head():
        return file_replica.json('walback/head.json')['generation']

    mine, theirs = Box(walback, file_replica, tmp_path / 'mine'), Box(walback, file_replica, tmp_path / 'theirs')
    theirs.fill()
    sqlite.create(mine.db)
    with walback.start('run', '-db', mine.db, '-replica-url', file_replica.url, '--adopt', 'local', '--wait-for-sync',
                       '20s', '--', 'sh', '-c', 'echo APP-RAN; exec sleep 60') as p:
        p.wait_log('APP-RAN')
        first = head()
        theirs.run('--adopt', 'local', '--wait-for-sync', '20s').ok()
        now = head()
        assert now != first
        children = [int(c) for c in open(f'/proc/{p.pid}/task/{p.pid}/children').read().split()]
        agent, = [c for c in children if b'replicate' in open(f'/proc/{c}/cmdline', 'rb').read()]
        os.kill(agent, 9)
        p.wait_log('the agent was started again')
        p.wait_log('code=histories_differ')
        p.wait_log('reason=diverged')
        assert head() == now
        assert p.stop() == 143
