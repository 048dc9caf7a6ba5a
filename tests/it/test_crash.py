# SPDX-License-Identifier: Apache-2.0
"""kill -9 of app, agent or both at random moments; and many readers and writers at once."""
import os
import random
import sys
import threading
import time

import pytest

from testenv import proc, sqlite

pytestmark = pytest.mark.slow


def contains_all(path, ids):
    have = {r[0] for r in sqlite.rows(path, 'SELECT id FROM log')}
    missing = [i for i in ids if i not in have]
    assert not missing, f'committed and acknowledged, but not in {path}: {missing[:10]}'


# Appends to a table only, so that every acknowledged id must be there for good.
_APP = '''
import os, random, sqlite3, sys
path, log, sync = sys.argv[1:]
c = sqlite3.connect(path, timeout=60, isolation_level=None)
c.execute('PRAGMA journal_mode=WAL')
c.execute('PRAGMA synchronous=' + sync)
c.execute('CREATE TABLE IF NOT EXISTS log(id INTEGER PRIMARY KEY, v BLOB)')
c.execute('CREATE INDEX IF NOT EXISTS log_v ON log(v)')
rng = random.Random()
out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
while True:
    c.execute('BEGIN IMMEDIATE')
    for _ in range(rng.randrange(1, 8)):
        last = c.execute('INSERT INTO log(v) VALUES (?)', (rng.randbytes(rng.randrange(10, 4000)),)).lastrowid
    c.execute('UPDATE log SET v = ? WHERE id = ?', (rng.randbytes(50), rng.randrange(1, last + 1)))
    c.execute('COMMIT')
    os.write(out, b'%d\\n' % last)
'''


def start_app(db, folder, log, sync):
    return proc.Proc([sys.executable, '-c', _APP, db, log, sync], folder / 'app.log')


def acknowledged(log):
    text = log.read_text() if log.exists() else ''
    return [int(x) for x in text[:text.rfind('\n') + 1].split()]


def test_an_app_killed_thirty_times_beside_the_agent(walback, file_replica, tmp_path):
    seed = int(os.environ.get('TEST_SEED', random.randrange(1 << 30)))
    print('TEST_SEED', seed)
    rng = random.Random(seed)
    db, log = sqlite.create(tmp_path / 'app.db', rows=10), tmp_path / 'acknowledged'
    with walback.replicate(db, file_replica, replica_keys={'sync-interval': '20ms'}) as agent:
        for n in range(30):
            with start_app(db, tmp_path, log, 'FULL') as app:
                had = len(acknowledged(log))
                proc.wait_until(lambda: len(acknowledged(log)) > had + 3, 30, app.text)
                time.sleep(rng.random() * 0.15)
                app.kill()
            if n % 5 == 4:
                out = walback.wait_same_rows(file_replica, tmp_path / 'out.db', db)
                contains_all(out, acknowledged(log))
        assert agent.alive(), agent.text()[-4000:]
        walback.wait_same_rows(file_replica, tmp_path / 'out.db', db)
        assert agent.stop() == 0
    out = walback.restore_and_check(file_replica, tmp_path / 'last.db')
    assert sqlite.dump(out) == sqlite.dump(db)
    contains_all(out, acknowledged(log))


def test_agent_and_app_killed_in_any_order(walback, file_replica, tmp_path):
    seed = int(os.environ.get('TEST_SEED', random.randrange(1 << 30)))
    print('TEST_SEED', seed)
    rng = random.Random(seed)
    db, log = sqlite.create(tmp_path / 'app.db', rows=10), tmp_path / 'acknowledged'
    for n in range(10):
        agent = walback.replicate(db, file_replica, replica_keys={'sync-interval': '20ms'})
        app = start_app(db, tmp_path, log, 'FULL')
        with agent, app:
            had = len(acknowledged(log))
            proc.wait_until(lambda: len(acknowledged(log)) > had + 10, 30, app.text)
            time.sleep(rng.random() * 0.3)
            for p in rng.sample([agent, app], 2):
                assert p.alive(), p.text()[-4000:]
                p.kill_only()
                time.sleep(rng.random() * 0.05)
        assert sqlite.integrity(db) == 'ok'
        contains_all(db, acknowledged(log))
    with walback.replicate(db, file_replica) as agent:
        walback.wait_same_rows(file_replica, tmp_path / 'out.db', db)
        assert agent.stop() == 0


def test_six_short_readers_and_two_writers(walback, file_replica, tmp_path):
    """The WAL stays bounded, nobody gets an error, nothing is lost."""
    db = sqlite.create(tmp_path / 'app.db', rows=500)
    stop, errors, largest = threading.Event(), [], [0]

    def reader():
        c = sqlite.connect(db)
        while not stop.is_set():
            try:
                c.execute('SELECT count(*), max(k) FROM t WHERE k > ?', (random.randrange(65536),)).fetchall()
            except Exception as e:   # any error at all is the finding
                errors.append(repr(e))
            time.sleep(0.001)
        c.close()

    with walback.replicate(db, file_replica, replica_keys={'sync-interval': '200ms'}) as agent:
        with sqlite.Writer(db, tmp_path, 'w1', autocheckpoint=0) as w1, \
                sqlite.Writer(db, tmp_path, 'w2', autocheckpoint=0) as w2:
            threads = [threading.Thread(target=reader) for _ in range(6)]
            for t in threads:
                t.start()
            end = time.monotonic() + 15
            while time.monotonic() < end:
                largest[0] = max(largest[0], os.stat(f'{db}-wal').st_size)
                time.sleep(0.05)
            w1.stop()
            w2.stop()
            stop.set()
            for t in threads:
                t.join(20)
        assert not errors, errors[:3]
        assert largest[0] < 64 << 20, f'the WAL grew to {largest[0]} bytes: {agent.text()[-3000:]}'
        walback.wait_synced(file_replica, tmp_path / 'out.db', db)
        assert agent.stop() == 0
    # The autocheckpoint is off in both writers: that the WAL is small is the agent's work.
    assert len(w1.committed()) + len(w2.committed()) > 300
