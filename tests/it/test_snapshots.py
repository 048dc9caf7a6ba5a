# SPDX-License-Identifier: Apache-2.0
"""Snapshots that take a while, with commits and checkpoints under way."""
import struct
import sys

import pytest

from testenv import proc, sqlite

ROWS, SIZE = 3000, 8000

# Changes rows all over the file and adds some, until told to stop; slower than the link, or the spool would be full.
_APP = '''
import random, signal, sqlite3, sys, time
stop = []
signal.signal(signal.SIGTERM, lambda *a: stop.append(1))
c = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
rng = random.Random(3)
n = 0
while not stop:
    c.execute('BEGIN IMMEDIATE')
    for _ in range(3):
        c.execute('UPDATE big SET b = ? WHERE id = ?', (rng.randbytes(8000), rng.randrange(1, 3001)))
    c.execute('INSERT INTO big(b) VALUES (?)', (rng.randbytes(5000),))
    c.execute('COMMIT')
    time.sleep(0.005)
    n += 1
    if n == 20:
        print('writes', flush=True)
c.close()
'''


def positions(body):
    """(replay position, valid position) of a snapshot, from its trailer (docs/format.md)."""
    length, _, magic = struct.unpack('<II8s', body[-16:])
    assert magic == b'WALBACK1'
    trailer = body[len(body) - 16 - length:-16]
    assert trailer[0] == 2      # a snapshot
    return struct.unpack_from('<IQ', trailer, 88), struct.unpack_from('<IQ', trailer, 100)


@pytest.mark.parametrize('compression', ['zst', 'lz4'])
def test_a_snapshot_is_taken_while_the_database_changes(walback, proxied_replica, s3_proxy, db, tmp_path, compression):
    conn = sqlite.connect(db)
    conn.execute('CREATE TABLE big(id INTEGER PRIMARY KEY, b BLOB)')
    conn.execute(f'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{ROWS}) '
                 f'INSERT INTO big SELECT i, randomblob({SIZE}) FROM n')
    conn.close()
    s3_proxy.toxic('bandwidth', 'upstream', rate=12000)     # 12 MB/s for 24 MB
    with proc.Proc([sys.executable, '-c', _APP, db], tmp_path / 'app.log') as app:
        app.wait_log('writes')
        with walback.replicate(db, proxied_replica, {'compression': compression}) as agent:
            agent.wait_log('snapshot uploaded', timeout=60)
            s3_proxy.up()
            assert app.stop() == 0
            assert agent.stop(timeout=60) == 0, agent.text()
    assert 'level=ERROR' not in agent.text() and agent.text().count('generation begun') == 1, agent.text()
    (key,) = [k for k in proxied_replica.files() if '/snapshots/' in k]
    replay, valid = positions(proxied_replica.read(key))
    if compression == 'zst':
        assert valid > replay, 'nothing was committed while the snapshot was read: the test proves nothing'
    else:
        assert valid == replay      # a file for Litestream is a state of the database
    walback.restore_and_check(proxied_replica, tmp_path / 'out.db', db)
