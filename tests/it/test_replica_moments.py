# SPDX-License-Identifier: Apache-2.0
"""What replicate writes restores to the source: at every moment asked for, through odd prefixes and bad lines."""
import json
import time

import pytest

from testenv import proc, sqlite
from testenv.walback import file_target, s3_target


def moment():
    """Now, RFC 3339 with milliseconds."""
    t = time.time()
    return time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(t)) + f'.{int(t * 1000) % 1000:03d}Z'


@pytest.mark.parametrize('compression', ['zst', 'lz4'])
def test_a_busy_database_restores_page_for_page(walback, replica, db, tmp_path, compression):
    with walback.replicate(db, replica, replica_keys={'compression': compression}) as agent:
        with sqlite.Writer(db, tmp_path, vacuum=True) as w:
            w.wait_commits(700)
            w.stop()
        walback.wait_synced(replica, tmp_path / 'out.db', db)
        assert agent.stop() == 0
    assert any(k.endswith(f'.wal.{compression}') for k in replica.files())
    walback.restore_and_check(replica, tmp_path / 'again.db', db)


@pytest.mark.parametrize('compression', ['zst', 'lz4'])
def test_several_moments_restore_to_what_was_there(walback, file_replica, db, tmp_path, compression):
    keys = {'compression': compression, 'sync-interval': '100ms'}
    seen = []
    with walback.replicate(db, file_replica, replica_keys=keys) as agent:
        walback.wait_synced(file_replica, tmp_path / 'first.db', db)
        conn = sqlite.connect(db)
        for n in range(5):
            sqlite.add_rows(conn, 30 * (n + 1), seed=n)
            conn.execute('DELETE FROM t WHERE id % 7 = ?', (n,))
            time.sleep(0.3)
            seen.append((moment(), sqlite.dump(db)))
            time.sleep(0.3)
        conn.execute('VACUUM')
        walback.wait_synced(file_replica, tmp_path / 'last.db', db)
        conn.close()
        assert agent.stop() == 0
    for n, (t, want) in enumerate(seen):
        got = tmp_path / f'{n}.got'
        walback.restore(file_replica, got, '-timestamp', t).ok()
        assert sqlite.integrity(got) == 'ok'
        assert sqlite.dump(got) == want, f'the state of {t}'


def test_two_databases_and_two_replicas_each(walback, versitygw, bucket, tmp_path):
    entries, pairs = [], []
    for name in ('a', 'b'):
        db = sqlite.create(tmp_path / f'{name}.db')
        targets = [file_target(tmp_path / f'replica-{name}'), s3_target(versitygw, bucket, f'x/{name}')]
        replicas = [dict(t.config(), name=t.kind) for t in targets]
        entries.append({'path': str(db), 'replicas': replicas})
        pairs.append((db, targets))
    cfg = tmp_path / 'two.yml'
    cfg.write_text(json.dumps({'dbs': entries}))
    with walback.start('replicate', '-config', cfg, env=pairs[0][1][1].env) as agent:
        for n, (db, targets) in enumerate(pairs):
            conn = sqlite.connect(db)
            sqlite.add_rows(conn, 50, seed=n)
            for t in targets:
                walback.wait_synced(t, tmp_path / f'{n}-{t.kind}.db', db)
            conn.close()
        assert agent.stop() == 0


@pytest.mark.parametrize('prefix', ['a b/c+d', 'x&y=z', '~user/@:!$', 'ü/日本', "q'(1)*,;", 'deep/er/und/er'])
def test_prefixes_with_characters_that_must_be_encoded(walback, any_s3, prefix, tmp_path, db):
    target = s3_target(any_s3, any_s3.bucket(), prefix)
    cfg = walback.config(db, target)
    with walback.start('replicate', '-config', cfg, env=target.env) as agent:
        proc.wait_until(lambda: any('/snapshots/' in k for k in target.files()), 20,
                        lambda: f'no snapshot: {agent.text()[-3000:]}', dead=lambda: not agent.alive())
        conn = sqlite.connect(db)
        sqlite.add_rows(conn, 5, seed=2)
        conn.close()
        time.sleep(0.3)
        assert agent.stop() == 0
    out = tmp_path / 'out.db'
    walback.run('restore', '-config', cfg, '-o', out, db, env=target.env).ok()
    sqlite.assert_same_pages(sqlite.settled_copy(db, tmp_path / 'want.db'), out)


@pytest.mark.parametrize('fault', ['reset', 'truncate', 'slow'])
def test_a_bad_line_costs_time_and_nothing_else(walback, proxied_replica, s3_proxy, db, tmp_path, fault):
    with walback.replicate(db, proxied_replica, replica_keys={'sync-interval': '50ms'}) as agent:
        walback.wait_synced(proxied_replica, tmp_path / 'out.db', db)
        if fault == 'reset':
            s3_proxy.toxic('reset_peer', timeout=3, toxicity=0.3)
        elif fault == 'truncate':
            s3_proxy.toxic('limit_data', bytes=100, toxicity=0.3)
        else:
            s3_proxy.latency(150)
        with sqlite.Writer(db, tmp_path, pause_ms=5) as w:
            w.wait_commits(300)
            w.stop()
        s3_proxy.up()
        walback.wait_synced(proxied_replica, tmp_path / 'out.db', db, timeout=60)
        assert agent.stop() == 0


def test_no_table_of_ours_in_the_database(walback, file_replica, db, tmp_path):
    before = sqlite.rows(db, 'SELECT name, sql FROM sqlite_schema ORDER BY 1')
    with walback.replicate(db, file_replica) as agent:
        walback.wait_synced(file_replica, tmp_path / 'out.db', db)
        assert agent.stop() == 0
    assert sqlite.rows(db, 'SELECT name, sql FROM sqlite_schema ORDER BY 1') == before


def test_secrets_are_in_no_output(walback, s3_replica, db, tmp_path):
    secret = s3_replica.env['LITESTREAM_SECRET_ACCESS_KEY']
    with walback.replicate(db, s3_replica, env={'WALBACK_LOG_LEVEL': 'debug'}) as agent:
        walback.wait_synced(s3_replica, tmp_path / 'out.db', db)
        with open(f'/proc/{agent.pid}/cmdline', 'rb') as f:
            assert secret.encode() not in f.read()
        assert agent.stop() == 0
    assert secret not in agent.text()
    bad = dict(s3_replica.env, LITESTREAM_SECRET_ACCESS_KEY='not-the-secret-9876')
    r = walback.run('restore', '-o', tmp_path / 'no.db', s3_replica.url, env=bad)
    assert r.code == 12, repr(r)
    assert 'not-the-secret-9876' not in r.out + r.err
    cfg = walback.config(db, s3_replica)
    r = walback.run('config', '-config', cfg, env=s3_replica.env).ok()
    assert secret not in r.out + r.err
