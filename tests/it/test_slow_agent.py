# SPDX-License-Identifier: Apache-2.0
"""An agent that is slower than the app, or that stands still: the WAL stays bounded, nothing is lost."""
import json
import signal
import sys
import time
from pathlib import Path

import pytest

from testenv import proc, sqlite, walback as wb
from testenv.fault import Fault

pytestmark = pytest.mark.slow

# Writes as fast as it can, at most at that rate; a transaction that had to wait more than the timeout would end it.
_APP = '''
import json, os, signal, sqlite3, sys, time
path, out, mb_per_s, timeout_s = sys.argv[1:]
done = []
signal.signal(signal.SIGTERM, lambda *a: done.append(1))
c = sqlite3.connect(path, timeout=float(timeout_s), isolation_level=None)
c.execute('PRAGMA synchronous=OFF')
c.execute('CREATE TABLE IF NOT EXISTS big(id INTEGER PRIMARY KEY, b BLOB)')
blob, n, worst = os.urandom(500000), 0, 0
while not done:
    at = time.monotonic()
    c.execute('INSERT OR REPLACE INTO big VALUES (?, ?)', (n % 20, blob[n % 100:]))
    took = time.monotonic() - at
    worst = max(worst, took)
    n += 1
    time.sleep(max(0, 0.5 / float(mb_per_s) - took))
c.close()
with open(out, 'w') as f:
    json.dump({'transactions': n, 'worst_s': worst}, f)
'''


def wal_size(db):
    return Path(str(db) + '-wal').stat().st_size


def test_an_app_faster_than_the_agent_waits_for_it(walback, file_replica, db, tmp_path):
    """The agent reads the WAL at 15 MB/s, the app would write 80.  Without the wait the WAL passes 300 MB."""
    slow = Fault.always(tmp_path, 'read', 'slow:15', '/app.db-wal')
    with walback.replicate(db, file_replica, env={**slow.env(), 'WALBACK_LOG_LEVEL': 'debug'}) as agent:
        agent.wait_log('generation begun')
        slow.begin()
        app = proc.Proc([sys.executable, '-c', _APP, db, tmp_path / 'app.json', '80', '10'], tmp_path / 'app.log')
        with app:
            most, end = 0, time.monotonic() + 5
            while time.monotonic() < end:
                assert app.alive(), app.text()
                most = max(most, wal_size(db))
                time.sleep(0.05)
            slow.over()
            assert app.stop() == 0, app.text()
        did = json.loads((tmp_path / 'app.json').read_text())
        assert agent.stop(60) == 0, agent.text()[-4000:]
    assert 'the app waited for the copy of its WAL' in agent.text()
    assert most < 128 << 20, f'the WAL grew to {most}: {did}'
    assert did['worst_s'] < 5, did      # some 1.1 s where the processors are ours
    assert 'level=ERROR' not in agent.text()
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


def test_an_agent_that_stands_still_for_a_while_catches_up(walback, file_replica, db, tmp_path):
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('generation begun')
        with sqlite.Writer(db, tmp_path, pause_ms=0) as w:
            for _ in range(3):
                n = len(w.committed())
                w.wait_commits(n + 100)
                agent.send(signal.SIGSTOP)
                # Whatever it held when it was stopped, the app goes on or waits; it does not fail.
                time.sleep(0.5)
                agent.send(signal.SIGCONT)
            w.wait_commits(len(w.committed()) + 100)
            w.stop()
        assert agent.stop() == 0, agent.text()
    assert 'level=ERROR' not in agent.text()
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


def test_large_databases_on_a_slow_disk_are_no_hang(walback, tmp_path):
    """Both local workers hash, then copy, for longer than the supervisor waits for a heartbeat."""
    dbs, made = [], []
    for n in ('a', 'b'):
        path = tmp_path / f'{n}.db'
        c = sqlite.connect(path)
        c.executescript('PRAGMA journal_mode=WAL; CREATE TABLE t(b); INSERT INTO t VALUES(zeroblob(18000000))')
        c.close()
        dbs.append(path)
        made.append({'path': str(path), 'replicas': [
            {'type': 'file', 'path': str(tmp_path / f'replica-{n}'), 'compression': 'lz4'}]})
    cfg = tmp_path / 'two.yml'
    cfg.write_text(json.dumps({'dbs': made}))
    slow = Fault.always(tmp_path, 'read', 'slow:3', '.db').begin()
    end = tmp_path / 'end'
    with walback.start('run', '-config', cfg, '-heartbeat-timeout', '4s', '--', 'sh', '-c',
                       f'until [ -e {end} ]; do sleep 0.05; done', env=slow.env()) as p:
        p.wait_log('generation begun', 60)
        proc.wait_until(lambda: p.text().count('generation begun') == 2, 30, p.text)
        end.touch()
        assert p.wait(60) == 0, p.text()
    assert 'the agent has ended' not in p.text() and 'heartbeat' not in p.text(), p.text()
    for n, path in zip('ab', dbs):
        walback.restore_and_check(wb.file_target(tmp_path / f'replica-{n}'), tmp_path / f'out-{n}.db', path)
