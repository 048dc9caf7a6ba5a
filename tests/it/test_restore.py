# SPDX-License-Identifier: Apache-2.0
"""restore and the lists as a person or a script uses them."""
import errno
import fcntl
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time

import pytest

from testenv import proc, s3, sqlite, vectors, walback as wb
from testenv.fault import Fault

GENERATION = 'c78ceaa43e5d01e4'


@pytest.fixture
def basic(tmp_path):
    """Litestream's basic fixture as a replica."""
    return wb.file_target(vectors.copy('litestream-v03', 'basic', tmp_path / 'replica'))


@pytest.fixture
def want():
    return vectors.expect('litestream-v03', 'basic')['targets'][0]['sha256']


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_existing_file_is_never_touched(walback, basic, tmp_path):
    out = tmp_path / 'x.db'
    out.write_bytes(b'precious')
    r = walback.restore(basic, out).fails(1)
    assert f'{out} exists; nothing was changed' in r.err and '-force' in r.err
    assert out.read_bytes() == b'precious'
    walback.restore(basic, out, '-if-db-not-exists').ok()
    assert out.read_bytes() == b'precious'


def test_an_empty_file_counts_as_absent(walback, basic, tmp_path, want):
    out = tmp_path / 'x.db'
    out.touch()
    walback.restore(basic, out, '-if-db-not-exists').ok()
    assert sha(out) == want


@pytest.mark.parametrize('empty', [False, True])
def test_a_file_that_appears_in_the_last_instant_is_not_replaced(walback, basic, tmp_path, empty):
    out = tmp_path / 'x.db'
    if empty:
        out.touch()
    # The empty file's own going is a rename too.
    fault = Fault(tmp_path, 'rename', 2 if empty else 1, 'appear', '/x.db')
    r = walback.restore(basic, out, env=fault.env()).fails(1)
    assert fault.happened()
    assert f'during the restore something came there: {out} exists; nothing was changed' in r.err
    assert out.read_bytes() == b"somebody's"
    assert not (tmp_path / 'x.db.walback-tmp').exists()


def test_force_keeps_what_it_replaces(walback, basic, tmp_path, want):
    out = tmp_path / 'x.db'
    sqlite.create(out)
    os.chmod(out, 0o640)
    old = sha(out)
    r = walback.restore(basic, out, '-force').ok()
    assert sha(out) == want
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    kept = [p for p in tmp_path.iterdir() if p.name.startswith('x.db.replaced.') and not p.name.endswith(('-wal', '-shm'))]
    assert len(kept) == 1 and sha(kept[0]) == old
    assert f'note: the file that was there is kept as {kept[0]}\n' in r.err
    assert not (tmp_path / 'x.db.walback-tmp').exists()


def test_force_leaves_the_old_file_alone_when_the_new_one_cannot_be_proven(walback, basic, tmp_path):
    out = sqlite.create(tmp_path / 'x.db')
    old = sha(out)
    os.truncate(next((basic.folder / 'generations' / GENERATION / 'wal').glob('00000002_0002d458*')), 100)
    walback.restore(basic, out, '-force').fails(13)
    assert sha(out) == old
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ['x.db']


def test_a_replacement_that_fails_half_way_is_finished_by_the_next_command(walback, basic, tmp_path, want):
    out = tmp_path / 'x.db'
    sqlite.create(out)
    fault = Fault(tmp_path, 'rename', 1, errno.EIO, '/x.db', times=1 << 60)
    r = walback.restore(basic, out, '-force', env=fault.env()).fails(1)
    assert 'begun; the next command goes on' in r.err and 'run the same command again' in r.err
    assert sha(out) != want
    walback.restore(basic, out).fails(1)
    assert sha(out) == want and not (tmp_path / 'x.db.walback-tmp').exists()


