# SPDX-License-Identifier: Apache-2.0
"""`walback replicate`: every acknowledged commit is in the store and restores bit for bit."""
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testenv import proc, sqlite


def log_value(text, key):
    for word in text.split():
        if word.startswith(key + '='):
            return word[len(key) + 1:]
    return None


def head(target):
    return target.json('walback/head.json')


def generations(target):
    return sorted({k.split('/')[1] for k in target.files() if k.startswith('generations/')})


@pytest.mark.parametrize('compression', ['zst', 'lz4'])
def test_what_is_committed_before_sigterm_is_restored(walback, replica, db, tmp_path, compression):
    with walback.replicate(db, replica, {'compression': compression}) as agent:
        with sqlite.Writer(db, tmp_path) as w:
            w.wait_commits(150)
            w.stop()
        assert agent.stop() == 0, agent.text()
    walback.restore_and_check(replica, tmp_path / 'out.db', db)
    assert head(replica)['writer']['released_at'] is not None
    assert 'level=ERROR' not in agent.text()


def test_a_lone_commit_is_in_the_store_soon(walback, replica, db, tmp_path):
    with walback.replicate(db, replica) as agent:
        agent.wait_log('generation begun')
        time.sleep(1.5)         # at rest
        c = sqlite.connect(db)
        before = set(replica.files())
        began = time.monotonic()
        sqlite.add_rows(c, 1, seed='lone')
        proc.wait_until(lambda: set(replica.files()) - before, 5, 'the segment of a lone commit')
        assert time.monotonic() - began < 2     # a bound for sanity; the figure is tests/bench's
        c.close()
        assert agent.stop() == 0


@pytest.mark.parametrize('page_size', [512 << n for n in range(8)])
def test_every_page_size(walback, file_replica, tmp_path, page_size):
    db = sqlite.create(tmp_path / 'p.db', page_size=page_size)
    with walback.replicate(db, file_replica) as agent:
        with sqlite.Writer(db, tmp_path) as w:
            w.wait_commits(60)
            w.stop()
        assert agent.stop() == 0, agent.text()
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


def test_vacuum_growth_and_a_large_transaction(walback, replica, db, tmp_path):
    with walback.replicate(db, replica) as agent:
        agent.wait_log('generation begun')
        c = sqlite.connect(db)
        c.execute('CREATE TABLE big(id INTEGER PRIMARY KEY, b BLOB)')
        c.execute('BEGIN')
        for n in range(6000):   # over 16 MiB in one transaction: several objects
            c.execute('INSERT INTO big(b) VALUES (?)', (random.Random(n).randbytes(4000),))
        c.execute('COMMIT')
        c.execute('DELETE FROM big WHERE id % 3 = 0')
        c.commit()
        c.execute('VACUUM')
        c.close()
        assert agent.stop() == 0, agent.text()
    walback.restore_and_check(replica, tmp_path / 'out.db', db)


def test_a_database_that_is_absent_or_empty_is_waited_for(walback, file_replica, tmp_path):
    db = tmp_path / 'late.db'
    db.touch()
    with walback.replicate(db, file_replica) as agent:
        time.sleep(0.5)
        assert agent.alive() and not generations(file_replica)
        c = sqlite3.connect(db)
        c.execute('PRAGMA page_size=8192')
        c.execute('CREATE TABLE t(x)')
        c.execute('INSERT INTO t VALUES (1)')
        c.commit()
        c.close()
        agent.wait_log('generation begun')
        assert agent.stop() == 0
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)
    assert sqlite.page_size(tmp_path / 'out.db') == 8192


def test_a_restart_continues_the_history_in_a_new_generation(walback, replica, db, tmp_path):
    ids = []
    for n in range(3):
        with walback.replicate(db, replica) as agent:
            agent.wait_log('generation begun')
            c = sqlite.connect(db)
            sqlite.add_rows(c, 5, seed=f'run {n}')
            c.close()
            assert agent.stop() == 0
        ids.append(head(replica)['generation'])
    assert len(set(ids)) == 3
    for n in (1, 2):
        record = replica.json(f'generations/{ids[n]}/generation.json')
        assert record['reason'] == 'continued'
        assert record['parent']['generation'] == ids[n - 1]
    walback.restore_and_check(replica, tmp_path / 'out.db', db)


