# SPDX-License-Identifier: Apache-2.0
"""What container entry points rely on: lines as they stand in public ones, with nothing but the environment."""
import json
import subprocess
import sys
import time

import pytest

from testenv import proc, s3, sqlite
from testenv.walback import s3_target

KEYS = {'LITESTREAM_ACCESS_KEY_ID': s3.ACCESS, 'LITESTREAM_SECRET_ACCESS_KEY': s3.SECRET}

# Writes a row, tells its arguments, and ends with 9.
_APP = '''
import json, sqlite3, sys
c = sqlite3.connect(sys.argv[1])
c.execute('CREATE TABLE IF NOT EXISTS from_app(x)')
c.execute('INSERT INTO from_app VALUES (42)')
c.commit()
json.dump(sys.argv[2:], open(sys.argv[1] + '.argv', 'w'))
sys.exit(9)
'''


@pytest.fixture
def app(tmp_path):
    path = tmp_path / 'app.py'
    path.write_text(_APP)
    return path


def test_replicate_takes_a_database_and_urls_without_any_file(walback, s3_replica, file_replica, db, tmp_path):
    with walback.start('replicate', db, s3_replica.url, file_replica.url, env=s3_replica.env) as agent:
        proc.wait_until(lambda: agent.text().count('generation begun') == 2, 20, agent.text)
        conn = sqlite.connect(db)
        sqlite.add_rows(conn, 5)
        conn.close()
        assert agent.stop() == 0, agent.text()
    for n, target in enumerate((s3_replica, file_replica)):
        walback.restore_and_check(target, tmp_path / f'{n}.db', db)


@pytest.mark.parametrize('form', ['EXEC DB URL', 'EXEC -v -log-level warn DB URL', 'DB URL EXEC', 'DB EXEC URL',
                                  'EXEC -config CFG', '-config=CFG EXEC -no-expand-env'])
def test_flags_may_stand_before_and_after_exec(walback, file_replica, db, app, tmp_path, form):
    cfg = walback.config(db, file_replica)
    words = []
    for w in form.split():
        words += {'EXEC': ['-exec', f'{sys.executable} {app} {db}'], 'DB': [db], 'URL': [file_replica.url]}.get(
            w, [w.replace('CFG', str(cfg))])
    assert walback.run('replicate', *words).code == 9
    out = walback.restore_and_check(file_replica, tmp_path / 'out.db', db)
    assert sqlite.rows(out, 'SELECT x FROM from_app') == [(42,)]


def test_exec_takes_what_printf_q_writes_and_starts_no_shell(walback, file_replica, db, app):
    odd = ['two words', "it's", '"', '\\', '$HOME `id` $(id)', 'a\nb\tc', '', '*', 'ü€', '~', '!x', '#y', 'a=b;c&d|e']
    quoted = subprocess.run(['bash', '-c', 'printf "%q " "$@"', 'bash', sys.executable, app, db, *odd],
                            capture_output=True, text=True, check=True, timeout=20).stdout
    assert walback.run('replicate', '-exec', quoted, db, file_replica.url).code == 9
    assert json.loads((db.parent / 'app.db.argv').read_text()) == odd


def test_the_app_may_be_a_grandchild(walback, file_replica, db, app, tmp_path):
    script = f'"{sys.executable}" "{app}" "{db}" & wait $!; echo over; exit $?'
    r = walback.run('replicate', '-exec', f"sh -c '{script}'", db, file_replica.url)
    assert r.code == 0, r
    out = walback.restore_and_check(file_replica, tmp_path / 'out.db', db)
    assert sqlite.rows(out, 'SELECT x FROM from_app') == [(42,)]
    # It ends with its parent: SIGTERM reaches both.
    sleeper = f'"{sys.executable}" -c "import time; print(chr(97) * 20, flush=True); time.sleep(60)" & wait $!'
    with walback.start('replicate', '-exec', f"sh -c '{sleeper}'", db, file_replica.url) as agent:
        agent.wait_log('a' * 20)
        began = time.monotonic()
        agent.stop()
        assert time.monotonic() - began < 8, agent.text()


