# SPDX-License-Identifier: Apache-2.0
"""A swap killed at every system call: after swap_recover the old database or the new one, whole.

The program that is killed is the unit test's own binary (its `replace` and `recover`
are calls of swap_replace and swap_recover and nothing else)."""
import collections
import os
import re
import sqlite3
import subprocess
import sys

import pytest
from testenv import proc, sqlite, tools, vectors, walback as wb

# Whatever changes the file system or makes a change durable: the state between two of them is the
# state at the entry of the later one, where it is killed.
CALLS = ['mkdir', 'chown', 'flock', 'fchmod', 'fchown', 'write', 'pwrite64', 'ftruncate', 'fsync', 'fdatasync',
         'rename', 'renameat2', 'link', 'unlink', 'rmdir']

NONE = ('absent', 'empty')             # no database, but what is left of one

CRASH = '''
import os, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute('PRAGMA journal_mode=' + sys.argv[2])
c.execute('PRAGMA cache_size=5')
c.execute('CREATE TABLE IF NOT EXISTS t(who, n)')
c.executemany('INSERT INTO t VALUES(?, ?)', [(sys.argv[3], n) for n in range(200)])
if sys.argv[2] == 'DELETE':                       # a hot journal: half a transaction in the file
    c.execute('BEGIN')
    c.execute("UPDATE t SET who = 'never' || hex(zeroblob(200))")
os._exit(0)
'''


def driver():
    path = os.path.join(os.path.dirname(tools.binary()), 'tests/unit/test_swap')
    assert os.access(path, os.X_OK), f'{path} is not there: run make check first'
    return path


def make_old(path, kind):
    if kind in NONE:
        with open(path + '-wal', 'wb') as f:
            f.write(b'the frames of a database that is gone')
        if kind == 'empty':
            open(path, 'wb').close()
    else:
        mode = {'wal': 'WAL', 'healthy': 'WAL', 'journal': 'DELETE'}[kind]
        proc.run([sys.executable, '-c', CRASH, path, mode, 'old']).ok()
        assert os.path.getsize(path + ('-wal' if mode == 'WAL' else '-journal')) > 0


def make_new(path):
    proc.run([sys.executable, '-c', CRASH, path, 'DELETE', 'new']).ok()
    proc.run([sys.executable, '-c', "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("
              "'SELECT count(*) FROM t').fetchall()", path]).ok()
    assert not os.path.exists(path + '-journal')
    with open(path, 'rb') as f:
        os.fsync(f.fileno())


def scene(tmp_path, kind, n):
    d = tmp_path / f'{kind}-{n}'
    d.mkdir()
    db = str(d / 'app.db')
    make_old(db, kind)
    make_new(db + '.walback-tmp')
    return db


def replace_args(db, kind):
    return [driver(), 'replace', db, db + '.walback-tmp'] + (['healthy'] if kind == 'healthy' else [])


def content(path):
    """Who wrote the rows, as SQLite sees it; None without a database."""
    if not os.path.exists(path) or not os.path.getsize(path):
        return None
    c = sqlite3.connect(path)
    try:
        assert c.execute('PRAGMA integrity_check').fetchall() == [('ok',)]
        rows = c.execute('SELECT who, count(*), sum(n) FROM t GROUP BY who').fetchall()
    finally:
        c.close()
    assert len(rows) == 1 and rows[0][1:] == (200, 19900), rows
    return rows[0][0]


def quarantined(db):
    folder = os.path.dirname(db)
    return sorted(n for n in os.listdir(folder) if '.corrupted.' in n)