def test_the_state_folder_lost_the_database_is_recognised_by_its_sum(walback, replica, db, tmp_path):
    for _ in range(2):
        with walback.replicate(db, replica) as agent:
            agent.wait_log('generation begun')
            assert agent.stop() == 0
        subprocess.run(['rm', '-rf', str(db.parent / '.app.db-walback')], check=True)
    record = replica.json(f'generations/{head(replica)["generation"]}/generation.json')
    assert record['reason'] == 'continued'


def test_a_foreign_database_goes_aside_and_head_stays(walback, replica, db, tmp_path):
    with walback.replicate(db, replica) as agent:
        agent.wait_log('generation begun')
        assert agent.stop() == 0
    first = head(replica)['generation']
    (tmp_path / 'other').mkdir()
    other = sqlite.create(tmp_path / 'other' / 'app.db', seed=99)
    with walback.replicate(other, replica) as agent:
        agent.wait_log('generation begun')
        assert 'code=histories_differ' in agent.text()
        assert agent.stop() == 0
    assert head(replica)['generation'] == first
    (aside,) = [g for g in generations(replica) if g != first]
    assert replica.json(f'generations/{aside}/generation.json')['reason'] == 'diverged'
    walback.restore_and_check(replica, tmp_path / 'out.db', db)


def read_locks(pid, path):
    """First and last byte of each POSIX read lock that the process holds on the file."""
    inode = os.stat(path).st_ino
    lines = (line.split() for line in Path('/proc/locks').read_text().splitlines())
    return [(int(w[6]), int(w[7])) for w in lines
            if w[1] == 'POSIX' and w[3] == 'READ' and int(w[4]) == pid and int(w[5].split(':')[2]) == inode]


@pytest.mark.parametrize('compression', ['zst', 'lz4'])
def test_whatever_was_opened_and_closed_the_agents_locks_stay(walback, file_replica, db, compression):
    """Closing any other descriptor of the database or its -shm would drop them, and the next process of the app would
    run recovery as if it were alone."""
    keys = {'compression': compression, 'snapshot-interval': '1s', 'sync-interval': '10ms'}
    conn = sqlite.connect(db)
    with walback.replicate(db, file_replica, keys) as agent:
        agent.wait_log('generation begun')
        for n in range(60):
            sqlite.add_rows(conn, 40, seed=n, size=2000)
            time.sleep(0.05)
        proc.wait_until(lambda: agent.text().count('snapshot uploaded') >= 3, 20, agent.text)
        shm = f'{db}-shm'
        # At rest: a reader at mark 0, whose lock is byte 123; and that the -shm is in use, byte 128.
        proc.wait_until(lambda: (123, 123) in read_locks(agent.pid, shm), 10, lambda: read_locks(agent.pid, shm))
        assert any(first <= 128 <= last for first, last in read_locks(agent.pid, shm))
        # That the database is in use: SQLite's shared bytes.
        assert (1073741826, 1073742335) in read_locks(agent.pid, db), read_locks(agent.pid, db)
        conn.close()
        assert agent.stop() == 0, agent.text()


def test_if_different_stop_ends_with_16(walback, replica, db, tmp_path):
    with walback.replicate(db, replica) as agent:
        agent.wait_log('generation begun')
        assert agent.stop() == 0
    (tmp_path / 'other').mkdir()
    other = sqlite.create(tmp_path / 'other' / 'app.db', seed=99)
    cfg = walback.config(other, replica)
    r = walback.run('replicate', '-if-different', 'stop', '-config', cfg, env=replica.env)
    r.fails(16)
    assert 'histories_differ' in r.err


