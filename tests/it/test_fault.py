# SPDX-License-Identifier: Apache-2.0
"""Every write, fsync, rename, link that fails, or at which the process dies, one at a time; and their order."""
import errno
import itertools
import os
import time

import pytest

from testenv import proc, sqlite
from testenv.fault import Fault, trace_env, traced
from testenv.walback import file_target


@pytest.fixture(scope='module')
def small_replica(tmp_path_factory):
    """A folder replica with a snapshot and some segments, and the database it came from."""
    from testenv.walback import Walback
    folder = tmp_path_factory.mktemp('small')
    db = sqlite.create(folder / 'app.db', rows=300)
    target = file_target(folder / 'replica')
    w = Walback(folder)
    with w.replicate(db, target) as agent:
        conn = sqlite.connect(db)
        for n in range(5):
            sqlite.add_rows(conn, 20, seed=n)
        w.wait_synced(target, folder / 'check.db', db)
        conn.close()
        assert agent.stop() == 0
    return target, folder / 'check.db.source'


def each_fault(tmp_path, call, how, path, limit=400):
    """Faults 1, 2, 3, ... until one does not happen any more."""
    for nth in itertools.count(1):
        assert nth < limit, f'{call} is called more than {limit} times: choose a smaller case'
        fault = Fault(tmp_path, call, nth, how, path)
        yield fault
        if not fault.happened():
            assert nth > 1, f'{call} on {path} never happens: the test proves nothing'
            return


CASES = [('write', errno.ENOSPC), ('write', 'short'), ('fsync', errno.EIO), ('rename', errno.EIO),
         ('create', errno.EACCES)]


@pytest.mark.parametrize('call, how', CASES)
def test_a_failing_call_fails_restore_and_leaves_nothing(walback, small_replica, tmp_path, call, how):
    target, source = small_replica
    place = tmp_path / 'out'
    place.mkdir()
    for fault in each_fault(tmp_path, call, how, str(place)):
        out = place / 'x.db'
        r = walback.restore(target, out, env=fault.env())
        if not fault.happened() or how == 'short':
            r.ok()
            sqlite.assert_same_pages(source, out)
            out.unlink()
        elif r.code == 0:
            # An fsync of the folder after the rename may fail without making the result wrong, but
            # then restore must not have said that all is well.
            pytest.fail(f'{call} number {fault.nth} failed and restore said 0:\n{r!r}')
        else:
            assert r.code == 1, repr(r)
            assert r.err.startswith('walback: ') or 'walback: ' in r.err, repr(r)
            if out.exists():
                assert call == 'fsync', f'an output although {call} failed:\n{r!r}'
                sqlite.assert_same_pages(source, out)
                out.unlink()
        assert [p.name for p in place.iterdir()] in ([], ['.x.db-walback']), f'{fault.nth}: left behind:\n{r!r}'


@pytest.mark.slow
@pytest.mark.parametrize('call', ['write', 'fsync', 'rename', 'create', 'unlink'])
def test_a_restore_killed_at_any_call_can_be_done_again(walback, small_replica, tmp_path, call):
    target, source = small_replica
    place = tmp_path / 'out'
    place.mkdir()
    for nth in itertools.count(1):
        fault = Fault(tmp_path, call, nth, 'kill', str(place))
        out = place / 'x.db'
        r = walback.restore(target, out, env=fault.env())
        if fault.happened():
            assert r.code == -9, repr(r)
            if out.exists():
                # It appeared whole or not at all.
                sqlite.assert_same_pages(source, out)
            else:
                walback.restore(target, out).ok()
                sqlite.assert_same_pages(source, out)
        else:
            r.ok()
            assert nth > 1 or call == 'unlink'
            return
        for p in place.iterdir():
            if p.is_file():
                p.unlink()


@pytest.mark.parametrize('call, how', [('write', errno.ENOSPC), ('write', 'short'), ('fsync', errno.EIO),
                                       ('link', errno.EIO), ('rename', errno.EIO)])
def test_replicate_outlives_a_store_that_fails_now_and_then(walback, tmp_path, call, how):
    happened = 0
    for nth in (1, 2, 3, 5, 8):
        folder = tmp_path / f'{nth}'
        folder.mkdir()
        db = sqlite.create(folder / 'app.db')
        target = file_target(folder / 'replica')
        fault = Fault(tmp_path, call, nth, how, str(folder / 'replica'))
        with walback.replicate(db, target, env=fault.env()) as agent:
            conn = sqlite.connect(db)
            for n in range(6):
                sqlite.add_rows(conn, 5, seed=n)
                time.sleep(0.05)
            walback.wait_synced(target, folder / 'check.db', db)
            conn.close()
            assert agent.alive()
            assert agent.stop() == 0
        happened += fault.happened()
    # Only head.json is renamed to: when a generation begins and when it is released.
    assert happened >= (1 if call == 'rename' else 4), f'{call} failed {happened} times: the test proves little'


