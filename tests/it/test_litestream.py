# SPDX-License-Identifier: Apache-2.0
"""The released Litestream restores what walback wrote with compression lz4, and the other way round."""
import json
import time

import pytest

from testenv import proc, sqlite, walback as wb


@pytest.fixture(params=['0.3.13', '0.5.17'])
def any_litestream(request):
    return request.getfixturevalue('litestream03' if request.param == '0.3.13' else 'litestream05')


def test_litestream_restores_what_walback_wrote(walback, replica, any_litestream, tmp_path):
    db = sqlite.create(tmp_path / 'src.db', rows=400, indexes=3)
    with walback.replicate(db, replica, replica_keys={'compression': 'lz4'}) as agent:
        with sqlite.Writer(db, tmp_path, vacuum=True) as w:
            w.wait_commits(650)
            w.stop()
        walback.wait_synced(replica, tmp_path / 'ours.db', db)
        assert agent.stop() == 0
    out = tmp_path / 'theirs.db'
    any_litestream.restore(db, replica.litestream, out).ok()
    assert sqlite.integrity(out) == 'ok'
    assert sqlite.dump(out) == sqlite.dump(tmp_path / 'ours.db')
    assert len(w.committed()) >= 650


def test_litestream_restores_while_walback_is_still_writing(walback, file_replica, any_litestream, tmp_path):
    db = sqlite.create(tmp_path / 'src.db', rows=400, indexes=3)
    with walback.replicate(db, file_replica, replica_keys={'compression': 'lz4', 'sync-interval': '50ms'}) as agent:
        with sqlite.Writer(db, tmp_path) as w:
            w.wait_commits(50)
            proc.wait_until(lambda: any('/wal/' in k for k in file_replica.files()), 20, 'a segment')
            for n in range(4):
                w.wait_commits(100 + 100 * n)
                out = tmp_path / f'{n}.db'
                any_litestream.restore(db, file_replica.litestream, out).ok()
                assert sqlite.integrity(out) == 'ok'
            w.stop()
        assert agent.stop() == 0


def same_as_litestream(walback, litestream03, db, replica, folder):
    """What is in the replica at this moment.  A snapshot of Litestream's can be newer than the WAL that is there yet,
    and nothing in its format tells: then the state is one of no moment, for Litestream itself too.  So Litestream is
    the measure, not SQLite's check."""
    copy = wb.file_target(folder / 'replica')
    for key in sorted(k for k in replica.files() if not k.endswith('.tmp')):
        copy.write(key, replica.read(key))
    ours, theirs = folder / 'ours.db', folder / 'theirs.db'
    r = walback.restore(copy, ours, '-json').ok()
    generation = json.loads(r.out)['generation']
    litestream03.restore(db, copy.litestream, theirs, '-generation', generation).ok()
    sqlite.assert_same_pages(theirs, ours)


@pytest.mark.parametrize('vacuum', [False, True])
def test_walback_restores_what_litestream_wrote_live(walback, replica, litestream03, tmp_path, vacuum):
    db = sqlite.create(tmp_path / 'src.db', rows=400, indexes=3)
    with litestream03.replicate(db, replica.litestream) as agent:
        with sqlite.Writer(db, tmp_path, vacuum=vacuum) as w:
            w.wait_commits(600)
            for n in range(3):
                same_as_litestream(walback, litestream03, db, replica, tmp_path / f'{n}')
                time.sleep(0.3)
            w.stop()
        # Litestream writes into the database itself when it checkpoints: let it.
        time.sleep(3)
        walback.wait_synced(replica, tmp_path / 'out.db', db)
        agent.stop()
    theirs = tmp_path / 'theirs.db'
    litestream03.restore(db, replica.litestream, theirs).ok()
    assert sqlite.dump(theirs) == sqlite.dump(walback.restore_and_check(replica, tmp_path / 'again.db'))


def test_a_path_with_only_ltx_files_is_named_and_not_taken_for_empty(walback, replica, litestream05, db, tmp_path):
    with litestream05.replicate(db, replica.litestream) as agent:
        conn = sqlite.connect(db)
        for n in range(3):
            sqlite.add_rows(conn, 5, seed=n)
            time.sleep(0.4)
        proc.wait_until(lambda: any(k.endswith('.ltx') for k in replica.files()), 20,
                        lambda: f'no LTX file: {agent.text()[-2000:]}')
        conn.close()
        agent.stop()
    out = tmp_path / 'out.db'
    for flags in ([], ['-if-replica-exists']):
        r = walback.restore(replica, out, *flags).fails(13)
        assert 'LTX' in r.err and '0.5' in r.err, repr(r)
        assert not out.exists()