@pytest.mark.parametrize('flags', [(), ('-force',)])
def test_what_is_no_file_is_refused_before_anything_is_fetched(walback, basic, tmp_path, flags):
    (tmp_path / 'folder').mkdir()
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'loop').symlink_to('loop')
    for name, why in (('folder', 'is a folder'), ('pipe', 'is not a regular file'), ('loop', 'Too many levels')):
        r = walback.restore(basic, tmp_path / name, *flags).fails(1)
        assert why in r.err and 'restoring from' not in r.err, r
    assert 'next: -o FOLDER/NAME' in walback.restore(basic, tmp_path / 'folder', '-if-db-not-exists').fails(1).err
    assert sorted(p.name for p in tmp_path.iterdir()) == ['folder', 'loop', 'pipe', 'replica']


def test_force_looks_for_users_before_anything_is_fetched(walback, basic, tmp_path):
    out = sqlite.create(tmp_path / 'x.db')
    with proc.Proc([sys.executable, '-c', 'import sqlite3, sys, time\nc = sqlite3.connect(sys.argv[1])\n'
                    'c.execute("SELECT count(*) FROM t").fetchall()\nprint("open", flush=True)\ntime.sleep(60)', out],
                   tmp_path / 'app.log') as app:
        app.wait_log('open')
        r = walback.restore(basic, out, '-force').fails(15)
        assert f'open in process {app.pid}' in r.err and 'restoring from' not in r.err, r


def test_a_place_that_cannot_be_written_is_no_stores_denial(walback, basic):
    r = walback.restore(basic, '/proc/no/such/x.db').fails(1)
    assert 'create folder /proc/no' in r.err


def test_standard_descriptors_that_are_closed_are_not_taken_for_files(walback, basic, tmp_path, want):
    def close(*fds):
        return lambda: [os.close(fd) for fd in fds]

    r = walback.run('restore', '-o', '-', basic.url, preexec_fn=close(0, 1)).fails(1)
    assert 'write standard output: Bad file descriptor' in r.err
    walback.run('restore', '-o', tmp_path / 'x.db', basic.url, preexec_fn=close(0, 1, 2)).ok()
    assert sha(tmp_path / 'x.db') == want
    r = walback.run('generations', basic.url, preexec_fn=close(1)).fails(1)
    assert 'Bad file descriptor' in r.err


def test_standard_output_gets_the_proven_database(walback, basic, want):
    r = walback.run('restore', '-o', '-', basic.url).ok()
    assert hashlib.sha256(r.stdout).hexdigest() == want


def test_nothing_reaches_standard_output_without_proof(walback, basic):
    path = next((basic.folder / 'generations' / GENERATION / 'wal').glob('00000002_0002d458*'))
    os.truncate(path, 100)
    r = walback.run('restore', '-o', '-', basic.url).fails(13)
    assert r.stdout == b''


def test_no_backup_is_told_from_a_store_that_does_not_answer(walback, tmp_path, versitygw):
    empty = wb.file_target(tmp_path / 'none')
    r = walback.restore(empty, tmp_path / 'x.db').fails(10)
    assert 'no backup found' in r.err
    walback.restore(empty, tmp_path / 'x.db', '-if-replica-exists').ok()
    assert not (tmp_path / 'x.db').exists()
    # There is a backup: that it does not hold what was asked for is no success.
    some = wb.file_target(vectors.copy('litestream-v03', 'basic', tmp_path / 'some'))
    for asked in (['-timestamp', '2020-01-01T00:00:00Z'], ['-generation', '0' * 16]):
        walback.restore(some, tmp_path / 'x.db', '-if-replica-exists', *asked).fails(10)
    missing = (f's3://no-such-bucket/db?endpoint={versitygw.endpoint}&region=us-east-1&force-path-style=true')
    env = {'LITESTREAM_ACCESS_KEY_ID': s3.ACCESS, 'LITESTREAM_SECRET_ACCESS_KEY': s3.SECRET}
    r = walback.run('restore', '-if-replica-exists', '-o', tmp_path / 'x.db', missing, env=env)
    assert r.code in (11, 12), repr(r)