def test_a_long_sync_interval_is_kept_and_sigterm_pushes_the_rest(walback, file_replica, db, tmp_path):
    def segments():
        return len([k for k in file_replica.files() if '/wal/' in k])

    conn = sqlite.connect(db)
    with walback.replicate(db, file_replica, {'sync-interval': '1h'}) as agent:
        agent.wait_log('generation begun')
        sqlite.add_rows(conn, 1, seed='after quiet: may go at once')
        time.sleep(0.5)
        before = segments()
        for n in range(5):
            sqlite.add_rows(conn, 5, seed=n)
            time.sleep(0.4)
        assert segments() == before
        assert agent.stop() == 0, agent.text()
    assert segments() > before
    conn.close()
    walback.restore_and_check(file_replica, tmp_path / 'out.db', db)


@pytest.mark.parametrize('form', ['bucket.host:port', 'slash', 'bare', 'root', 'region-auto', 'empty-values'])
def test_stores_are_named_as_people_name_them(walback, versitygw, bucket, db, tmp_path, form):
    target = s3_target(versitygw, bucket, '' if form == 'root' else 'a/b')
    keys = {'type': 's3', 'bucket': bucket.bucket, 'path': 'a/b', 'endpoint': versitygw.endpoint,
            'region': s3.REGION}
    changes = {'bucket.host:port': {}, 'slash': {'endpoint': versitygw.endpoint + '/', 'path': '/a/b/'},
               'root': {'path': ''}, 'region-auto': {'region': 'auto'}, 'bare': {'region': None},
               'empty-values': {'region': '', 'force-path-style': '', 'access-key-id': '', 'sync-interval': ''}}
    keys.update(changes[form])
    url = f's3://{bucket.bucket}.127.0.0.1:{versitygw.port}/a/b'
    cfg = tmp_path / 'litestream.yml'
    replicas = [{'url': '$URL'}] if form == 'bucket.host:port' else \
        [{k: v for k, v in keys.items() if v is not None}]
    cfg.write_text('---\n' + json.dumps({'dbs': [{'path': '${DB}', 'replicas': replicas}]}))
    env = {**KEYS, 'URL': url, 'DB': db}
    with walback.start('replicate', '-config', cfg, env=env) as agent:
        agent.wait_log('generation begun')
        assert agent.stop() == 0, agent.text()
    assert 'walback/head.json' in target.files()
    out = tmp_path / 'out.db'
    walback.run('restore', '-config', cfg, '-o', out, db, env=env).ok()
    assert sqlite.dump(out) == sqlite.dump(db)
    assert walback.run('databases', '-config', cfg, env=env).ok().out.split()[2:] == [str(db), 's3']


def test_restore_without_a_replica_or_onto_a_file_is_no_success(walback, file_replica, db, tmp_path):
    cfg = tmp_path / 'litestream.yml'
    cfg.write_text(f'dbs:\n- path: {db}\n')
    walback.run('restore', '-config', cfg, '-o', tmp_path / 'x.db', db).fails(2)
    walback.run('restore', '-config', cfg, '-if-replica-exists', '-o', tmp_path / 'x.db', db).fails(2)
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('generation begun')
        assert agent.stop() == 0
    walback.run('restore', '-o', db, file_replica.url).fails(1)
    walback.run('restore', '-if-replica-exists', '-o', db, file_replica.url).fails(1)
    walback.run('restore', '-if-db-not-exists', '-if-replica-exists', '-o', db, file_replica.url).ok()


def test_lists_have_litestreams_forms_in_their_columns(walback, file_replica, db):
    with walback.replicate(db, file_replica) as agent:
        agent.wait_log('generation begun')
        assert agent.stop() == 0
    cfg = walback.config(db, file_replica)
    head, row = (line.split() for line in walback.run('generations', '-config', cfg, db).ok().out.splitlines())
    assert head[:5] == ['name', 'generation', 'lag', 'start', 'end']
    assert row[0] == 'file' and len(row[1]) == 16 and int(row[1], 16) >= 0
    head, row = (line.split() for line in walback.run('snapshots', '-config', cfg, db).ok().out.splitlines())
    assert head[:5] == ['replica', 'generation', 'index', 'size', 'created'] and row[4].endswith('Z')
    # Without the local file too.
    for suffix in ('', '-wal', '-shm'):
        db.with_name(db.name + suffix).unlink(missing_ok=True)
    for command in ('generations', 'snapshots', 'wal'):
        assert len(walback.run(command, '-config', cfg, db).ok().out.splitlines()) >= 1
    assert walback.run('generations', '-config', cfg, db).ok().out.split().count('file') == 1