def strace(args, *options):
    return subprocess.run(['strace', '-o', '/dev/stderr', *options, *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False)


def counts(tmp_path, kind):
    """How often each call happens in a run that nothing disturbs."""
    db = scene(tmp_path, kind, 'count')
    p = strace(replace_args(db, kind), '-e', 'trace=' + ','.join(CALLS))
    assert p.returncode == 0, p.stderr
    assert content(db) == 'new'
    names = re.findall(r'^(\w+)\(', p.stderr.decode(), re.M)
    return collections.Counter(n for n in names if n in CALLS)


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['wal', 'journal', 'healthy', *NONE])
def test_killed_at_every_system_call(tmp_path, kind):
    tools.need('strace')
    seen = collections.Counter()
    for call, times in counts(tmp_path, kind).items():
        for n in range(1, times + 1):
            db = scene(tmp_path, kind, f'{call}{n}')
            p = strace(replace_args(db, kind), '-e', 'trace=' + call, '-e',
                       f'inject={call}:signal=KILL:when={n}')
            where = f'{kind}: killed at {call} {n}'
            assert p.returncode in (-9, 137), (where, p.stderr)
            under_way = os.path.exists(os.path.join(os.path.dirname(db), '.app.db-walback/swap.json'))
            proc.run([driver(), 'recover', db]).ok()
            got = content(db)
            seen[got] += 1
            assert got in ('new', None if kind in NONE else 'old'), where
            assert got == 'new' or not under_way, where        # once begun, it happens
            assert not os.path.exists(os.path.join(os.path.dirname(db), '.app.db-walback/swap.json')), where
            kept = quarantined(db)
            if got == 'new' and kind in NONE:
                assert len(kept) == 1 and kept[0].endswith('-wal'), where
            elif got == 'new':
                assert content(os.path.join(os.path.dirname(db), kept[0])) == 'old', where
            else:
                assert not kept, where
    assert seen['new'] > 4 and seen[None if kind in NONE else 'old'] > 3, seen


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['wal', 'journal'])
def test_recovery_itself_killed_at_every_system_call(tmp_path, kind):
    """Killed as soon as swap.json is there, and then at each call of the recovery."""
    tools.need('strace')

    def begun(n):
        db = scene(tmp_path, kind, n)
        strace(replace_args(db, kind), '-e', 'trace=link', '-e', 'inject=link:signal=KILL:when=1')
        assert os.path.exists(os.path.join(os.path.dirname(db), '.app.db-walback/swap.json'))
        return db

    p = strace([driver(), 'recover', begun('count')], '-e', 'trace=' + ','.join(CALLS))
    assert p.returncode == 0, p.stderr
    calls = collections.Counter(re.findall(r'^(\w+)\(', p.stderr.decode(), re.M))
    for call in (c for c in CALLS if calls[c]):
        for n in range(1, calls[call] + 1):
            db = begun(f'{call}{n}')
            strace([driver(), 'recover', db], '-e', 'trace=' + call, '-e', f'inject={call}:signal=KILL:when={n}')
            proc.run([driver(), 'recover', db]).ok()
            assert content(db) == 'new', (call, n)
            assert content(os.path.join(os.path.dirname(db), quarantined(db)[0])) == 'old', (call, n)


@pytest.mark.parametrize('call,error', [('link', 'EPERM'), ('link', 'EMLINK')])
def test_without_hard_links_the_old_file_is_renamed(tmp_path, call, error):
    tools.need('strace')
    db = scene(tmp_path, 'wal', error)
    p = strace(replace_args(db, 'wal'), '-e', f'trace={call}', '-e', f'inject={call}:error={error}:when=1')
    assert p.returncode == 0, p.stderr
    assert content(db) == 'new'
    assert content(os.path.join(os.path.dirname(db), quarantined(db)[0])) == 'old'


# As NFS (no RENAME_NOREPLACE), and as a file system that has no links either.
WITHOUT = {'rename': ['-e', 'inject=renameat2:error=EINVAL'],
           'both': ['-e', 'inject=renameat2:error=EINVAL', '-e', 'inject=link:error=EPERM']}