def test_usage_errors(walback, basic, tmp_path):
    walback.run('restore', basic.url).fails(2)
    for args in (['-index', 'xyz'], ['-timestamp', 'yesteryear'], ['-position', '12'], ['-generation', 'ABC'],
                 ['-index', '1', '-timestamp', '2026-11-21T00:00:00Z'], ['-integrity-check', 'maybe'],
                 ['-perm', '9'], ['-owner', 'no-such-user-here'], ['-owner', '4294967295'],
                 ['-owner', '0:4294967295'], ['-parallelism', 'many']):
        r = walback.restore(basic, tmp_path / 'x.db', *args).fails(2)
        assert r.err.splitlines()[-1].startswith('  next: '), r
    for flag in ('-force', '-json'):
        assert f'next: -o PATH, or without {flag}' in walback.restore(basic, '-', flag).fails(2).err
    walback.restore(basic, tmp_path / 'x.db', '-generation', '0' * 16).fails(10)
    assert not (tmp_path / 'x.db').exists()


def test_mode_of_a_new_file(walback, basic, tmp_path):
    walback.restore(basic, tmp_path / 'a.db').ok()
    walback.restore(basic, tmp_path / 'b.db', '-perm', '0644').ok()
    assert stat.S_IMODE((tmp_path / 'a.db').stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / 'b.db').stat().st_mode) == 0o644


def test_as_root_the_folder_names_the_owner(walback, basic, tmp_path):
    if os.geteuid() != 0:
        pytest.skip('only root can give files away')
    (tmp_path / 'data').mkdir()
    os.chown(tmp_path / 'data', 12345, 23456)
    walback.restore(basic, tmp_path / 'data/x.db').ok()
    st = (tmp_path / 'data/x.db').stat()
    assert (st.st_uid, st.st_gid) == (12345, 23456)
    walback.restore(basic, tmp_path / 'data/y.db', '-owner', '1:2').ok()
    st = (tmp_path / 'data/y.db').stat()
    assert (st.st_uid, st.st_gid) == (1, 2)


def test_a_running_restore_holds_its_temporary_file(walback, basic, tmp_path, want):
    out, temp = tmp_path / 'x.db', tmp_path / 'x.db.walback-tmp'
    with open(temp, 'wb') as f:
        f.write(b'half a database')
        f.flush()
        fcntl.flock(f, fcntl.LOCK_EX)
        r = walback.restore(basic, out).fails(15)
        assert 'another restore is writing' in r.err
        assert temp.read_bytes() == b'half a database'
    # Its owner is dead now: the file is reused.
    walback.restore(basic, out).ok()
    assert sha(out) == want and not temp.exists()


def test_a_stale_wal_is_not_replayed_over_the_restored_file(walback, basic, tmp_path, want):
    out = tmp_path / 'x.db'
    con = sqlite3.connect(out)
    con.execute('pragma journal_mode=wal')
    con.execute('create table other(x)')
    con.commit()
    shutil.copy(f'{out}-wal', tmp_path / 'stale')
    con.close()
    out.unlink()
    (tmp_path / 'stale').rename(f'{out}-wal')
    r = walback.restore(basic, out).ok()
    assert sha(out) == want and 'moved aside' in r.err
    assert not (tmp_path / 'x.db-wal').exists()
    assert sqlite.integrity(out) == 'ok'


def test_standard_output_is_built_in_tmpdir(walback, basic):
    r = walback.run('restore', '-o', '-', basic.url, env={'TMPDIR': '/nonexistent'}).fails(1)
    assert 'make a temporary file in /nonexistent' in r.err and 'next: set TMPDIR to a folder with room' in r.err
    assert r.stdout == b''