def test_the_file_replaced_by_rename_is_noticed(walback, file_replica, db, tmp_path):
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('generation begun')
        (tmp_path / 'new').mkdir()
        new = sqlite.create(tmp_path / 'new' / 'app.db', seed=5, rows=300)
        for suffix in ('-wal', '-shm'):
            Path(str(db) + suffix).unlink(missing_ok=True)
        new.rename(db)
        proc.wait_until(lambda: agent.text().count('generation begun') >= 2, 20, agent.text)
        assert ' in_ms=0' in agent.text()
        # Again and again it is not done at once: each time costs a snapshot.
        newer = sqlite.create(tmp_path / 'new' / 'app.db', seed=6, rows=200)
        for suffix in ('-wal', '-shm'):
            Path(str(db) + suffix).unlink(missing_ok=True)
        newer.rename(db)
        proc.wait_until(lambda: agent.text().count('generation begun') >= 3, 20, agent.text)
        assert ' in_ms=500' in agent.text()
        assert agent.stop() == 0
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


def test_a_long_reader_at_the_start_is_named_and_replication_begins_when_it_ends(walback, file_replica, db, tmp_path):
    reader, writer = sqlite.connect(db), sqlite.connect(db)
    reader.execute('BEGIN')
    reader.execute('SELECT count(*) FROM t').fetchall()
    sqlite.add_rows(writer, 5, seed='behind the reader')
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('nothing is replicated yet')
        time.sleep(1)
        text = agent.text()
        assert text.count('nothing is replicated yet') == 1, text
        assert 'code=long_transaction' in text and f'process {os.getpid()} holds a read transaction' in text, text
        assert 'generation begun' not in text
        reader.execute('COMMIT')
        agent.wait_log('replication begins')
        agent.wait_log('generation begun')
        reader.close()
        writer.close()
        assert agent.stop() == 0
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


def test_a_short_reader_at_the_start_is_not_worth_a_word(walback, file_replica, db):
    reader, writer = sqlite.connect(db), sqlite.connect(db)
    reader.execute('BEGIN')
    reader.execute('SELECT count(*) FROM t').fetchall()
    sqlite.add_rows(writer, 5, seed='behind the reader')
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('replicating')
        time.sleep(0.3)
        reader.execute('COMMIT')
        agent.wait_log('generation begun')
        assert agent.stop() == 0
    reader.close()
    writer.close()
    assert 'level=WARN' not in agent.text(), agent.text()


def at_rest(agent):
    """Long enough after the last commit for the agent to sleep until something changes."""
    agent.wait_log('generation begun')
    time.sleep(2.5)


@pytest.mark.parametrize('away', ['removed', 'moved'])
def test_the_folder_of_a_database_at_rest_is_made_anew(walback, file_replica, db, tmp_path, away):
    old = sqlite.rows(db)
    with walback.replicate(db, file_replica) as agent:
        at_rest(agent)
        if away == 'removed':
            shutil.rmtree(db.parent)
        else:
            db.parent.rename(tmp_path / 'gone')
        db.parent.mkdir()
        sqlite.create(db, seed=5, rows=300)
        proc.wait_until(lambda: agent.text().count('generation begun') >= 2, 20, agent.text)
        time.sleep(2.5)                     # at rest once more, with a watch on the new folder
        c = sqlite.connect(db)
        sqlite.add_rows(c, 5, seed='new')
        c.close()
        other = walback.run('replicate', '-config', walback.config(db, file_replica))
        assert other.code == 15, other      # its lock lies there, too
        assert agent.stop() == 0, agent.text()
    assert 'state not written' not in agent.text()
    # As after a restart without a state: a foreign database does not become the newest history.
    newest = head(file_replica)['generation']
    (aside,) = [g for g in generations(file_replica) if g != newest]
    assert sqlite.rows(walback.restore_and_check(file_replica, tmp_path / 'old.db')) == old
    walback.restore_and_check(file_replica, tmp_path / 'new.db', db, '-generation', aside)
    state = next((db.parent / '.app.db-walback').glob('*/state')).read_bytes()
    assert aside.encode() in state


