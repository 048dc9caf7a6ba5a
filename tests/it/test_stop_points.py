# SPDX-License-Identifier: Apache-2.0
"""Stop points of a live history under two writers, each restored page for page.

The application's side says what is right: with the write lock held nobody can commit, and what SQLite makes
of a copy of the files at that moment is the database after the last transaction, byte for byte."""
import json
import time

import pytest

from testenv import proc, sqlite

POINTS = 4


def same_now(walback, target, want, out):
    """Until the newest state in the replica equals want; what restore says of it."""
    last = []

    def same():
        out.unlink(missing_ok=True)
        last[:] = [walback.restore(target, out, '-integrity-check', 'none', '-json')]
        return last[0].code == 0 and not sqlite.differing_pages(want, out)

    proc.wait_until(same, 30, lambda: f'the replica does not get there:\n{last[0]!r}', poll=0.05)
    return last[0]


@pytest.mark.parametrize('compression', ['zst', 'lz4'])
def test_stop_points_under_two_writers_equal_the_database_byte_for_byte(walback, any_s3_replica, db, tmp_path,
                                                                         compression):
    target, points = any_s3_replica, []
    keys = {'compression': compression, 'sync-interval': '20ms'}
    with walback.replicate(db, target, keys) as agent:
        agent.wait_log('generation begun')
        with sqlite.Writer(db, tmp_path, name='a', pause_ms=0, vacuum=True) as a, \
                sqlite.Writer(db, tmp_path, name='b', pause_ms=1) as b:
            conn = sqlite.connect(db)
            for n in range(POINTS):
                had = len(a.committed()), len(b.committed())
                a.wait_commits(had[0] + 110)
                b.wait_commits(had[1] + 20)
                conn.execute('BEGIN IMMEDIATE')
                want = sqlite.settled_copy(db, tmp_path / f'{n}.want')
                got = same_now(walback, target, want, tmp_path / f'{n}.now')
                points.append((want, int(time.time() * 1000), got))
                time.sleep(0.003)       # times have milliseconds
                conn.execute('ROLLBACK')
            conn.close()
            a.stop()
            b.stop()
        assert agent.stop() == 0, agent.text()
    assert 'level=ERROR' not in agent.text() and 'begins anew' not in agent.text()
    # Long after, by time and by position.
    for n, (want, when_ms, got) in enumerate(points):
        out = tmp_path / f'{n}.time'
        walback.restore(target, out, '-timestamp', f'@{when_ms / 1000:.3f}', '-integrity-check', 'full').ok()
        sqlite.assert_same_pages(want, out)
        where = json.loads(got.out)
        out = tmp_path / f'{n}.position'
        walback.restore(target, out, '-position', f'{where["index"]}:{where["offset"]}').ok()
        sqlite.assert_same_pages(want, out)
    walback.restore_and_check(target, tmp_path / 'end.db', db)
