# SPDX-License-Identifier: Apache-2.0
"""An app that runs PRAGMA wal_checkpoint(FULL, RESTART or TRUNCATE) by itself while it writes: SQLite's busy handler
waits for walback's reader, with the write lock held.  It must not wait long, and nothing may be lost."""
import json
import statistics
import sys
import time

import pytest

from testenv import proc, sqlite

pytestmark = pytest.mark.slow

# Some 200 transactions a second, until told to stop; how long each took, in ms.
_WRITE = '''
import json, os, random, signal, sqlite3, sys, time
path, out = sys.argv[1:]
done, took, rng = [], [], random.Random(1)
signal.signal(signal.SIGTERM, lambda *a: done.append(1))
c = sqlite3.connect(path, timeout=30, isolation_level=None)
c.execute('PRAGMA synchronous=NORMAL')
c.execute('CREATE TABLE IF NOT EXISTS w(id INTEGER PRIMARY KEY, b BLOB)')
while not done:
    at = time.monotonic()
    c.execute('BEGIN IMMEDIATE')
    c.execute('INSERT INTO w(b) VALUES (?)', (rng.randbytes(rng.randrange(20, 3000)),))
    c.execute('UPDATE w SET b = ? WHERE id = ?', (rng.randbytes(100), rng.randrange(1, 200)))
    c.execute('COMMIT')
    took.append((time.monotonic() - at) * 1000)
    time.sleep(max(0, 0.005 - took[-1] / 1000))
c.close()
with open(out, 'w') as f:
    json.dump(took, f)
'''

# So many checkpoints of that mode, one after each pause: [busy, ms] of each.
_CHECKPOINT = '''
import json, random, sqlite3, sys, time
path, out, mode, count, pause_s = sys.argv[1:]
c = sqlite3.connect(path, timeout=5, isolation_level=None)
c.execute('SELECT count(*) FROM t').fetchone()
did = []
for _ in range(int(count)):
    time.sleep(float(pause_s) * random.uniform(0.8, 1.2))
    at = time.monotonic()
    busy = c.execute('PRAGMA wal_checkpoint(%s)' % mode).fetchone()[0]
    did.append([busy, (time.monotonic() - at) * 1000])
c.close()
with open(out, 'w') as f:
    json.dump(did, f)
'''


def checkpoints_under_writes(db, folder, mode, count, pause_s):
    """[[busy, ms]] of the checkpoints, [ms] of the writer's transactions meanwhile."""
    wrote, did = folder / 'wrote.json', folder / 'did.json'
    writer = proc.Proc([sys.executable, '-c', _WRITE, db, wrote], folder / 'writer.log')
    with writer:
        proc.run([sys.executable, '-c', _CHECKPOINT, db, did, mode, count, pause_s], timeout=300).ok()
        assert writer.stop() == 0, writer.text()
    return json.loads(did.read_text()), json.loads(wrote.read_text())


@pytest.mark.parametrize('mode', ['FULL', 'RESTART', 'TRUNCATE'])
def test_the_apps_own_checkpoints_do_not_wait_for_the_agent(walback, file_replica, db, tmp_path, mode):
    """Until the reader made way they took 1.1 s each, and the writers waited with them."""
    with walback.replicate(db, file_replica, env={'WALBACK_LOG_LEVEL': 'debug'}) as agent:
        agent.wait_log('generation begun')
        did, wrote = checkpoints_under_writes(db, tmp_path, mode, 15, 0.4)
        assert agent.stop() == 0, agent.text()[-4000:]
    took = [ms for _, ms in did]
    # Another checkpoint at the same moment, ours or the writer's own, makes one return busy at once.
    assert sum(busy for busy, _ in did) <= 5, did
    assert statistics.median(took) < 300, did
    assert max(wrote) < 2000, sorted(wrote)[-10:]
    assert 'level=ERROR' not in agent.text() and 'capture begins anew' not in agent.text(), agent.text()[-4000:]
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


# Checkpoints of all modes without end, with and without patience; now and then a reader that lasts a little.
_CHAOS = '''
import random, sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], timeout=5, isolation_level=None)
rng = random.Random()
while True:
    time.sleep(rng.expovariate(30))
    c.execute('PRAGMA busy_timeout=%d' % rng.choice([0, 20, 5000]))
    try:
        if rng.random() < 0.2:
            c.execute('BEGIN')
            c.execute('SELECT count(*) FROM t').fetchone()
            time.sleep(rng.expovariate(100))
            c.execute('COMMIT')
        c.execute('PRAGMA wal_checkpoint(%s)' % rng.choice(['PASSIVE', 'FULL', 'RESTART', 'TRUNCATE'])).fetchone()
    except sqlite3.OperationalError as e:
        if 'locked' not in str(e):
            raise
        if c.in_transaction:
            c.execute('ROLLBACK')
'''


def test_checkpoints_of_all_modes_and_their_kills_lose_nothing(walback, file_replica, db, tmp_path):
    """Two processes that checkpoint all the time, two that write; a checkpointer is killed every 300 ms."""
    def chaos(n):
        return proc.Proc([sys.executable, '-c', _CHAOS, db], tmp_path / f'chaos-{n}.log')

    with walback.replicate(db, file_replica, {'sync-interval': '50ms'}) as agent:
        agent.wait_log('generation begun')
        with sqlite.Writer(db, tmp_path, 'w1', pause_ms=1) as w1, sqlite.Writer(db, tmp_path, 'w2', pause_ms=5) as w2:
            steady = chaos('steady')
            with steady:
                for n in range(20):
                    with chaos(n) as victim:
                        time.sleep(0.3)
                        assert victim.alive() and steady.alive(), victim.text() + steady.text()
                        victim.kill_only()
            w1.stop()
            w2.stop()
        assert agent.stop() == 0, agent.text()[-4000:]
    assert 'level=ERROR' not in agent.text() and 'capture begins anew' not in agent.text(), agent.text()[-4000:]
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)