def test_a_database_behind_a_symbolic_link_that_is_replaced_is_noticed(walback, file_replica, db, tmp_path):
    link = tmp_path / 'link.db'
    link.symlink_to(db)
    with walback.replicate(link, file_replica) as agent:
        at_rest(agent)
        (tmp_path / 'new').mkdir()
        new = sqlite.create(tmp_path / 'new' / 'app.db', seed=5, rows=300)
        new.rename(db)
        proc.wait_until(lambda: agent.text().count('generation begun') >= 2, 20, agent.text)
        assert agent.stop() == 0


@pytest.mark.skipif(subprocess.run(['unshare', '-Ur', 'true'], check=False).returncode != 0,
                    reason='no user namespaces (unshare -Ur)')
@pytest.mark.parametrize('limit', ['watches', 'instances'])
def test_without_inotify_commits_are_found_by_polling(walback, file_replica, db, tmp_path, limit):
    cfg = walback.config(db, file_replica)
    script = f'echo 0 > /proc/sys/user/max_inotify_{limit} && exec "$0" replicate -config "$1"'
    with proc.Proc(['unshare', '-Ur', 'sh', '-c', script, walback.exe, cfg], tmp_path / 'agent.log',
                   proc.clean_env()) as agent:
        at_rest(agent)
        c = sqlite.connect(db)
        sqlite.add_rows(c, 5, seed='polled')
        walback.wait_synced(file_replica, tmp_path / 'out.db', db, timeout=15)
        c.close()
        assert agent.stop() == 0, agent.text()
    assert agent.text().count('level=WARN') == 1 and 'polled' in agent.text(), agent.text()


def test_two_agents_on_one_database_the_second_is_refused(walback, file_replica, db):
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('generation begun')
        r = walback.run('replicate', '-config', walback.config(db, file_replica))
        r.fails(15)
        assert 'another walback replicates this database' in r.err
        assert agent.stop() == 0


def test_several_replicas_each_have_everything(walback, file_replica, s3_replica, db, tmp_path):
    with walback.replicate(db, [file_replica, s3_replica]) as agent:
        with sqlite.Writer(db, tmp_path) as w:
            w.wait_commits(100)
            w.stop()
        assert agent.stop() == 0, agent.text()
    for n, target in enumerate((file_replica, s3_replica)):
        walback.restore_and_check(target, tmp_path / f'out{n}.db', db)


def test_exec_gives_the_apps_status_and_syncs_last(walback, file_replica, db, tmp_path):
    app = tmp_path / 'app.py'
    app.write_text('import sqlite3, sys\n'
                   'c = sqlite3.connect(sys.argv[1])\n'
                   'c.execute("CREATE TABLE from_app(x)")\n'
                   'c.execute("INSERT INTO from_app VALUES (42)")\n'
                   'c.commit()\nsys.exit(7)\n')
    cfg = walback.config(db, file_replica)
    r = walback.run('replicate', '-config', cfg, '-exec', f"{sys.executable} '{app}' {db}")
    assert r.code == 7, r
    out = walback.restore_and_check(file_replica, tmp_path / 'out.db', db)
    assert sqlite.rows(out, 'SELECT x FROM from_app') == [(42,)]


def test_exec_forwards_the_signal(walback, file_replica, db, tmp_path):
    cfg = walback.config(db, file_replica)
    agent = walback.start('replicate', '-config', cfg, '-exec',
                          f'{sys.executable} -c "import signal,sys,time; '
                          f'signal.signal(15, lambda *a: sys.exit(0)); print(chr(97)*20, flush=True); time.sleep(60)"')
    with agent:
        agent.wait_log('generation begun')
        agent.wait_log('a' * 20)
        assert agent.stop(sig=signal.SIGTERM) == 0, agent.text()


