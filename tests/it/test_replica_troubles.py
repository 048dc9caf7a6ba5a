# SPDX-License-Identifier: Apache-2.0
"""What goes wrong beside a running agent: nothing is lost, nothing is said to be safe that is not, the app
does not wait, and the log names the cause."""
import os
import re
import shutil
import time

import pytest

from testenv import proc, sqlite


def test_a_replica_that_somebody_emptied_gets_a_new_generation(walback, file_replica, db, tmp_path):
    """A segment that lands in an empty folder is no backup."""
    with walback.replicate(db, file_replica, {'sync-interval': '50ms'}) as agent:
        agent.wait_log('generation begun')
        conn = sqlite.connect(db)
        sqlite.add_rows(conn, 20)
        proc.wait_until(lambda: any('/wal/' in k for k in file_replica.files()), 20, agent.text)
        shutil.rmtree(file_replica.folder)
        sqlite.add_rows(conn, 20)
        proc.wait_until(lambda: agent.text().count('generation begun') >= 2, 20, agent.text)
        assert 'code=replica_emptied' in agent.text()
        sqlite.add_rows(conn, 20)
        conn.close()
        assert agent.stop() == 0
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


def test_a_held_write_lock_costs_no_generation(walback, file_replica, db, tmp_path):
    """Checkpoints that meet an app's open transaction, which then rolls back and resets the WAL."""
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('generation begun')
        conn = sqlite.connect(db)
        for n in range(2):
            sqlite.add_rows(conn, 300, seed=n)
            conn.execute('BEGIN IMMEDIATE')
            time.sleep(2)
            conn.execute('ROLLBACK')
            sqlite.add_rows(conn, 1, seed=n)
            time.sleep(0.2)
        conn.close()
        assert agent.stop() == 0
        assert agent.text().count('generation begun') == 1, agent.text()
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


@pytest.mark.slow
def test_a_reader_that_does_not_end_is_named(walback, file_replica, db, tmp_path):
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('generation begun')
        conn, pinned = sqlite.connect(db), sqlite.connect(db)
        sqlite.add_rows(conn, 1)
        pinned.execute('BEGIN')
        pinned.execute('SELECT count(*) FROM t').fetchone()
        end = time.monotonic() + 12
        while time.monotonic() < end:
            sqlite.add_rows(conn, 40, size=3000)
            time.sleep(0.02)
        agent.wait_log('checkpoints are held back')
        assert f'a transaction stays open (process {os.getpid()})' in agent.text(), agent.text()
        assert agent.text().count('checkpoints are held back') == 1
        pinned.execute('COMMIT')
        agent.wait_log('msg=checkpointed')
        pinned.close()
        conn.close()
        assert agent.stop() == 0
        assert agent.text().count('generation begun') == 1, agent.text()
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


def test_an_lz4_snapshot_without_room_costs_only_the_snapshot(walback, file_replica, db, tmp_path):
    keys = {'compression': 'lz4', 'snapshot-interval': '1s', 'sync-interval': '50ms'}
    with walback.replicate(db, file_replica, keys, snapshot_copy_limit='300KiB') as agent:
        agent.wait_log('generation begun')
        conn = sqlite.connect(db)
        sqlite.add_rows(conn, 3000)
        time.sleep(1.2)
        sqlite.add_rows(conn, 10)
        agent.wait_log('code=snapshot_copy_limit')
        sqlite.add_rows(conn, 10)
        conn.close()
        assert agent.stop() == 0
        assert agent.text().count('generation begun') == 1, agent.text()
        assert 'no new snapshot yet' in agent.text()
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


def test_large_transactions_alone_are_followed_by_snapshots(walback, file_replica, db, tmp_path):
    """Each ends a stored index by itself, so that nothing is ever left to cut."""
    with walback.replicate(db, file_replica, {'snapshot-interval': '1s'}) as agent:
        agent.wait_log('generation begun')
        conn = sqlite.connect(db)
        conn.execute('CREATE TABLE big(id INTEGER PRIMARY KEY, b BLOB)')
        time.sleep(1.3)
        conn.execute('REPLACE INTO big VALUES(1, zeroblob(9000000))')
        time.sleep(1.3)
        conn.execute('REPLACE INTO big VALUES(1, zeroblob(9000000))')
        proc.wait_until(lambda: agent.text().count('snapshot uploaded') >= 2, 20, agent.text)
        conn.close()
        assert agent.stop() == 0
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


def test_a_store_that_fails_is_not_asked_more_often_by_new_commits(walback, file_replica, db, tmp_path):
    with walback.replicate(db, file_replica, {'sync-interval': '20ms'}) as agent:
        agent.wait_log('generation begun')
        conn = sqlite.connect(db)
        sqlite.add_rows(conn, 1)
        wal = proc.wait_until(lambda: next(file_replica.folder.glob('generations/*/wal'), None), 20, agent.text)
        wal.rename(tmp_path / 'wal')
        wal.write_text('no folder')
        end = time.monotonic() + 4
        while time.monotonic() < end:
            sqlite.add_rows(conn, 1)
            time.sleep(0.03)
        wal.unlink()
        (tmp_path / 'wal').rename(wal)
        agent.wait_log('replica reached again')
        failed = int(re.search(r'replica reached again.* count=(\d+)', agent.text()).group(1))
        assert failed <= 6, agent.text()
        assert agent.text().count('segment not uploaded') == 1, agent.text()
        conn.close()
        assert agent.stop() == 0, agent.text()
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


def test_what_a_snapshot_cuts_counts_as_sent(walback, file_replica, db, tmp_path):
    """A commit waits for its segment (sync-interval) when the snapshot begins a new stored index."""
    keys = {'sync-interval': '30s', 'snapshot-interval': '1s', 'compression': 'lz4'}
    with walback.replicate(db, file_replica, keys) as agent:
        agent.wait_log('generation begun')
        time.sleep(1.1)
        conn, pinned = sqlite.connect(db), sqlite.connect(db)
        pinned.execute('BEGIN')
        pinned.execute('SELECT count(*) FROM t').fetchone()
        sqlite.add_rows(conn, 1)    # sent at once; a snapshot is due and waits for a checkpoint
        proc.wait_until(lambda: any('/wal/' in k for k in file_replica.files()), 20, agent.text)
        sqlite.add_rows(conn, 1)
        time.sleep(0.3)
        pinned.execute('COMMIT')
        proc.wait_until(lambda: agent.text().count('snapshot uploaded') >= 2, 20, agent.text)
        pinned.close()
        conn.close()
        assert agent.stop() == 0, agent.text()
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)