def test_every_way_to_write_a_time(walback, tmp_path):
    target = wb.file_target(vectors.copy('walback', 'zst-4096', tmp_path / 'replica'))
    transactions = vectors.expect('walback', 'zst-4096')['transactions']
    want = next(t['sha256'] for t in transactions if t['time'] == '2024-01-02T03:06:45.268Z')
    unix = 1704164805                   # 2024-01-02T03:06:45Z; the next transaction is 127 ms after this one
    for text in ('2024-01-02T03:06:45.268Z', '2024-01-02T03:06:45.3Z', '2024-01-02T05:06:45.268+02:00',
                 '2024-01-01T22:36:45.394999-04:30', f'@{unix}.268', f'@{unix}.394'):
        out = tmp_path / 'x.db'
        walback.restore(target, out, '-timestamp', text).ok()
        assert sha(out) == want, text
        out.unlink()
    # An hour and some after that moment, told from now; in the 70 s before it nothing happened.
    ago = int(time.time()) - unix + 5
    for text in (f'{ago} seconds ago', f'{ago}s ago'):
        walback.restore(target, out, '-timestamp', text).ok()
        assert sha(out) == next(t['sha256'] for t in transactions if t['time'] == '2024-01-02T03:05:35.268Z'), text
        out.unlink()


def test_a_position_inside_the_first_snapshot_is_named(walback, tmp_path):
    """A snapshot taken of a live database is consistent from its end on only."""
    target = wb.file_target(vectors.copy('walback', 'zst-4096', tmp_path / 'replica'))
    generation, out = '59b54de49c0d7aa9', tmp_path / 'x.db'
    wanted = [t for t in vectors.expect('walback', 'zst-4096')['transactions']
              if t['generation'] == generation and t['index'] == 2]
    target.delete(f'generations/{generation}/snapshots/00000000.snapshot.zst')
    for t in wanted[:-1]:
        r = walback.restore(target, out, '-generation', generation, '-position', f'2:{t["offset"]:x}').fails(13)
        assert 'code=inside_snapshot' in r.err and not out.exists(), r
        assert f'next: -timestamp {wanted[-1]["time"]} -generation {generation}\n' in r.err, r
    for words in (['-position', f'2:{wanted[-1]["offset"]:x}'], ['-timestamp', wanted[-1]['time']], ['-index', '2']):
        walback.restore(target, out, '-generation', generation, *words).ok()
        assert sha(out) == wanted[-1]['sha256'], words
        out.unlink()
    r = walback.restore(target, out, '-generation', generation, '-index', '1').fails(10)
    assert 'code=before_first' in r.err and f'-generation {generation}\n' in r.err, r


@pytest.fixture
def sick(walback, file_replica, tmp_path):
    """A replica of a database whose index lost a row, which only SQLite's full check sees; and one of a database
    with a broken page, which the quick one sees too."""
    def make(how):
        db = sqlite.create(tmp_path / f'{how}.db', rows=300)
        conn = sqlite.connect(db)
        if how == 'full':
            conn.execute('PRAGMA writable_schema=ON')
            conn.execute("UPDATE sqlite_master SET sql = 'CREATE INDEX t0 ON t(k + 1, id)' WHERE name = 't0'")
        else:
            root = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 't1'").fetchone()[0]
        conn.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        conn.close()
        if how == 'quick':
            with open(db, 'r+b') as f:
                f.seek((root - 1) * 4096)
                f.write(b'\x55' * 4096)
        with walback.replicate(db, file_replica) as agent:
            agent.wait_log('generation begun')
            assert agent.stop() == 0
        return file_replica
    return make


def test_a_proven_copy_of_a_damaged_source_is_not_placed(walback, sick, tmp_path):
    target, out = sick('quick'), tmp_path / 'x.db'
    for words in ([], ['-integrity-check', 'full']):
        r = walback.restore(target, out, *words).fails(13)
        assert 'the source was already damaged at that time' in r.err and 'code=source_damaged' in r.err, r
        assert 'an earlier -timestamp, or -integrity-check none' in r.err.splitlines()[-1], r
        assert not out.exists() and not (tmp_path / 'x.db.walback-tmp').exists()
    r = walback.restore(target, out, '-integrity-check', 'none').ok()
    assert 'not checked by SQLite' in r.err and sha(out) == sha(tmp_path / 'quick.db')


def test_the_full_check_sees_more_than_the_quick_one(walback, sick, tmp_path):
    target = sick('full')
    assert 'quick check ok' in walback.restore(target, tmp_path / 'a.db').ok().err
    r = walback.restore(target, tmp_path / 'b.db', '-integrity-check', 'full').fails(13)
    assert 'code=source_damaged' in r.err and 'missing from index' in r.err, r
    walback.restore(target, tmp_path / 'c.db', '-integrity-check', 'none').ok()


