# SPDX-License-Identifier: Apache-2.0
"""How long a commit of the app takes beside the agent, whatever the store does."""
import json
import sys
import time

from testenv import proc

# Each commit's beginning and length, and the same for reads; ends with an error where SQLite says "locked".
_APP = '''
import json, os, signal, sqlite3, sys, time
path, out = sys.argv[1:]
done = []
signal.signal(signal.SIGTERM, lambda *a: done.append(1))
c = sqlite3.connect(path, timeout=5, isolation_level=None)
took = []
while not done:
    for sql in ('INSERT INTO t(v, b) VALUES (?, ?)', 'SELECT count(*) FROM t WHERE v = ? OR b = ?'):
        at = time.monotonic()
        c.execute(sql, ('row', os.urandom(1000))).fetchall()
        took.append((at, time.monotonic() - at))
    time.sleep(0.001)
c.close()
with open(out, 'w') as f:
    json.dump(took, f)
'''

# At worst, on a machine that also runs the servers and other tests; measured were some 15 ms.
BOUND_S = 1.0


def test_no_commit_waits_long_whatever_the_store_does(walback, proxied_replica, s3_proxy, db, tmp_path):
    with walback.replicate(db, proxied_replica, {'sync-interval': '50ms'}) as agent:
        with proc.Proc([sys.executable, '-c', _APP, db, tmp_path / 'took.json'], tmp_path / 'app.log') as app:
            agent.wait_log('generation begun')
            phases = []
            for name, change, seconds in (('there', lambda: None, 2), ('slow', lambda: s3_proxy.latency(1000), 3),
                                          ('silent', s3_proxy.stall, BOUND_S + 2), ('gone', s3_proxy.down, BOUND_S + 2),
                                          ('back', s3_proxy.up, 2)):
                change()
                phases.append((name, time.monotonic()))
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    assert app.alive(), app.text()
                    time.sleep(0.05)
            assert app.stop() == 0, app.text()
        took = json.loads((tmp_path / 'took.json').read_text())
        for n, (name, begin) in enumerate(phases):
            end = phases[n + 1][1] if n + 1 < len(phases) else float('inf')
            mine = [t for at, t in took if begin <= at < end]
            assert len(mine) > 200 and max(mine) < BOUND_S, (name, len(mine), max(mine, default=None), agent.text())
        walback.wait_synced(proxied_replica, tmp_path / 'out.db', db, timeout=60)
        assert agent.stop() == 0, agent.text()
