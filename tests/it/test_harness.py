# SPDX-License-Identifier: Apache-2.0
"""The test environment itself: a harness that cannot tell right from wrong proves nothing."""
import sys
import time

import pytest

from testenv import fixtures, proc, s3, sqlite


def test_the_server_refuses_a_wrong_secret(versitygw, bucket):
    bucket.put('a b+c&d=e~f/ü', b'text')
    assert bucket.get('a b+c&d=e~f/ü') == b'text'
    assert bucket.list() == {'a b+c&d=e~f/ü': 4}
    wrong = s3.Client(versitygw.port, bucket.bucket, secret='no')
    with pytest.raises(s3.S3Error) as e:
        wrong.get('a b+c&d=e~f/ü')
    assert e.value.status == 403


def test_the_server_keeps_if_none_match(any_s3):
    bucket = any_s3.bucket()
    bucket.put('k', b'1', **{'If-None-Match': '*'})
    with pytest.raises(s3.S3Error) as e:
        bucket.put('k', b'2', **{'If-None-Match': '*'})
    assert e.value.status == 412
    assert bucket.get('k') == b'1'


def test_the_proxy_delays_cuts_and_refuses(s3_proxy, versitygw, bucket):
    through = s3.Client(s3_proxy.port, bucket.bucket)
    through.put('k', b'x' * 10000)
    s3_proxy.latency(200)
    t0 = time.monotonic()
    through.get('k')
    assert time.monotonic() - t0 > 0.19
    s3_proxy.down()
    with pytest.raises(OSError):
        through.get('k')
    s3_proxy.up()
    assert through.get('k') == b'x' * 10000


def test_page_comparison_sees_one_byte(db, tmp_path):
    other = tmp_path / 'other.db'
    sqlite.settled_copy(db, other)
    assert sqlite.differing_pages(other, sqlite.settled_copy(db, tmp_path / 'third.db')) == []
    with open(other, 'r+b') as f:
        f.seek(4096 + 77)
        b = f.read(1)
        f.seek(4096 + 77)
        f.write(bytes([b[0] ^ 1]))
    with pytest.raises(AssertionError, match=r'pages \[2\]'):
        sqlite.assert_same_pages(db, other)


def test_a_writer_names_what_it_committed(db, tmp_path):
    with sqlite.Writer(db, tmp_path) as w:
        w.wait_commits(30)
        w.kill()
    settled = sqlite.settled_copy(db, tmp_path / 'copy.db')
    top = sqlite.rows(settled, 'SELECT max(id) FROM t')[0][0]
    assert top >= w.committed()[-1]
    assert sqlite.integrity(settled) == 'ok'


def test_what_a_test_starts_ends_with_it(tmp_path):
    with proc.Proc([sys.executable, '-c', 'import time; time.sleep(60)'], tmp_path / 'log') as p:
        assert p.alive()
    assert p.p.returncode == -9
    with pytest.raises(AssertionError, match='no end within'):
        proc.run(['sleep', '60'], timeout=0.2)


def test_both_litestreams_round_trip(litestream03, litestream05, db, tmp_path):
    target = tmp_path / 'replica'
    with litestream03.replicate(db, target) as agent:
        c = sqlite.connect(db)
        sqlite.add_rows(c, 50, seed=2)
        proc.wait_until(lambda: list(target.rglob('*.wal.lz4')), 20, 'a WAL segment')
        time.sleep(1.5)
        c.close()
        agent.stop()
    for tool in (litestream03, litestream05):
        out = tmp_path / f'{tool.version}.db'
        tool.restore(db, target, out).ok()
        assert sqlite.rows(out, 'SELECT count(*) FROM t') == [(150,)]


def test_times_of_a_fixture_are_exact():
    assert fixtures.time_ns('1970-01-02T00:00:00.5Z') == 86400 * 10**9 + 5 * 10**8
