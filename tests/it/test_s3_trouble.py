# SPDX-License-Identifier: Apache-2.0
"""Stores in trouble: what is replicated and restored is right all the same, nothing is asked more often than
it helps, and a failure that stays is said in one line with the right exit status."""
import re
import threading
import time

import pytest

from testenv import proc, sqlite, walback as wb

FLAKY = {
    '500': {'status': 500},
    '503': {'status': 503, 'code': 'SlowDown'},
    'reset': {'drop': 'before'},
    'reset-after': {'drop': 'after'},
    'cut': {'cut': 0.5},
}


@pytest.fixture
def target(fake_s3):
    return wb.s3_target(fake_s3, fake_s3.bucket())


def replicated(walback, fake, target, db, commits=120):
    """An agent's whole life under whatever faults are set: (its log, its number of requests)."""
    before = len(fake.seen)
    with walback.replicate(db, target, {'sync-interval': '20ms'}) as agent:
        agent.wait_log('generation begun', 60)
        conn = sqlite.connect(db)
        for n in range(commits):
            sqlite.add_rows(conn, 1, seed=n)
            time.sleep(0.01)
        conn.close()
        assert agent.stop(60) == 0, agent.text()
        return agent.text(), len(fake.seen) - before


@pytest.mark.parametrize('what', sorted(FLAKY))
def test_a_tenth_of_all_requests_fails(walback, fake_s3, target, db, tmp_path, what):
    calm = replicated(walback, fake_s3, target, db)[1]
    fake_s3.fault(probability=0.1, seed=5, **FLAKY[what])
    text, asked = replicated(walback, fake_s3, target, db)
    assert text.count('generation begun') == 1, text
    assert asked < calm * 1.5 + 20, f'{asked} requests, {calm} without faults'
    walback.restore_and_check(target, tmp_path / 'out.db', db)


def test_everything_fails_now_and_then(walback, fake_s3, target, db, tmp_path):
    for n, fault in enumerate(FLAKY.values()):
        fake_s3.fault(probability=0.04, seed=n, **fault)
    text, _ = replicated(walback, fake_s3, target, db, 200)
    assert text.count('generation begun') == 1, text
    for n in range(2):
        walback.restore_and_check(target, tmp_path / f'out{n}.db', db)


def test_our_own_first_attempt_is_no_other_writer(walback, fake_s3, target, db, tmp_path):
    """Each first PUT has its effect and no answer: the second one meets what the first one wrote."""
    fake_s3.fault(method='PUT', once_a_key=True, drop='after')
    text, _ = replicated(walback, fake_s3, target, db, 20)
    assert text.count('generation begun') == 1 and 'superseded' not in text, text
    walback.restore_and_check(target, tmp_path / 'out.db', db)


def test_a_throttled_store_is_left_alone_for_as_long_as_it_says(walback, fake_s3, target, db, tmp_path):
    replicated(walback, fake_s3, target, db, 5)
    fake_s3.fault(status=503, code='SlowDown', headers={'Retry-After': '2'}, key='snapshots/', times=1)
    r = walback.restore(target, tmp_path / 'out.db').ok()
    assert r.seconds >= 2, r
    sqlite.assert_same_pages(sqlite.settled_copy(db, tmp_path / 'source.db'), tmp_path / 'out.db')


def test_a_clock_that_is_off_is_learnt(walback, fake_s3, target, db, tmp_path):
    fake_s3.clock_offset = 3 * 3600
    text, _ = replicated(walback, fake_s3, target, db, 5)
    assert "the store's clock differs" in text, text
    fake_s3.clock_offset = -3 * 3600
    r = walback.restore(target, tmp_path / 'out.db').ok()
    assert r.err.count("the store's clock differs") == 1, r


def test_a_completed_upload_that_says_otherwise_is_tried_again(walback, fake_s3, target, tmp_path):
    """CompleteMultipartUpload may answer 200 and fail in the body."""
    db = sqlite.create(tmp_path / 'large.db', rows=0)
    conn = sqlite.connect(db)
    for n in range(12):
        conn.execute('INSERT INTO t(b) VALUES (randomblob(3000000))')
    conn.close()
    fake_s3.fault(method='POST', key='snapshots/', in_200='InternalError', nth={2})
    text, _ = replicated(walback, fake_s3, target, db, 5)
    assert text.count('generation begun') == 1, text
    assert not fake_s3.uploads, 'an upload was left behind'
    walback.restore_and_check(target, tmp_path / 'out.db', db)


@pytest.mark.parametrize('fault, code, says', [
    ({'status': 403, 'code': 'AccessDenied'}, 12, 'AccessDenied'),
    ({'status': 403, 'code': 'InvalidAccessKeyId'}, 12, 'InvalidAccessKeyId'),
    ({'status': 403, 'code': 'SignatureDoesNotMatch'}, 12, 'SignatureDoesNotMatch'),
    ({'status': 400, 'code': 'ExpiredToken'}, 12, 'ExpiredToken'),
    ({'status': 404, 'code': 'NoSuchBucket'}, 11, 'NoSuchBucket'),
    ({'status': 200, 'body': b'<html>sign in</html>'}, 11, 'answered with <html>'),
])
def test_what_stays_wrong_is_said_once(walback, fake_s3, target, tmp_path, fault, code, says):
    fake_s3.fault(**fault)
    r = walback.restore(target, tmp_path / 'out.db', timeout=30).fails(code)
    assert says in r.err and r.err.count('walback: ') == 1, r
    assert r.seconds < 3 and 'testsecret' not in r.err, r


def test_writers_that_begin_at_the_same_moment(walback, fake_s3, target, tmp_path):
    """Conditional writes are one step here: each agent has a generation of its own, and head names one of them."""
    dbs = []
    for n in range(3):
        (tmp_path / f'host{n}').mkdir()
        dbs.append(sqlite.create(tmp_path / f'host{n}' / 'app.db', seed=n))
    agents = [None] * 3

    def begin(n):
        mine = wb.Walback(dbs[n].parent)
        agents[n] = mine.replicate(dbs[n], target)

    threads = [threading.Thread(target=begin, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for a in agents:
        a.wait_log('generation begun', 30)
    for a in agents:
        assert a.stop(60) == 0, a.text()
    begun = [re.findall(r'generation begun.* generation=([0-9a-f]{16})', a.text())[-1] for a in agents]
    assert len(set(begun)) == 3 and target.json('walback/head.json')['generation'] in begun, begun
    for d, generation in zip(dbs, begun):
        out = tmp_path / f'{generation}.db'
        walback.restore(target, out, '-generation', generation).ok()
        assert sqlite.rows(out) == sqlite.rows(d)
