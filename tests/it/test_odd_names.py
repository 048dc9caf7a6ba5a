# SPDX-License-Identifier: Apache-2.0
"""Prefixes with every character that URLs, signatures and XML treat in a way of their own: in folders and on S3."""
import pytest

from testenv import proc, sqlite
from testenv.walback import file_target, s3_target

NAMES = ['a b+c&d=e~f', '100%25 #1?x=y;z', "ü/日本 'q'(1)*,", '<&amp;>"!@:x']


@pytest.fixture(params=['folder', 'versitygw', 's3s_fs'])
def place(request, tmp_path):
    """A function that makes a replica's place of a prefix."""
    if request.param == 'folder':
        return lambda name: file_target(tmp_path / 'store' / name)
    server = request.getfixturevalue(request.param)
    bucket = server.bucket()
    return lambda name: s3_target(server, bucket, name)


def column(text, n):
    return [line.split()[n] for line in text.splitlines()[1:]]


@pytest.mark.parametrize('name', NAMES)
def test_replicated_listed_and_restored_through_odd_names(walback, place, db, tmp_path, name):
    target = place(name)
    cfg = walback.config(db, target, replica_keys={'sync-interval': '20ms'})
    with walback.start('replicate', '-config', cfg, env=target.env) as agent:
        agent.wait_log('generation begun')
        conn = sqlite.connect(db)
        before = set(target.files())
        sqlite.add_rows(conn, 5, seed=2)
        proc.wait_until(lambda: set(target.files()) - before, 20, 'a segment')
        conn.close()
        assert agent.stop() == 0, agent.text()
    assert 'level=ERROR' not in agent.text()
    generation = target.json('walback/head.json')['generation']
    keys = target.files()
    for words in ([target.url], ['-config', cfg, db]):
        assert column(walback.run('generations', *words, env=target.env).ok().out, 1) == [generation]
        assert column(walback.run('snapshots', *words, env=target.env).ok().out, 1) == [generation]
        assert len(column(walback.run('wal', *words, env=target.env).ok().out, 1)) == \
            len([k for k in keys if '/wal/' in k])
        out = tmp_path / f'{len(words)}.db'
        walback.run('restore', '-o', out, *words, env=target.env).ok()
        sqlite.assert_same_pages(sqlite.settled_copy(db, tmp_path / 'want.db'), out)
    # What begins alike is another place.
    other = place(name[:-1])
    walback.run('restore', '-o', tmp_path / 'none.db', other.url, env=other.env).fails(10)
