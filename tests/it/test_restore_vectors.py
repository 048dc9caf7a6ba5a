# SPDX-License-Identifier: Apache-2.0
"""restore against the checked-in replicas: every target, every damage."""
import hashlib
import json
import shutil

import pytest

from testenv import vectors, walback as wb

LITESTREAM = ['basic', 'multi-generation', 'pagesize-1024', 'pagesize-512', 'pagesize-65536', 'pruned', 'shrink']
OWN = ['zst-4096', 'zst-512', 'lz4-4096']
DAMAGED = json.loads((vectors.DATA / 'litestream-v03/damaged.json').read_text())['cases']

# What the program itself answers where Litestream 0.3.13 has an error.
NEWEST = 'newest'          # the state of the first target (the newest)
ENDS = {'end of this generation'}


class Replica:
    """Restores from a folder into fresh files."""

    def __init__(self, walback, folder):
        self.walback, self.target, self.n = walback, wb.file_target(folder), 0

    def restore(self, *args, **k):
        """(result, SHA-256 of the restored file or None); nothing else may be left behind."""
        self.n += 1
        folder = self.walback.folder / f'out{self.n}'
        folder.mkdir()
        out = folder / 'x.db'
        r = self.walback.restore(self.target, out, *args, **k)
        left = sorted(p.name for p in folder.iterdir())
        if not out.exists():
            assert left == [], f'left behind: {left}\n{r!r}'
            assert r.code != 0, repr(r)
            return r, None
        assert left == ['x.db'], f'left behind: {left}\n{r!r}'
        assert r.code == 0, repr(r)
        digest = hashlib.sha256(out.read_bytes()).hexdigest()
        shutil.rmtree(folder)
        return r, digest


@pytest.fixture
def replica_of(walback, tmp_path):
    def make(kind, fixture):
        return Replica(walback, vectors.copy(kind, fixture, tmp_path / 'replica'))
    return make


def own_answer(fixture, target, targets):
    """Exit status and SHA-256 for a target that is an error of Litestream's."""
    if target['note'] == 'an hour after the last object':
        return 0, targets[0]['sha256']
    if target['note'] in ('before the first object', 'index before the first snapshot'):
        return 10, None
    if fixture == 'pruned':          # older than the first snapshot that is left
        return 10, None
    assert fixture == 'multi-generation' and target['note'] == 'between two uploads'
    # Between two generations: the end of the older one.
    return 0, next(t['sha256'] for t in targets if t['note'] in ENDS)


@pytest.mark.parametrize('fixture', LITESTREAM)
def test_every_target_of_litestream(replica_of, fixture):
    replica = replica_of('litestream-v03', fixture)
    targets = vectors.expect('litestream-v03', fixture)['targets']
    for target in targets:
        code, want = (0, target['sha256']) if target.get('sha256') else own_answer(fixture, target, targets)
        r, got = replica.restore(*target['args'])
        assert (r.code, got) == (code, want), f'{target["note"]}\n{r!r}'
        if code == 10:
            assert 'code=before_first' in r.err and 'next: -timestamp ' in r.err, repr(r)
        if target['note'] == 'an hour after the last object':
            assert 'note: nothing is newer than ' in r.err, repr(r)
        if target['note'] == 'index beyond the last one':
            assert 'note: the newest index is ' in r.err, repr(r)


@pytest.mark.parametrize('fixture', OWN)
def test_every_transaction_of_our_own_format(replica_of, fixture):
    replica = replica_of('walback', fixture)
    expect = vectors.expect('walback', fixture)
    r, got = replica.restore()
    assert got == expect['latest'], repr(r)
    assert 'proven page for page' in r.err
    last = {(t['generation'], t['time']): t for t in expect['transactions']}
    for t in expect['transactions']:
        position = f'{t["index"]:x}:{t["offset"]:x}'
        r, got = replica.restore('-generation', t['generation'], '-position', position)
        assert got == t['sha256'], f'{t}\n{r!r}'
        if last[t['generation'], t['time']] is t:
            r, got = replica.restore('-timestamp', t['time'])
            assert got == t['sha256'], f'{t}\n{r!r}'
            r, got = replica.restore('-timestamp', t['time'], '-generation', t['generation'])
            assert got == t['sha256'], f'{t}\n{r!r}'


