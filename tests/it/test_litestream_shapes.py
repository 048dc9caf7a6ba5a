# SPDX-License-Identifier: Apache-2.0
"""What walback writes with compression lz4, of databases of every shape, as the released Litestreams restore it."""
import sys

import pytest

from testenv import proc, sqlite

# Indexes, deletes that empty pages, VACUUM, growth: one process of a few seconds.
_APP = '''
import os, random, sqlite3, sys
path, vacuum = sys.argv[1:]
c = sqlite3.connect(path, timeout=60, isolation_level=None)
rng = random.Random(5)
for n in range(150):
    c.execute('BEGIN IMMEDIATE')
    for _ in range(rng.randrange(1, 10)):
        c.execute('INSERT INTO t(k, v, b) VALUES (?, ?, ?)',
                  (rng.randrange(1000), 'row %d' % n, rng.randbytes(rng.randrange(20, 2000))))
    c.execute('UPDATE t SET k = k + 1 WHERE id % 13 = ?', (n % 13,))
    if n % 10 == 9:
        c.execute('DELETE FROM t WHERE id % 3 = ?', (n % 3,))
    c.execute('COMMIT')
    if n % 50 == 49:
        c.execute(vacuum)
c.close()
'''

SHAPES = [(512, 'NONE', 'VACUUM'), (65536, 'NONE', 'VACUUM'), (4096, 'FULL', 'PRAGMA optimize'),
          (1024, 'INCREMENTAL', 'PRAGMA incremental_vacuum')]


def make(path, page_size, auto_vacuum):
    c = sqlite.connect(path, page_size=page_size, auto_vacuum=auto_vacuum)
    c.execute('PRAGMA journal_mode=WAL')
    c.execute('CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, v TEXT, b BLOB)')
    for n, columns in enumerate(['k, id', 'v', 'b', 'k, v']):
        c.execute(f'CREATE INDEX t{n} ON t({columns})')
    sqlite.add_rows(c, 100)
    c.close()
    return path


@pytest.mark.parametrize('page_size, auto_vacuum, vacuum', SHAPES)
def test_every_shape_restores_with_both_litestreams(walback, replica, litestream03, litestream05, tmp_path, page_size,
                                                    auto_vacuum, vacuum):
    db = make(tmp_path / 'src.db', page_size, auto_vacuum)
    keys = {'compression': 'lz4', 'sync-interval': '50ms'}
    with walback.replicate(db, replica, keys) as agent:
        agent.wait_log('generation begun')
        proc.run([sys.executable, '-c', _APP, db, vacuum], timeout=60).ok()
        assert agent.stop() == 0, agent.text()
    assert len([k for k in replica.files() if k.endswith('.wal.lz4')]) > 1
    want = sqlite.settled_copy(db, tmp_path / 'want.db')
    for ls in (litestream03, litestream05):
        out = tmp_path / f'{ls.version}.db'
        ls.restore(db, replica.litestream, out).ok()
        assert sqlite.integrity(out) == 'ok'
        assert sqlite.page_size(out) == page_size
        assert sqlite.dump(out) == sqlite.dump(want)
    walback.restore_and_check(replica, tmp_path / 'ours.db', db)
