# SPDX-License-Identifier: Apache-2.0
"""VACUUM, journal modes and kill -9 of both sides in any order: in the end the replica has what the database has."""
import os
import random
import sys

import pytest

from testenv import proc, sqlite

pytestmark = pytest.mark.slow

# Leaves WAL mode whenever SQLite lets it, and comes back.  Every id in the log was committed.
_APP = '''
import os, random, sqlite3, sys, time
path, log = sys.argv[1:]
rng = random.Random()

def settled(c, sql):
    """The first column; None where another process was in the way."""
    try:
        return c.execute(sql).fetchone()
    except sqlite3.OperationalError as e:
        if 'locked' not in str(e):
            raise
        return None

c = sqlite3.connect(path, timeout=20, isolation_level=None)
c.execute('PRAGMA synchronous=FULL')
c.execute('CREATE TABLE IF NOT EXISTS log(id INTEGER PRIMARY KEY, v BLOB)')
c.execute('CREATE INDEX IF NOT EXISTS log_v ON log(v)')
out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
c.execute('PRAGMA busy_timeout=200')
settled(c, 'PRAGMA journal_mode=DELETE')
for n in range(1 << 30):
    c.execute('PRAGMA busy_timeout=20000')
    c.execute('BEGIN IMMEDIATE')
    for _ in range(rng.randrange(1, 6)):
        last = c.execute('INSERT INTO log(v) VALUES (?)', (rng.randbytes(rng.randrange(10, 4000)),)).lastrowid
    c.execute('UPDATE log SET v = ? WHERE id = ?', (rng.randbytes(50), rng.randrange(1, last + 1)))
    c.execute('COMMIT')
    os.write(out, b'%d\\n' % last)
    if n % 40 == 39:
        c.execute('PRAGMA busy_timeout=100')
        settled(c, rng.choice(['VACUUM', 'PRAGMA journal_mode=DELETE', 'PRAGMA journal_mode=WAL',
                               'PRAGMA wal_checkpoint(TRUNCATE)', 'PRAGMA incremental_vacuum']))
'''


def acknowledged(log):
    text = log.read_text() if log.exists() else ''
    return [int(x) for x in text[:text.rfind('\n') + 1].split()]


def test_vacuum_and_journal_modes_and_kills_lose_nothing(walback, file_replica, tmp_path):
    seed = int(os.environ.get('TEST_SEED', random.randrange(1 << 30)))
    print('TEST_SEED', seed)
    rng = random.Random(seed)
    db, log = sqlite.create(tmp_path / 'app.db', rows=10), tmp_path / 'acknowledged'
    for _ in range(6):
        # Either side first: without an agent the app leaves WAL mode at once.
        first_app = rng.random() < 0.5
        starts = [lambda: proc.Proc([sys.executable, '-c', _APP, db, log], tmp_path / 'app.log'),
                  lambda: walback.replicate(db, file_replica, {'sync-interval': '20ms'})]
        procs = [start() for start in (starts if first_app else starts[::-1])]
        app, agent = procs if first_app else procs[::-1]
        with app, agent:
            had = len(acknowledged(log))
            proc.wait_until(lambda: len(acknowledged(log)) > had + rng.randrange(20, 120), 60, app.text,
                            dead=lambda: not app.alive())
            for p in rng.sample([agent, app], rng.choice([1, 2])):
                assert p.alive(), p.text()[-4000:]
                p.kill_only()
            if agent.alive():
                assert agent.stop() in (0, 1), agent.text()[-4000:]
    assert sqlite.integrity(db) == 'ok'
    have = {r[0] for r in sqlite.rows(db, 'SELECT id FROM log')}
    assert not [i for i in acknowledged(log) if i not in have]
    with walback.replicate(db, file_replica) as agent:
        walback.wait_same_rows(file_replica, tmp_path / 'out.db', db)
        assert agent.stop() == 0
    walback.restore_and_check(file_replica, tmp_path / 'end.db', db)