@pytest.mark.parametrize('fixture', OWN)
def test_the_end_of_each_index_of_our_own_format(replica_of, fixture):
    replica = replica_of('walback', fixture)
    transactions = vectors.expect('walback', fixture)['transactions']
    for generation in {t['generation'] for t in transactions}:
        mine = [t for t in transactions if t['generation'] == generation]
        for index in range(mine[-1]['index'] + 1):
            want = [t for t in mine if t['index'] <= index][-1]
            r, got = replica.restore('-generation', generation, '-index', f'0x{index:x}')
            if r.code == 13:    # inside the second snapshot's own WAL, and the first one is gone: never here
                pytest.fail(repr(r))
            assert got == want['sha256'], f'{generation} {index}\n{r!r}'


def test_our_own_format_without_times_of_the_store(walback, tmp_path):
    """A copy that lost its times: ours are in the objects."""
    shutil.copytree(vectors.DATA / 'walback/zst-512/replica', tmp_path / 'replica')
    replica = Replica(walback, tmp_path / 'replica')
    transactions = vectors.expect('walback', 'zst-512')['transactions']
    last = {(t['generation'], t['time']): t for t in transactions}
    for t in last.values():
        r, got = replica.restore('-timestamp', t['time'])
        assert got == t['sha256'], f'{t}\n{r!r}'


def test_a_position_inside_a_transaction_names_the_nearest_two(replica_of):
    replica = replica_of('walback', 'zst-4096')
    r, _ = replica.restore('-generation', '59b54de49c0d7aa9', '-position', '0:70c9')
    r.fails(2)
    assert 'nearest are 00000000:000060b0 and 00000000:000080e0' in r.err
    r, _ = replica.restore('-position', '77:20')
    r.fails(2)
    assert 'nearest is 00000001:000da478' in r.err


def test_moments_before_the_first_and_after_the_last(replica_of):
    replica = replica_of('walback', 'zst-4096')
    r, _ = replica.restore('-timestamp', '2024-01-02T03:04:05.122Z')
    r.fails(10)
    assert '2024-01-02T03:04:05.123Z' in r.err
    r, got = replica.restore('-timestamp', '2031-01-01T00:00:00Z')
    assert got == vectors.expect('walback', 'zst-4096')['latest']
    assert 'note: nothing is newer than 2024-01-02T03:09:05.845Z' in r.err


# A lost tail, and an altered snapshot with no older one: no reader can see these from the replica alone.
UNSEEN = {'missing-newest-segment', 'missing-whole-last-index', 'all-segments-missing'}
# Not the newest state that was, but all that is whole, and it says so.
LESS = {
    'valid-lz4-cut-at-a-frame-newest': ('note: the newest transaction is incomplete', None),
    'newest-generation-without-snapshot':
        ('8aee5bfb1a754143 is newer but has no snapshot',
         'cc0948dbb5f9eebec462d78c78411f7beba2f869f6a313fcbb1f8c4f42ded68a'),
}
# Litestream fails or goes wrong there; here the good data is found.
RESCUED = {
    'segment-twice-under-next-offset', 'longer-segment-overlaps-next', 'longer-segment-overlaps-next-in-last-index',
    'segment-name-16-digit-offset', 'segment-as-two-lz4-frames', 'leftover-below-snapshot-without-offset-0',
    'newest-snapshot-truncated', 'newest-snapshot-valid-lz4-flipped-page-byte',
    'newest-generation-is-an-empty-segment-only',
}


def test_all_cases_of_damage_are_here():
    names = [case['name'] for case in DAMAGED]
    assert len(names) == len(set(names)) == 79
    assert UNSEEN | set(LESS) | RESCUED <= set(names)


