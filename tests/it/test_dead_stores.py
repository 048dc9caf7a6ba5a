# SPDX-License-Identifier: Apache-2.0
"""Stores that are away hold up nothing but their own databases."""
import json
import socket
import time

import pytest

from testenv import proc, s3, sqlite

DEAD = 12


@pytest.fixture
def silent_port():
    """Connections are accepted by the kernel, and nobody ever answers."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen(200)
        yield s.getsockname()[1]


def replica_at(port, n):
    return {'type': 's3', 'bucket': 'nowhere', 'path': f'db{n}', 'endpoint': f'http://127.0.0.1:{port}',
            'region': s3.REGION, 'force-path-style': True}


@pytest.fixture
def crowd(tmp_path, silent_port, file_replica, db):
    """Many databases whose stores refuse or say nothing, then one with a good replica; the config file."""
    dbs = []
    for n in range(DEAD):
        path = sqlite.create(tmp_path / f'dead{n}.db', rows=10)
        dbs.append({'path': str(path), 'replicas': [replica_at(proc.free_port() if n % 2 else silent_port, n)]})
    dbs.append({'path': str(db), 'replicas': [file_replica.config()]})
    cfg = tmp_path / 'crowd.yml'
    cfg.write_text(json.dumps({'dbs': dbs}))
    return cfg


ENV = {'LITESTREAM_ACCESS_KEY_ID': s3.ACCESS, 'LITESTREAM_SECRET_ACCESS_KEY': s3.SECRET}


def test_dead_stores_do_not_delay_the_start_of_others(walback, crowd, file_replica, db, tmp_path):
    with walback.start('replicate', '-stop-timeout', '1s', '-config', crowd, env=ENV) as agent:
        agent.wait_log(f'generation begun" db={db}', timeout=12)
        # Nor the start anew once all of them have failed and are tried again and again.
        proc.wait_until(lambda: all(f'cannot begin to replicate" db={tmp_path}/dead{n}.db' in agent.text()
                                    for n in range(DEAD)), 60, agent.text)
        (tmp_path / 'new').mkdir()
        sqlite.create(tmp_path / 'new' / 'app.db', seed=5).rename(db)
        began = time.monotonic()
        proc.wait_until(lambda: agent.text().count(f'generation begun" db={db}') == 2, 10, agent.text)
        assert time.monotonic() - began < 10
        assert agent.stop() == 1                # what has no store did not make it
    assert 'not everything reached the replica' in agent.text()
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)
