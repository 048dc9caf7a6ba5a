# SPDX-License-Identifier: Apache-2.0
"""Disks that are full or broken for a while: said clearly, nothing lost, and right again when there is room."""
import errno
import random
import time

import pytest

from testenv import proc, sqlite
from testenv.fault import Fault


NO_ROOM = 'No space left on device'


def write_some(db, seed, n=5):
    c = sqlite.connect(db)
    for k in range(n):
        sqlite.add_rows(c, 5, seed=f'{seed} {k}')
    c.close()


def generations(target):
    return {k.split('/')[1] for k in target.files() if k.startswith('generations/')}


@pytest.mark.parametrize('call, how, words', [('write', errno.ENOSPC, NO_ROOM), ('write', errno.EIO, 'Input/output error'),
                                              ('fsync', errno.EIO, 'Input/output error'), ('write', 'short', None)])
def test_a_replica_folder_without_room(walback, file_replica, db, tmp_path, call, how, words):
    fault = Fault.always(tmp_path, call, how, str(file_replica.folder))
    with walback.replicate(db, file_replica, {'sync-interval': '20ms'}, env=fault.env()) as agent:
        agent.wait_log('generation begun')
        fault.begin()
        write_some(db, 'while it fails')
        if words:
            agent.wait_log('segment not uploaded')
            line = next(x for x in agent.text().splitlines() if 'segment not uploaded' in x)
            assert 'level=ERROR' in line and words in line and str(file_replica.folder) in line
        else:
            walback.wait_synced(file_replica, tmp_path / 'short.db', db)
        fault.over()
        if words:
            agent.wait_log('replica reached again')
        walback.wait_synced(file_replica, tmp_path / 'out.db', db)
        assert agent.stop() == 0, agent.text()
    assert len(generations(file_replica)) == 1
    assert not [k for k in file_replica.files() if k.endswith('.tmp')], 'left behind'


def test_a_replica_folder_that_stays_full_is_told_by_the_exit_status(walback, file_replica, db, tmp_path):
    fault = Fault.always(tmp_path, 'write', errno.ENOSPC, str(file_replica.folder))
    cfg = walback.config(db, file_replica)
    with walback.start('replicate', '-stop-timeout', '1s', '-config', cfg, env=fault.env()) as agent:
        agent.wait_log('generation begun')
        fault.begin()
        write_some(db, 'never sent')
        assert agent.stop() == 1
    assert 'not everything reached the replica' in agent.text()
    # Nothing was lost: the next start sends it.
    with walback.replicate(db, file_replica) as agent:
        walback.wait_synced(file_replica, tmp_path / 'out.db', db)
        assert agent.stop() == 0


@pytest.mark.parametrize('how', [errno.ENOSPC, errno.EIO, 'short'])
def test_a_state_folder_without_room(walback, file_replica, db, tmp_path, how):
    fault = Fault.always(tmp_path, 'write', how, '.app.db-walback')
    with walback.replicate(db, file_replica, {'sync-interval': '20ms'}, env=fault.env()) as agent:
        agent.wait_log('generation begun')
        fault.begin()
        write_some(db, 'no room for the state')
        walback.wait_synced(file_replica, tmp_path / 'out.db', db)
        if how != 'short':
            assert 'state not written' in agent.text()
        fault.over()
        write_some(db, 'room again')
        walback.wait_synced(file_replica, tmp_path / 'out.db', db)
        assert agent.stop() == 0, agent.text()
    # The state that was not written takes nobody in.
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('reason=continued')
        walback.wait_synced(file_replica, tmp_path / 'out.db', db)
        assert agent.stop() == 0


def test_no_room_for_the_state_at_the_start(walback, file_replica, db, tmp_path):
    fault = Fault.always(tmp_path, 'write', errno.ENOSPC, '.app.db-walback/file/state').begin()
    with walback.replicate(db, file_replica, env=fault.env()) as agent:
        agent.wait_log('cannot begin to replicate')
        line = next(x for x in agent.text().splitlines() if 'cannot begin to replicate' in x)
        assert NO_ROOM in line and '.app.db-walback/file/state' in line
        time.sleep(2)
        assert agent.alive()
        # A snapshot for each try would fill the store.
        assert not [k for k in file_replica.files() if '/snapshots/' in k]
        fault.over()
        agent.wait_log('generation begun')
        walback.wait_synced(file_replica, tmp_path / 'out.db', db)
        assert agent.stop() == 0, agent.text()
    assert len(generations(file_replica)) == 1


@pytest.mark.slow
@pytest.mark.parametrize('how', [errno.ENOSPC, 'short'])
def test_no_room_for_the_spool_while_the_store_is_away(walback, proxied_replica, s3_proxy, db, tmp_path, how):
    """More than fits into memory (8 MiB): it goes to the spool, and there is no room."""
    fault = Fault.always(tmp_path, 'write', how, '/spool/')
    with walback.replicate(db, proxied_replica, {'sync-interval': '20ms'}, env=fault.env()) as agent:
        agent.wait_log('generation begun')
        s3_proxy.down()
        fault.begin()
        c = sqlite.connect(db)
        c.execute('CREATE TABLE big(id INTEGER PRIMARY KEY, b BLOB)')
        for n in range(80):
            c.execute('INSERT INTO big(b) VALUES (?)', (random.Random(n).randbytes(200000),))
        spool = db.parent / '.app.db-walback' / 's3' / 'spool'
        if how == 'short':
            proc.wait_until(lambda: spool.exists() and len(list(spool.iterdir())) > 1, 20, agent.text)
        else:
            agent.wait_log('generation given up')
            assert NO_ROOM in agent.text() and '/spool' in agent.text()
            c.execute('DELETE FROM big WHERE id % 2 = 0')
        c.close()
        fault.over()
        s3_proxy.up()
        walback.wait_synced(proxied_replica, tmp_path / 'out.db', db, timeout=60)
        assert agent.stop() == 0, agent.text()
    assert len(generations(proxied_replica)) == (1 if how == 'short' else 2)
    assert not spool.exists() or not list(spool.iterdir())


def test_no_room_for_the_copy_of_an_lz4_snapshot(walback, file_replica, db, tmp_path):
    fault = Fault.always(tmp_path, 'write', errno.ENOSPC, 'snapshot.tmp').begin()
    with walback.replicate(db, file_replica, {'compression': 'lz4'}, env=fault.env()) as agent:
        agent.wait_log('cannot begin to replicate')
        assert NO_ROOM in agent.text() and 'snapshot.tmp' in agent.text()
        fault.over()
        agent.wait_log('generation begun')
        write_some(db, 'after')
        walback.wait_synced(file_replica, tmp_path / 'out.db', db)
        assert agent.stop() == 0, agent.text()


def test_no_room_for_a_restore_is_said_with_a_remedy(walback, file_replica, db, tmp_path):
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('generation begun')
        assert agent.stop() == 0
    place = tmp_path / 'small'
    place.mkdir()
    fault = Fault.always(tmp_path, 'write', errno.ENOSPC, str(place)).begin()
    r = walback.restore(file_replica, place / 'x.db', env=fault.env()).fails(1)
    assert f'{place}/x.db' in r.err and NO_ROOM in r.err and '  next: ' in r.err, repr(r)
    assert [p.name for p in place.iterdir()] in ([], ['.x.db-walback'])
    fault.over()
    walback.restore_and_check(file_replica, place / 'x.db', db)