@pytest.mark.parametrize('case', DAMAGED, ids=lambda c: c['name'])
def test_damage_is_never_restored_in_silence(replica_of, case):
    replica = replica_of('litestream-v03', case['base'])
    vectors.damage(replica.target.folder, case)
    whole = vectors.expect('litestream-v03', case['base'])['targets'][0]['sha256']
    r, got = replica.restore()
    name = case['name']
    if case['litestream_result'] == 'ok_same' or name in RESCUED:
        assert got == whole, repr(r)
    elif name in UNSEEN:
        assert got == case['result_sha256'], repr(r)
    elif name in LESS:
        words, want = LESS[name]
        assert words in r.err and got == (want or case['result_sha256']), repr(r)
    else:
        r.fails(13)
        first = next(line for line in r.err.splitlines() if line.startswith('walback: '))
        assert '(code=' in first and r.err.splitlines()[-1].startswith('  next: '), repr(r)


def test_the_hints_of_a_gap_lead_to_provable_states(replica_of):
    case = next(c for c in DAMAGED if c['name'] == 'missing-middle-segment')
    replica = replica_of('litestream-v03', 'basic')
    vectors.damage(replica.target.folder, case)
    r, _ = replica.restore()
    r.fails(13)
    assert 'WAL 00000001 is missing from 0x273c8 on' in r.err
    assert ('next: -timestamp 2026-11-21T00:20:36.934Z (loses 2.7s), '
            'or -generation c78ceaa43e5d01e4 -index 0') in r.err
    r, got = replica.restore('-timestamp', '2026-11-21T00:20:36.934Z')
    assert got is not None, repr(r)
    r, got = replica.restore('-generation', 'c78ceaa43e5d01e4', '-index', '0')
    assert got == vectors.expect('litestream-v03', 'basic')['targets'][1]['sha256']


def flip(path, offset):
    body = bytearray(path.read_bytes())
    body[offset] ^= 0x40
    path.write_bytes(body)