def test_a_store_that_is_away_at_the_start_and_comes_back(walback, proxied_replica, s3_proxy, db, tmp_path):
    s3_proxy.down()
    with walback.replicate(db, proxied_replica) as agent:
        agent.wait_log('cannot begin to replicate', timeout=60)
        c = sqlite.connect(db)
        sqlite.add_rows(c, 10, seed='while away')
        s3_proxy.up()
        agent.wait_log('generation begun', timeout=60)
        sqlite.add_rows(c, 10, seed='after')
        c.close()
        assert agent.stop() == 0, agent.text()
    walback.restore_and_check(proxied_replica, tmp_path / 'out.db', db)


def test_a_store_that_goes_away_and_the_app_never_notices(walback, proxied_replica, s3_proxy, db, tmp_path):
    with walback.replicate(db, proxied_replica) as agent:
        agent.wait_log('generation begun')
        s3_proxy.down()
        with sqlite.Writer(db, tmp_path, pause_ms=0) as w:
            time.sleep(6)
            w.stop()
            wrote = len(w.committed())
        assert wrote > 300
        wal = Path(str(db) + '-wal').stat().st_size
        assert wal < 128 << 20
        s3_proxy.up()
        proc.wait_until(lambda: 'level=ERROR' not in agent.text() or 'replica reached again' in agent.text(),
                        60, agent.text)
        assert agent.stop() == 0, agent.text()
    walback.restore_and_check(proxied_replica, tmp_path / 'out.db', db)


@pytest.mark.parametrize('words, env', [(['-stop-timeout', '2s'], {}), ([], {'WALBACK_SHUTDOWN_TIMEOUT': '2s'})],
                         ids=['option', 'setting'])
def test_a_dead_store_at_the_end_is_said_and_the_exit_status_tells(walback, proxied_replica, s3_proxy, db, words, env):
    cfg = walback.config(db, proxied_replica)
    with walback.start('replicate', *words, '-config', cfg, env={**proxied_replica.env, **env}) as agent:
        agent.wait_log('generation begun')
        s3_proxy.down()
        c = sqlite.connect(db)
        sqlite.add_rows(c, 3)
        c.close()
        began = time.monotonic()
        assert agent.stop() == 1
        assert time.monotonic() - began < 6
        assert 'not everything reached the replica' in agent.text()