def test_parallelism_is_the_number_of_requests_in_flight(walback, basic, proxied_replica, s3_proxy, tmp_path, want):
    for key in basic.files():
        proxied_replica.write(key, basic.read(key))
    s3_proxy.latency(60)
    took = {}
    for n in (1, 64):
        r = walback.restore(proxied_replica, tmp_path / f'{n}.db', '-json', '-parallelism', n).ok()
        assert sha(tmp_path / f'{n}.db') == want
        took[n] = json.loads(r.out)['fetch_ms']
    # 15 segments one after the other, at 60 ms each.
    assert took[1] >= 15 * 60 > took[64], took


@pytest.mark.parametrize('sig, code', [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_restore_leaves_nothing(walback, basic, proxied_replica, s3_proxy, tmp_path, sig, code):
    for key in basic.files():
        proxied_replica.write(key, basic.read(key))
    s3_proxy.latency(400)
    out = tmp_path / 'out'
    out.mkdir()
    with walback.start('restore', '-parallelism', '1', '-o', out / 'x.db', proxied_replica.url,
                       env=proxied_replica.env) as p:
        proc.wait_until((out / 'x.db.walback-tmp').exists, 20, p.text)
        os.kill(p.pid, sig)
        t0 = time.monotonic()
        assert p.wait(10) == code, p.text()
        assert time.monotonic() - t0 < 3
    assert not list(out.iterdir())
    # A list too.
    with walback.start('generations', proxied_replica.url, env=proxied_replica.env) as p:
        time.sleep(0.3)
        os.kill(p.pid, sig)
        assert p.wait(10) == code, p.text()


def test_dry_run_writes_nothing(walback, basic, tmp_path):
    r = walback.restore(basic, tmp_path / 'new/x.db', '-dry-run').ok()
    assert 'dry run: 16 objects' in r.err
    assert not (tmp_path / 'new').exists()
    for words, check in ((['-dry-run'], None), (['-integrity-check', 'none'], None), ([], 'ok')):
        got = json.loads(walback.restore(basic, tmp_path / f'{len(words)}.db', '-json', *words).ok().out)
        assert got['integrity_check'] == check, words


def test_json(walback, basic, tmp_path, want):
    r = walback.restore(basic, tmp_path / 'x.db', '-json').ok()
    got = json.loads(r.out)
    assert got['generation'] == GENERATION and got['pages'] == 38 and got['page_size'] == 4096
    assert got['proven'] is False and got['integrity_check'] == 'ok' and got['objects'] == 16
    assert got['time'] == '2026-11-21T00:20:39.634Z' and got['time_is_stored'] is True
    # The position it names restores to the same.
    walback.restore(basic, tmp_path / 'y.db', '-position', f'{got["index"]}:{got["offset"]}').ok()
    assert sha(tmp_path / 'y.db') == want


def config_of(walback, db, targets):
    return walback.config(db, targets)


def test_several_replicas_the_newest_provable_one_wins(walback, tmp_path, want):
    old = wb.file_target(vectors.copy('litestream-v03', 'shrink', tmp_path / 'old'))
    new = wb.file_target(vectors.copy('litestream-v03', 'basic', tmp_path / 'new'))
    db = tmp_path / 'data.db'
    cfg = config_of(walback, db, [old, new])
    walback.run('restore', '-config', cfg, db).ok()
    assert sha(db) == want
    db.unlink()
    # The newest one is damaged: the other one, and a warning that says so.
    os.truncate(next((new.folder / 'generations' / GENERATION / 'snapshots').iterdir()), 100)
    r = walback.run('restore', '-config', cfg, db).ok()
    assert sha(db) == vectors.expect('litestream-v03', 'shrink')['targets'][0]['sha256']
    assert 'warning: replica r1: ' in r.err
    db.unlink()
    walback.run('restore', '-config', cfg, '-replica', 'r1', db).fails(13)
    walback.run('restore', '-config', cfg, '-replica', 'r9', db).fails(2)


def test_an_unreachable_replica_beside_a_good_one_is_a_warning(walback, tmp_path, want):
    good = wb.file_target(vectors.copy('litestream-v03', 'basic', tmp_path / 'good'))
    dead = {'type': 's3', 'bucket': 'b', 'endpoint': 'http://127.0.0.1:9', 'name': 'dead',
            'access-key-id': 'a', 'secret-access-key': 'b'}
    db = tmp_path / 'data.db'
    cfg = tmp_path / 'w.yml'
    replicas = [dead, {'type': 'file', 'path': str(good.folder), 'name': 'good'}]
    cfg.write_text(json.dumps({'dbs': [{'path': str(db), 'replicas': replicas}]}))
    # In the time one takes to be given up: beside an empty one "unreachable" is the answer, never "no backup".
    other = tmp_path / 'other.yml'
    empty = [dead, {'type': 'file', 'path': str(tmp_path / 'nothing'), 'name': 'empty'}]
    other.write_text(json.dumps({'dbs': [{'path': str(tmp_path / 'o.db'), 'replicas': empty}]}))
    beside_empty = walback.start('restore', '-config', other, '-if-replica-exists', tmp_path / 'o.db')
    listing = walback.start('generations', '-config', other, '-replica', 'dead', tmp_path / 'o.db')
    r = walback.run('restore', '-config', cfg, db, timeout=120).ok()
    assert sha(db) == want and 'warning: replica dead: ' in r.err
    assert beside_empty.wait(60) == 11, beside_empty.text()
    assert listing.wait(60) == 11, listing.text()


def test_a_replica_looked_for_in_the_wrong_place_is_hinted_at(walback, basic, tmp_path, versitygw, bucket):
    bucket.put_tree(basic.folder, 'prod/app')
    env = {'LITESTREAM_ACCESS_KEY_ID': s3.ACCESS, 'LITESTREAM_SECRET_ACCESS_KEY': s3.SECRET}
    query = f'?endpoint={versitygw.endpoint}&region=us-east-1&force-path-style=true'
    r = walback.run('restore', '-o', tmp_path / 'x.db', f's3://{bucket.bucket}/prod{query}', env=env).fails(10)
    assert 'folders in it (app/)' in r.err
    r = walback.run('restore', '-o', tmp_path / 'x.db', f'file://{tmp_path}').fails(10)
    assert 'folders in it (replica/)' in r.err
    r = walback.run('restore', '-o', tmp_path / 'x.db', basic.folder).fails(2)
    assert f'next: a replica in that folder is named by its URL: {basic.url}\n' in r.err
    r = walback.restore(basic, tmp_path / 'x.db', '-replica', 'nope').fails(2)
    assert 'next: known: file\n' in r.err


def test_records_that_cannot_be_read_leave_the_choice_to_people(walback, tmp_path):
    target = wb.file_target(vectors.copy('walback', 'zst-4096', tmp_path / 'replica'))
    old = ['-timestamp', '2024-01-02T03:06:00Z']
    walback.restore(target, tmp_path / 'a.db', *old).ok()
    target.write('generations/6bcb2bd4a3552e4e/generation.json', b'{"format":1}')
    r = walback.restore(target, tmp_path / 'x.db', *old).fails(13)
    assert 'which one was current before cannot be told' in r.err and 'code=bad_record' in r.err, r
    walback.restore(target, tmp_path / 'b.db', *old, '-generation', '59b54de49c0d7aa9').ok()
    assert sha(tmp_path / 'b.db') == sha(tmp_path / 'a.db')
    target.write('walback/head.json', b' ' * 100000)
    assert len(walback.run('generations', target.url).ok().out.splitlines()) == 3
    assert 'code=bad_head' in walback.restore(target, tmp_path / 'x.db').fails(13).err
    walback.restore(target, tmp_path / 'x.db', '-generation', '6bcb2bd4a3552e4e').ok()


def test_a_name_with_control_characters_does_not_reach_the_terminal(walback, basic, tmp_path):
    out = tmp_path / 'a\x1b[31m\rb.db'
    r = walback.restore(basic, out).ok()
    assert out.exists() and '\x1b' not in r.err and '\r' not in r.err and 'a?[31m?b.db' in r.err
    got = json.loads(walback.restore(basic, tmp_path / 'c\x1b.db', '-json').ok().out)
    assert got['output'] == str(tmp_path / 'c\x1b.db')


def s3_url(server, bucket='some-bucket', scheme='http'):
    return f's3://{bucket}/db?endpoint={scheme}://127.0.0.1:{server.port}&region=us-east-1&force-path-style=true'


def test_mistakes_in_a_bucket_are_named_at_once(walback, versitygw, tmp_path):
    good = {'LITESTREAM_ACCESS_KEY_ID': s3.ACCESS, 'LITESTREAM_SECRET_ACCESS_KEY': s3.SECRET}
    for url, env, code, text in (
            (s3_url(versitygw, scheme='https'), {}, 11, 'write http:// in the endpoint'),
            (s3_url(versitygw), {'LITESTREAM_ACCESS_KEY_ID': 'nobody'}, 12, 'code=bad_key_id'),
            (s3_url(versitygw), {'LITESTREAM_SECRET_ACCESS_KEY': 'wrong'}, 12, 'code=bad_secret'),
            (s3_url(versitygw, bucket='A_b'), {}, 2, 'A_b is no name that a bucket can have')):
        for words in (['generations', url], ['restore', '-o', tmp_path / 'x.db', url]):
            r = walback.run(*words, env={**good, **env}).fails(code)
            assert text in r.err and '\n  next: ' in r.err and ' tries' not in r.err, r
            assert s3.SECRET not in r.err and 'wrong' not in r.err.replace('wrong version', ''), r


# ---- lists ----

def words(text):
    return [line.split() for line in text.splitlines()]


@pytest.mark.parametrize('fixture', ['basic', 'multi-generation', 'pruned'])
def test_lists_are_those_of_litestream_with_columns_to_the_right(walback, tmp_path, fixture):
    target = wb.file_target(vectors.copy('litestream-v03', fixture, tmp_path / 'replica'))
    expect = vectors.expect('litestream-v03', fixture)['generations']
    rows = words(walback.run('generations', target.url).ok().out)
    assert rows[0][:7] == ['name', 'generation', 'lag', 'start', 'end', 'parent', 'reason']
    got = {r[1]: r for r in rows[1:]}
    assert [r[1] for r in rows[1:]] == [g['generation'] for g in sorted(expect, key=lambda g: g['start'])]
    for g in expect:
        assert got[g['generation']][0] == 'file'
        assert got[g['generation']][3:7] == [g['start'], g['end'], '-', '-']
    assert [r[1] for r in rows[1:] if r[7] == 'yes'] == [max(expect, key=lambda g: g['end'])['generation']]

    rows = words(walback.run('snapshots', target.url).ok().out)
    assert rows[0] == ['replica', 'generation', 'index', 'size', 'created', 'object']
    want = [['file', g['generation'], str(s['index']), str(s['size']), s['created'], f'{s["index"]:08x}']
            for g in sorted(expect, key=lambda g: g['generation']) for s in g['snapshots']]
    assert rows[1:] == want

    rows = words(walback.run('wal', target.url).ok().out)
    assert rows[0] == ['replica', 'generation', 'index', 'offset', 'size', 'created', 'object']
    want = [['file', g['generation'], str(s['index']), str(s['offset']), str(s['size']), s['created'],
             f'{s["index"]:08x}_{s["offset"]:08x}']
            for g in sorted(expect, key=lambda g: g['generation']) for s in g['wal']]
    assert rows[1:] == want
    one = words(walback.run('wal', '-generation', expect[0]['generation'], target.url).ok().out)
    assert {r[1] for r in one[1:]} == {expect[0]['generation']}


def test_lists_of_our_own_format(walback, tmp_path):
    target = wb.file_target(vectors.copy('walback', 'zst-4096', tmp_path / 'replica'))
    rows = words(walback.run('generations', target.url).ok().out)
    assert [r[1] for r in rows[1:]] == ['59b54de49c0d7aa9', '6bcb2bd4a3552e4e']
    assert rows[1][3:9] == ['2024-01-02T03:04:05Z', '2024-01-02T03:08:30Z', '-', 'init', 'no', '2']
    assert rows[2][3:9] == ['2024-01-02T03:08:31Z', '2024-01-02T03:09:05Z', '59b54de49c0d7aa9', 'rollback', 'yes', '1']
    got = [json.loads(line) for line in walback.run('generations', '-json', target.url).ok().out.splitlines()]
    assert got[1]['start'] == '2024-01-02T03:08:31.555Z' and got[1]['end'] == '2024-01-02T03:09:05.845Z'
    assert got[1]['parent'] == '59b54de49c0d7aa9' and got[1]['current'] is True
    wal = [json.loads(line) for line in walback.run('wal', '-json', target.url).ok().out.splitlines()]
    assert len(wal) == 38 and all(target.files()[w['key']] == w['size_bytes'] for w in wal)
    snapshots = [json.loads(x) for x in walback.run('snapshots', '-json', target.url).ok().out.splitlines()]
    assert [s['index'] for s in snapshots] == [0, 2, 0]


def test_empty_lists_have_their_header_and_succeed(walback, tmp_path):
    empty = wb.file_target(tmp_path / 'none')
    for command in ('generations', 'snapshots', 'wal'):
        rows = words(walback.run(command, empty.url).ok().out)
        assert len(rows) == 1 and 'generation' in rows[0]
        assert walback.run(command, '-json', empty.url).ok().out == ''


def test_lists_work_without_the_local_database_and_lag_is_its_age(walback, basic, tmp_path):
    db = tmp_path / 'app.db'
    cfg = walback.config(db, basic)
    rows = words(walback.run('generations', '-config', cfg, db).ok().out)
    assert rows[1][1] == GENERATION
    # As old as the newest object: no lag; 2.5 s older than that: negative.
    db.write_bytes(b'x')
    newest = vectors.nanoseconds('2026-11-21T00:20:39.634000000Z')
    for delta_ms, text in ((0, '0s'), (-2500, '-2.5s'), (61000, '1m1s'), (7, '7ms'), (123456, '2m3s')):
        when = newest + delta_ms * 10**6
        os.utime(db, ns=(when, when))
        rows = words(walback.run('generations', '-config', cfg, db).ok().out)
        assert rows[1][2] == text
        assert json.loads(walback.run('generations', '-json', '-config', cfg, db).ok().out)['behind_ms'] == delta_ms


def test_json_of_a_long_list_goes_out_as_it_grows(walback, tmp_path):
    target = wb.file_target(tmp_path / 'replica')
    for key in (f'generations/{GENERATION}/wal/{n:08x}_00000000.wal.lz4' for n in range(40000)):
        target.write(key, b'')
    with subprocess.Popen([str(walback.exe), 'wal', '-json', target.url], stdout=subprocess.PIPE,
                          env=proc.clean_env()) as p:
        first = p.stdout.read(1)        # it goes on as far as the pipe takes it
        with open(f'/proc/{p.pid}/status', encoding='ascii') as f:
            used = next(int(line.split()[1]) for line in f if line.startswith('RssAnon:')) << 10
        out = first + p.stdout.read()
        assert p.wait(60) == 0
    assert [json.loads(line)['index'] for line in out.splitlines()] == list(range(40000))
    assert used < len(out), 'it holds all of its output'
    with open('/dev/full', 'wb') as full, subprocess.Popen([str(walback.exe), 'wal', '-json', target.url], stdout=full,
                                                           stderr=subprocess.PIPE, env=proc.clean_env()) as p:
        err = p.communicate(timeout=60)[1]
    assert p.returncode == 1 and err.count(b'No space left') == 1, err