@pytest.mark.parametrize('fixture', OWN)
def test_any_flipped_byte_of_our_own_format_is_seen(walback, tmp_path, fixture):
    """Each object of the head's generation in turn, a byte in its middle and one in its trailer."""
    replica = Replica(walback, vectors.copy('walback', fixture, tmp_path / 'replica'))
    expect = vectors.expect('walback', fixture)
    folder = replica.target.folder / 'generations' / expect['head']
    for path in sorted(p for p in folder.rglob('*.*') if p.suffix in ('.zst', '.lz4')):
        whole = path.read_bytes()
        for offset in (len(whole) // 3, len(whole) - 30, len(whole) - 3):
            flip(path, offset)
            r, got = replica.restore()
            assert r.code == 13 and got is None, f'{path.name} byte {offset}\n{r!r}'
            path.write_bytes(whole)


def test_a_missing_object_of_our_own_format_is_seen(walback, tmp_path):
    replica = Replica(walback, vectors.copy('walback', 'zst-512', tmp_path / 'replica'))
    expect = vectors.expect('walback', 'zst-512')
    wal = replica.target.folder / 'generations' / expect['head'] / 'wal'
    names = sorted(p.name for p in wal.iterdir())
    # An empty claim at an index's end carries nothing, and the newest object is a tail that nobody can miss.
    names = [n for n in names[:-1] if n != '00000000_00000238.wal.zst']
    for name in names:
        body = (wal / name).read_bytes()
        (wal / name).unlink()
        r, got = replica.restore()
        assert r.code == 13 and got is None, f'{name}\n{r!r}'
        (wal / name).write_bytes(body)


def test_a_damaged_newer_snapshot_is_gone_round(walback, tmp_path):
    replica = Replica(walback, vectors.copy('walback', 'zst-4096', tmp_path / 'replica'))
    parent = '59b54de49c0d7aa9'
    end = [t for t in vectors.expect('walback', 'zst-4096')['transactions'] if t['generation'] == parent][-1]
    flip(replica.target.folder / 'generations' / parent / 'snapshots/00000002.snapshot.zst', 3000)
    r, got = replica.restore('-generation', parent)
    assert got == end['sha256'], repr(r)
    assert 'restored from generations/59b54de49c0d7aa9/snapshots/00000000.snapshot.zst instead' in r.err


def test_two_writers_at_one_position_are_named(walback, tmp_path):
    replica = Replica(walback, vectors.copy('walback', 'zst-512', tmp_path / 'replica'))
    wal = replica.target.folder / 'generations' / vectors.expect('walback', 'zst-512')['head'] / 'wal'
    other = wal / '00000001_000010e0-0011223344556677.wal.zst'
    shutil.copy(wal / '00000001_000010e0.wal.zst', other)
    r, _ = replica.restore()
    r.fails(13)
    assert 'code=two_writers' in r.err and other.name in r.err and '00000001_000010e0.wal.zst' in r.err


def test_what_only_litestream_05_can_read_is_named(walback, tmp_path):
    replica = Replica(walback, vectors.copy('litestream-v05', 'shrink', tmp_path / 'replica'))
    r, _ = replica.restore()
    r.fails(13)
    assert 'LTX files of Litestream 0.5' in r.err and 'code=ltx_only' in r.err
    # The same in the layout of S3 buckets.
    for level in list((replica.target.folder / 'ltx').iterdir()):
        level.rename(replica.target.folder / f'000{level.name}')
    (replica.target.folder / 'ltx').rmdir()
    r, _ = replica.restore()
    r.fails(13)


def test_newer_litestream_05_files_beside_are_not_ignored(walback, tmp_path):
    folder = vectors.copy('litestream-v03', 'basic', tmp_path / 'replica')
    shutil.copytree(vectors.DATA / 'litestream-v05/shrink/replica/ltx', folder / 'ltx')
    replica = Replica(walback, folder)
    r, _ = replica.restore()
    r.fails(16)
    r, got = replica.restore('-generation', 'c78ceaa43e5d01e4')
    assert got == vectors.expect('litestream-v03', 'basic')['targets'][0]['sha256']


def test_a_litestream_that_wrote_after_head_stops_the_restore(walback, tmp_path):
    folder = vectors.copy('walback', 'lz4-4096', tmp_path / 'replica')
    generation = vectors.DATA / 'litestream-v03/basic/replica/generations/c78ceaa43e5d01e4'
    shutil.copytree(generation, folder / 'generations/c78ceaa43e5d01e4')
    replica = Replica(walback, folder)
    r, _ = replica.restore()
    r.fails(16)
    assert 'code=stale_head' in r.err and 'c78ceaa43e5d01e4' in r.err and 'df17df5ccaa96b0b' in r.err
    r, got = replica.restore('-generation', 'df17df5ccaa96b0b')
    assert got == vectors.expect('walback', 'lz4-4096')['latest']


def test_litestream_trees_restore_from_s3(walback, any_s3_replica):
    folder = vectors.DATA / 'litestream-v03/shrink/replica'
    for path in folder.rglob('*.lz4'):
        any_s3_replica.write(path.relative_to(folder).as_posix(), path.read_bytes())
    out = walback.folder / 'x.db'
    walback.restore(any_s3_replica, out).ok()
    want = vectors.expect('litestream-v03', 'shrink')['targets'][0]['sha256']
    assert hashlib.sha256(out.read_bytes()).hexdigest() == want


@pytest.mark.parametrize('kind, fixture', [('litestream-v03', f) for f in LITESTREAM] + [('walback', f) for f in OWN])
def test_every_fixture_restores_from_s3(walback, s3_replica, kind, fixture):
    """The newest state, its objects put in the order of their times."""
    folder, expect = vectors.DATA / kind / fixture / 'replica', vectors.expect(kind, fixture)
    for path in sorted(expect['mtimes'], key=lambda p: vectors.nanoseconds(expect['mtimes'][p])):
        s3_replica.write(path, (folder / path).read_bytes())
    assert len(s3_replica.files()) == len([p for p in folder.rglob('*') if p.is_file()])
    out = walback.folder / 'x.db'
    walback.restore(s3_replica, out).ok()
    want = expect['latest'] if kind == 'walback' else expect['targets'][0]['sha256']
    assert hashlib.sha256(out.read_bytes()).hexdigest() == want
    if kind == 'walback':
        t = expect['transactions'][len(expect['transactions']) // 2]
        walback.restore(s3_replica, walback.folder / 'y.db', '-generation', t['generation'], '-position',
                        f'{t["index"]:x}:{t["offset"]:x}').ok()
        assert hashlib.sha256((walback.folder / 'y.db').read_bytes()).hexdigest() == t['sha256']