@pytest.mark.parametrize('sig', [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_last_sync_at_once_and_says_what_is_missing(walback, proxied_replica, s3_proxy, db,
                                                                            sig):
    cfg = walback.config(db, proxied_replica)
    with walback.start('replicate', '-stop-timeout', '10m', '-config', cfg, env=proxied_replica.env) as agent:
        agent.wait_log('generation begun')
        s3_proxy.stall()
        c = sqlite.connect(db)
        sqlite.add_rows(c, 3)
        c.close()
        agent.send(sig)
        agent.wait_log('walback shutting down')
        time.sleep(0.5)
        assert agent.alive()
        agent.send(sig)
        assert agent.wait(5) == 1
    assert 'the last sync ends at once' in agent.text()
    assert 'not everything reached the replica' in agent.text()


# Commits once it may and once more when told to end; ends with 3.
SLOW_APP = '''
import signal, sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None)
def end(*a):
    time.sleep(1)
    c.execute("INSERT INTO t(v) VALUES ('last words')")
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
print('app-runs', flush=True)
while True:
    time.sleep(0.05)
'''


def test_a_failure_ends_the_app_first_and_keeps_what_it_wrote_while_ending(walback, s3_replica, s3_proxy, versitygw,
                                                                         file_replica, db, tmp_path):
    # Its replica holds another history, which is found out once it can be reached: after the app has started.
    foreign = sqlite.create(tmp_path / 'foreign.db', seed=7)
    with walback.replicate(foreign, s3_replica) as agent:
        agent.wait_log('generation begun')
        assert agent.stop() == 0
    other = sqlite.create(tmp_path / 'other.db', seed=8, rows=30)
    s3_proxy.down()
    s3_keys = dict(s3_replica.config(), endpoint=s3_proxy.endpoint)
    cfg = tmp_path / 'two.yml'
    cfg.write_text(json.dumps({'dbs': [{'path': str(db), 'replicas': [file_replica.config()]},
                                       {'path': str(other), 'replicas': [s3_keys]}]}))
    app = tmp_path / 'app.py'
    app.write_text(SLOW_APP)
    with walback.start('replicate', '-if-different', 'stop', '-config', cfg, '-exec',
                       f"{sys.executable} '{app}' {db}", env=s3_replica.env) as agent:
        agent.wait_log('app-runs')
        agent.wait_log('generation begun')
        s3_proxy.up()
        assert agent.wait(30) == 16, agent.text()
        text = agent.text()
        assert text.index('histories_differ') < text.index('the app has ended'), text
        assert log_value(text[text.index('the app has ended'):], 'status') == '3', text
    out = walback.restore_and_check(file_replica, tmp_path / 'out.db', db)
    assert sqlite.rows(out, "SELECT count(*) FROM t WHERE v = 'last words'") == [(1,)]


def test_a_failure_kills_an_app_that_does_not_end(walback, s3_replica, s3_proxy, db, tmp_path):
    foreign = sqlite.create(tmp_path / 'foreign.db', seed=7)
    with walback.replicate(foreign, s3_replica) as agent:
        agent.wait_log('generation begun')
        assert agent.stop() == 0
    s3_proxy.down()
    cfg = tmp_path / 'one.yml'
    keys = dict(s3_replica.config(), endpoint=s3_proxy.endpoint)
    cfg.write_text(json.dumps({'dbs': [{'path': str(db), 'replicas': [keys]}]}))
    with walback.start('replicate', '-if-different', 'stop', '-stop-timeout', '3s', '-config', cfg, '-exec',
                       f'{sys.executable} -c "import signal,time; signal.signal(15, signal.SIG_IGN); '
                       f'print(chr(97)*20, flush=True); time.sleep(600)"', env=s3_replica.env) as agent:
        agent.wait_log('a' * 20)
        s3_proxy.up()
        assert agent.wait(30) == 16, agent.text()
    assert 'the app does not stop, killing it' in agent.text()
    assert log_value(agent.text()[agent.text().index('the app has ended'):], 'status') == '137'


def test_killed_at_random_thirty_times_nothing_acknowledged_to_the_app_is_lost(walback, file_replica, db, tmp_path):
    """App (synchronous=FULL) and agent are killed by SIGKILL; in the end the restored database equals the source."""
    rng = random.Random(7)
    committed = 0
    for n in range(30):
        agent = walback.replicate(db, file_replica)
        w = sqlite.Writer(db, tmp_path, name=f'w{n}', pause_ms=0, synchronous='FULL')
        time.sleep(rng.uniform(0.05, 0.5))
        for p in rng.sample([agent, w], rng.choice([1, 2])):
            p.kill()
        if agent.alive():
            assert agent.stop() in (0, 1)
        w.kill()
        committed += len(w.committed())
    assert committed > 100
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('generation begun')
        assert agent.stop() == 0
    assert sqlite.integrity(db) == 'ok'
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


_READER = '''
import random, sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
while True:
    c.execute('BEGIN'); c.execute('SELECT sum(length(b)) FROM t WHERE id < 40').fetchone()
    time.sleep(random.uniform(0, 0.01)); c.execute('COMMIT')
'''


def test_six_short_readers_and_two_writers_the_wal_stays_bounded(walback, file_replica, db, tmp_path):
    readers, most = [], 0
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('generation begun')
        with sqlite.Writer(db, tmp_path, name='a', pause_ms=0) as a, \
                sqlite.Writer(db, tmp_path, name='b', pause_ms=0) as b:
            a.wait_commits(1)
            readers = [proc.Proc([sys.executable, '-c', _READER, db], tmp_path / f'r{n}.log') for n in range(6)]
            try:
                end = time.monotonic() + 8
                while time.monotonic() < end:
                    most = max(most, Path(str(db) + '-wal').stat().st_size)
                    time.sleep(0.05)
            finally:
                for r in readers:
                    r.kill()
            a.stop()
            b.stop()
        assert agent.stop() == 0, agent.text()
    # Some 15 MB, also on an unoptimised build; an app that is far ahead waits.
    assert most < 192 << 20, f'the WAL grew to {most}'
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


def test_stop_points_are_page_for_page_what_the_database_was(walback, file_replica, db, tmp_path):
    """Several moments of a live history, each restored by its time."""
    moments = []
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('generation begun')
        c = sqlite.connect(db)
        for n in range(5):
            sqlite.add_rows(c, 7, seed=f'moment {n}')
            if n == 2:
                c.execute('VACUUM')
            time.sleep(0.4)     # captured: its time is before the next commit's
            moments.append((time.time(), sqlite.settled_copy(db, tmp_path / f'm{n}.db')))
            time.sleep(0.1)
        c.close()
        assert agent.stop() == 0
    for n, (when, copy) in enumerate(moments):
        out = tmp_path / f'at{n}.db'
        walback.restore(file_replica, out, '-timestamp', f'@{when:.3f}').ok()
        sqlite.assert_same_pages(copy, out)
        assert sqlite.integrity(out) == 'ok'


def test_real_litestream_restores_what_lz4_wrote(walback, file_replica, db, tmp_path, litestream03, litestream05):
    with walback.replicate(db, file_replica, {'compression': 'lz4'}) as agent:
        agent.wait_log('generation begun')
        c = sqlite.connect(db)
        c.execute('CREATE TABLE big(id INTEGER PRIMARY KEY, b BLOB)')
        for n in range(12):     # several stored indexes of 4 MiB
            c.execute('BEGIN')
            for k in range(300):
                c.execute('INSERT INTO big(b) VALUES (?)', (random.Random(n * 1000 + k).randbytes(4000),))
            c.execute('COMMIT')
        c.execute('DELETE FROM big WHERE id % 2 = 0')
        c.commit()
        c.execute('VACUUM')
        sqlite.add_rows(c, 20, seed='after')
        c.close()
        assert agent.stop() == 0, agent.text()
    assert len({k for k in file_replica.files() if k.endswith('_00000000.wal.lz4')}) > 2
    want = sqlite.dump(db)
    for ls in (litestream03, litestream05):
        out = tmp_path / f'ls-{ls.version}.db'
        r = ls.restore(db, file_replica.folder, out)
        assert r.code == 0, r
        assert sqlite.integrity(out) == 'ok'
        assert sqlite.dump(out) == want


def test_walback_restores_what_litestream_writes_live(walback, file_replica, db, tmp_path, litestream03):
    with litestream03.replicate(db, file_replica.folder) as ls:
        with sqlite.Writer(db, tmp_path, pause_ms=5) as w:
            w.wait_commits(200)
            w.stop()
        time.sleep(2.5)
        ls.stop()
    out = tmp_path / 'out.db'
    walback.restore(file_replica, out).ok()
    assert sqlite.integrity(out) == 'ok'
    assert sqlite.rows(out) == sqlite.rows(db)


def test_taking_over_a_litestream_path_keeps_writing_lz4(walback, file_replica, db, tmp_path, litestream03):
    with litestream03.replicate(db, file_replica.folder) as ls:
        time.sleep(2.5)
        ls.stop()
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('generation begun')
        assert 'this path holds lz4 objects' in agent.text()
        c = sqlite.connect(db)
        sqlite.add_rows(c, 5, seed='walback')
        c.close()
        assert agent.stop() == 0
    assert not [k for k in file_replica.files() if k.endswith('.zst')]
    out = tmp_path / 'ls.db'
    r = litestream03.restore(db, file_replica.folder, out)
    assert r.code == 0, r
    assert sqlite.dump(out) == sqlite.dump(db)


def test_nothing_secret_is_logged(walback, s3_replica, db):
    with walback.replicate(db, s3_replica, env={'WALBACK_LOG_LEVEL': 'debug'}) as agent:
        agent.wait_log('generation begun')
        assert agent.stop() == 0
    for k, v in s3_replica.env.items():
        if 'SECRET' in k:
            assert v not in agent.text()
    assert json.dumps(head(s3_replica))
