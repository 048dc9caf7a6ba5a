# SPDX-License-Identifier: Apache-2.0
"""kill -9 of app and agent at random moments, in any order."""
import os
import random
import sys
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