@pytest.mark.parametrize('missing', WITHOUT)
@pytest.mark.parametrize('kind', ['wal', 'absent'])
def test_file_systems_without_a_rename_that_replaces_nothing(tmp_path, kind, missing):
    tools.need('strace')
    db = scene(tmp_path, kind, missing)
    p = strace(replace_args(db, kind), '-e', 'trace=link,renameat2', *WITHOUT[missing])
    assert p.returncode == 0, p.stderr
    assert b'INJECTED' in p.stderr
    assert content(db) == 'new' and not os.path.exists(db + '.walback-tmp')
    assert os.stat(db).st_nlink == 1
    kept = [os.path.join(os.path.dirname(db), n) for n in quarantined(db)]
    assert len(kept) == (1 if kind == 'absent' else 2), kept
    if kind == 'absent':
        with open(kept[0], 'rb') as f:
            assert f.read() == b'the frames of a database that is gone'
    else:
        assert content(kept[0]) == 'old'


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['wal', 'absent'])
def test_killed_between_link_and_unlink(tmp_path, kind):
    tools.need('strace')
    counted = strace(replace_args(scene(tmp_path, kind, 'count'), kind), '-e', 'trace=link,unlink,renameat2',
                     *WITHOUT['rename'])
    assert counted.returncode == 0, counted.stderr
    calls = collections.Counter(re.findall(r'^(\w+)\(', counted.stderr.decode(), re.M))
    assert calls['link'] >= 2 - (kind == 'absent') and calls['unlink'] > 1, calls
    for call in ('link', 'unlink'):
        for n in range(1, calls[call] + 1):
            db = scene(tmp_path, kind, f'{call}{n}')
            p = strace(replace_args(db, kind), '-e', 'trace=renameat2,' + call, *WITHOUT['rename'],
                       '-e', f'inject={call}:signal=KILL:when={n}')
            assert p.returncode in (-9, 137), (call, n, p.stderr)
            strace([driver(), 'recover', db], '-e', 'trace=renameat2', *WITHOUT['rename'])
            where = f'{kind}: killed at {call} {n}'
            assert content(db) == 'new', where
            assert os.stat(db).st_nlink == 1 and not os.path.exists(db + '.walback-tmp'), where
            kept = [os.path.join(os.path.dirname(db), k) for k in quarantined(db)]
            assert all(os.stat(k).st_nlink == 1 for k in kept), where
            if kind != 'absent':
                assert content(kept[0]) == 'old', where


@pytest.mark.parametrize('call', ['link', 'rename', 'unlink', 'fsync'])
def test_a_failing_call_is_reported_and_the_next_command_goes_on(tmp_path, call):
    tools.need('strace')
    failed = 0
    for n in range(1, 9):
        db = scene(tmp_path, 'wal', f'{call}{n}')
        p = strace(replace_args(db, 'wal'), '-e', f'trace={call}', '-e', f'inject={call}:error=EIO:when={n}')
        if p.returncode == 0:
            assert content(db) == 'new'
            continue
        failed += 1
        assert b'Input/output error' in p.stderr
        proc.run([driver(), 'recover', db]).ok()
        assert content(db) in ('old', 'new')
    assert failed


@pytest.mark.parametrize('command', ['restore', 'replicate', 'run'])
def test_every_command_finishes_a_replacement_first(walback, tmp_path, command):
    """`restore -force` killed between the record and the rename; the next command of any kind goes on."""
    tools.need('strace')
    target = wb.file_target(vectors.copy('litestream-v03', 'basic', tmp_path / 'replica'))
    want = vectors.expect('litestream-v03', 'basic')['targets'][0]['sha256']
    folder = tmp_path / 'data'
    folder.mkdir()
    db = folder / 'app.db'
    make_old(str(db), 'wal')
    p = strace([walback.exe, 'restore', '-force', '-o', db, target.url], '-f', '-e', 'trace=link', '-e',
               'inject=link:signal=KILL:when=1')
    assert p.returncode in (-9, 137), p.stderr
    assert (folder / '.app.db-walback/swap.json').exists() and sqlite.sha256(db) != want
    if command == 'restore':
        r = walback.restore(target, db).fails(1)
        assert 'exists; nothing was changed' in r.err
        assert sqlite.sha256(db) == want
    elif command == 'run':
        r = walback.run('run', '-db', db, '-replica-url', f'file://{tmp_path}/new', '--', 'true').ok()
        assert 'an interrupted replacement was finished' in r.err
    else:
        with walback.replicate(db, wb.file_target(tmp_path / 'new')) as agent:
            agent.wait_log('generation begun')
            assert agent.stop() == 0
    assert not (folder / '.app.db-walback/swap.json').exists()
    walback.restore(target, tmp_path / 'want.db').ok()
    assert sqlite.dump(db) == sqlite.dump(tmp_path / 'want.db')
    kept = [n for n in os.listdir(folder) if re.fullmatch(r'app\.db\.replaced\.\d{8}T\d{6}Z', n)]
    assert len(kept) == 1 and content(folder / kept[0]) == 'old'