@pytest.mark.slow
@pytest.mark.parametrize('call', ['write', 'fsync', 'create'])
def test_local_files_that_cannot_be_written_cost_no_commit(walback, tmp_path, call):
    """The agent's own folder (state, spool) fails; the replica stays right."""
    happened = 0
    for nth in (1, 2, 3, 4):
        folder = tmp_path / f'{nth}'
        folder.mkdir()
        db = sqlite.create(folder / 'app.db')
        target = file_target(folder / 'replica')
        fault = Fault(tmp_path, call, nth, errno.EIO, str(folder / '.app.db-walback'))
        with walback.replicate(db, target, env=fault.env()) as agent:
            conn = sqlite.connect(db)
            for n in range(6):
                sqlite.add_rows(conn, 5, seed=n)
            proc.wait_until(lambda: not agent.alive() or 'generation begun' in agent.text(), 30, agent.text)
            if agent.alive():
                walback.wait_synced(target, folder / 'check.db', db)
            conn.close()
            if agent.alive():
                agent.stop()
        with walback.replicate(db, target) as agent:
            walback.wait_synced(target, folder / 'check2.db', db)
            assert agent.stop() == 0
        happened += fault.happened()
    assert happened > 0, f'{call} never fails: the test proves nothing'


def test_a_state_that_cannot_be_written_is_said_once_and_its_end_too(walback, file_replica, db, tmp_path):
    # The first two writes are of the start; then each acknowledged segment is one.
    fault = Fault(tmp_path, 'write', 3, errno.ENOSPC, '.app.db-walback/file/state', times=4)
    with walback.replicate(db, file_replica, {'sync-interval': '10ms'}, env=fault.env()) as agent:
        agent.wait_log('generation begun')
        conn = sqlite.connect(db)
        for n in range(6):
            seen = fault.count()
            sqlite.add_rows(conn, 1, seed=n)
            proc.wait_until(lambda s=seen: fault.count() > s, 20, agent.text)
        conn.close()
        agent.wait_log('state written again')
        assert agent.stop() == 0
    assert agent.text().count('state not written') == 1, agent.text()
    assert agent.text().count('state written again') == 1, agent.text()
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


def test_an_object_in_a_folder_is_durable_before_and_after_it_has_its_name(walback, tmp_path):
    """Temporary file, fsync, link or rename, fsync of the folder; and of every folder that is made, of the one
    above it."""
    db = sqlite.create(tmp_path / 'app.db')
    target = file_target(tmp_path / 'deep/er/replica')
    trace = tmp_path / 'trace'
    with walback.replicate(db, target, {'sync-interval': '10ms'}, env=trace_env(trace)) as agent:
        agent.wait_log('generation begun')
        conn = sqlite.connect(db)
        for n in range(5):
            sqlite.add_rows(conn, 5, seed=n)
            time.sleep(0.05)
        conn.close()
        assert agent.stop() == 0, agent.text()
    unsynced, named, names = set(), {}, {'link': set(), 'rename': set()}
    for kind, path, old in traced(trace):
        if kind != 'fsync' and not path.startswith(f'{tmp_path}/deep'):
            continue
        if kind == 'write':
            assert path.endswith('.tmp'), f'{path} is written where it is read'
            unsynced.add(path)
        elif kind == 'fsync':
            unsynced.discard(path)
            named = {k: v for k, v in named.items() if v != path}
        elif kind in ('link', 'rename'):
            assert old not in unsynced, f'{path} has its name before its content is on the disk'
            names[kind].add(os.path.relpath(path, target.folder))
            named[path] = os.path.dirname(path)
        elif kind == 'create' and not path.endswith('.tmp'):
            named[path] = os.path.dirname(path)     # a folder
    assert not named, f'not synced into their folders: {named}'
    objects = set(target.files())
    assert names['link'] | names['rename'] == objects
    # What must not be there yet is never renamed over.
    assert names['rename'] == {'walback/head.json'}, names['rename']
    assert len(objects) > 6


def test_a_commit_is_durable_here_before_it_is_in_the_store(walback, file_replica, db, tmp_path):
    trace, conn = tmp_path / 'trace', sqlite.connect(db)

    def segments():
        return {k for k in file_replica.files() if '/wal/' in k and not k.endswith('.tmp')}

    with walback.replicate(db, file_replica, {'sync-interval': '10ms'}, env=trace_env(trace)) as agent:
        agent.wait_log('generation begun')
        for n in range(4):
            before, seen = segments(), len(traced(trace))
            sqlite.add_rows(conn, 1, seed=n)
            (new,) = proc.wait_until(lambda b=before: segments() - b, 20, agent.text)
            calls = traced(trace)[seen:]
            sent = calls.index(next(c for c in calls if c[0] == 'link' and c[1].endswith(new)))
            assert ('fsync', f'{db}-wal', '') in calls[:sent], f'{new} was sent before the -wal was synced'
        conn.close()
        assert agent.stop() == 0, agent.text()


def test_a_folder_without_hard_links_takes_a_replica(walback, db, tmp_path):
    """As on exFAT and many network mounts."""
    target = file_target(tmp_path / 'replica')
    fault = Fault(tmp_path, 'link', 1, errno.EPERM, str(target.folder), times=1 << 60)
    with walback.replicate(db, target, env=fault.env()) as agent:
        agent.wait_log('generation begun')
        conn = sqlite.connect(db)
        sqlite.add_rows(conn, 5)
        conn.close()
        assert agent.stop() == 0, agent.text()
    assert fault.happened() and 'level=ERROR' not in agent.text()
    walback.restore_and_check(target, tmp_path / 'out.db', db)
