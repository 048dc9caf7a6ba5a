# SPDX-License-Identifier: Apache-2.0
"""Databases, writers and comparisons.  SQLite is the oracle.

A test process that has a connection to a database must not open and close the
database file by other means (POSIX locks vanish with any descriptor's close),
so files of live databases are copied and read by child processes.
"""
import hashlib
import shutil
import sqlite3
import struct
import sys
import threading
from pathlib import Path

from . import proc

LOCK_BYTE = 0x40000000


def connect(path, timeout=30, **pragmas):
    """Autocommit connection with these pragmas set."""
    c = sqlite3.connect(str(path), timeout=timeout, isolation_level=None, check_same_thread=False)
    for k, v in pragmas.items():
        c.execute(f'PRAGMA {k}={v}')
    return c


def create(path, rows=100, page_size=4096, wal=True, seed=1, indexes=2):
    """A database with a table t(id, k, v, b) and that many rows; closed again."""
    c = connect(path, page_size=page_size)
    if wal:
        c.execute('PRAGMA journal_mode=WAL')
    c.execute('CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, v TEXT, b BLOB)')
    for n in range(indexes):
        c.execute(f'CREATE INDEX t{n} ON t({"kvb"[n % 3]}, id)')
    add_rows(c, rows, seed)
    c.close()
    return Path(path)


def add_rows(conn, count, seed=1, size=120):
    """One transaction of count deterministic rows."""
    conn.execute('BEGIN IMMEDIATE')
    for n in range(count):
        h = hashlib.sha256(f'{seed}/{n}'.encode()).digest()
        conn.execute('INSERT INTO t(k, v, b) VALUES (?, ?, ?)',
                     (h[0] * 256 + h[1], h.hex(), (h * (size // 32 + 1))[:size]))
    conn.execute('COMMIT')


def rows(path, sql='SELECT * FROM t ORDER BY id'):
    """Read in this process: only for databases that no live connection of this process uses."""
    c = sqlite3.connect(f'file:{path}?mode=ro', uri=True)
    try:
        return c.execute(sql).fetchall()
    finally:
        c.close()


def integrity(path):
    """'ok', or what SQLite says."""
    c = sqlite3.connect(str(path))
    try:
        return '\n'.join(r[0] for r in c.execute('PRAGMA integrity_check').fetchall())
    finally:
        c.close()


def dump(path):
    """The whole content as SQL."""
    c = sqlite3.connect(f'file:{path}?mode=ro', uri=True)
    try:
        return '\n'.join(c.iterdump())
    finally:
        c.close()


def page_size(path):
    with open(path, 'rb') as f:
        n = struct.unpack('>H', f.read(18)[16:18])[0]
    return 65536 if n == 1 else n


def settled_copy(source, target):
    """Copy a database that nobody writes to at the moment, its -wal included, and put the WAL into the
    file: what SQLite itself makes of it.  In a child process, so that no lock of this one is lost."""
    proc.run([sys.executable, '-c', _SETTLE, source, target], timeout=300).ok()
    return Path(target)


_SETTLE = '''
import os, shutil, sqlite3, sys
source, target = sys.argv[1:]
for end in ('-wal', '-shm', '-journal'):
    if os.path.exists(target + end):
        os.unlink(target + end)
shutil.copyfile(source, target)
if os.path.exists(source + '-wal'):
    shutil.copyfile(source + '-wal', target + '-wal')
c = sqlite3.connect(target)
busy, log, done = c.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone()
assert not busy, 'the copy could not be checkpointed'
c.close()
'''


def differing_pages(a, b, limit=10):
    """Page numbers in which two files differ (the lock page apart); a different size is page 0."""
    size = page_size(a)
    lock = LOCK_BYTE // size + 1
    bad = []
    if Path(a).stat().st_size != Path(b).stat().st_size:
        bad.append(0)
    with open(a, 'rb') as fa, open(b, 'rb') as fb:
        pgno = 0
        while len(bad) < limit:
            pa, pb = fa.read(size), fb.read(size)
            pgno += 1
            if not pa or not pb:
                break
            if pa != pb and pgno != lock:
                bad.append(pgno)
    return bad


def assert_same_pages(a, b):
    """Page for page; page 0 in the message means the sizes differ."""
    bad = differing_pages(a, b)
    assert not bad, (f'{a} ({Path(a).stat().st_size} bytes) and {b} ({Path(b).stat().st_size} bytes) differ '
                     f'in pages {bad}')


def sha256(path):
    h = hashlib.sha256()
    with open(path, 'rb') as f:
        while block := f.read(1 << 20):
            h.update(block)
    return h.hexdigest()


class Writer:
    """A process that commits rows until told to stop; survives nothing else.  Context manager.

    Each transaction inserts, now and then deletes and updates.  .log has the id of every row
    whose COMMIT returned, one a line, written after the commit."""

    def __init__(self, path, folder, name='writer', pause_ms=2, synchronous='NORMAL', vacuum=False,
                 autocheckpoint=1000):
        self.log = Path(folder) / f'{name}.committed'
        self.proc = proc.Proc([sys.executable, '-c', _WRITE, path, self.log, pause_ms, synchronous,
                               int(vacuum), autocheckpoint], Path(folder) / f'{name}.log')

    def committed(self):
        """Ids whose commit was acknowledged to the application."""
        if not self.log.exists():
            return []
        text = self.log.read_text()
        return [int(x) for x in text[:text.rfind('\n') + 1].split()]

    def wait_commits(self, n, timeout=60):
        proc.wait_until(lambda: len(self.committed()) >= n, timeout,
                        lambda: f'{n} commits: {self.proc.text()[-2000:]}', dead=lambda: not self.proc.alive())

    def stop(self):
        """Let the current transaction finish; the writer's connection is closed."""
        code = self.proc.stop()
        assert code == 0, self.proc.text()[-4000:]

    def kill(self):
        self.proc.kill()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.proc.__exit__(*exc)


_WRITE = '''
import os, random, signal, sqlite3, sys, time
path, log, pause, sync, vacuum, auto = sys.argv[1:]
done = []
signal.signal(signal.SIGTERM, lambda *a: done.append(1))
c = sqlite3.connect(path, timeout=60, isolation_level=None)
c.execute('PRAGMA journal_mode=WAL')
c.execute('PRAGMA synchronous=' + sync)
c.execute('PRAGMA wal_autocheckpoint=' + auto)
c.execute('CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, k INTEGER, v TEXT, b BLOB)')
rng, n = random.Random(os.getpid()), 0
out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
while not done:
    n += 1
    c.execute('BEGIN IMMEDIATE')
    cur = c.execute('INSERT INTO t(k, v, b) VALUES (?, ?, ?)',
                    (rng.randrange(1000), 'row %d' % n, rng.randbytes(rng.randrange(20, 3000))))
    last = cur.lastrowid
    if n % 7 == 0:
        c.execute('UPDATE t SET k = k + 1, b = ? WHERE id % 11 = ?', (rng.randbytes(100), n % 11))
    if n % 13 == 0:
        c.execute('DELETE FROM t WHERE k % 50 = ? AND id < ?', (n % 50, last - 20))
    c.execute('COMMIT')
    os.write(out, b'%d\\n' % last)
    if vacuum == '1' and n % 200 == 0:
        c.execute('VACUUM')
    time.sleep(float(pause) / 1000)
c.close()
'''


class Rows:
    """Rows written by this process from a thread of its own: a light writer for short tests."""

    def __init__(self, path, pause=0.005):
        self.conn = connect(path)
        self.pause, self.stopping, self.count = pause, threading.Event(), 0
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        while not self.stopping.wait(self.pause):
            add_rows(self.conn, 1, seed=f'rows {self.count}')
            self.count += 1

    def stop(self):
        self.stopping.set()
        self.thread.join(30)
        assert not self.thread.is_alive(), 'the writing thread hangs'
        self.conn.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()


def copy_tree(source, target):
    """A copy with file times kept."""
    shutil.copytree(source, target, copy_function=shutil.copy2, dirs_exist_ok=True)
    return Path(target)
