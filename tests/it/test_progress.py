# SPDX-License-Identifier: Apache-2.0
"""What a person at a terminal sees of a long transfer: percent, speed, time left."""
import os
import pty
import re
import select
import subprocess
import time

import pytest

from testenv import proc, sqlite

BAR = re.compile(rb'\[=*>? *\] +(\d+)%  [\d.]+ [kMG]?B/s  (\S+) left')


def at_terminal(walback, words, env, until=None, timeout=60):
    """What the command shows on a terminal up to its end; SIGTERM once `until` was seen."""
    main, side = pty.openpty()
    # Bars are for stderr: stdout goes elsewhere.
    with subprocess.Popen([str(x) for x in (walback.exe, *words)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=side, env={**proc.clean_env(), 'TERM': 'xterm', **env}) as p:
        os.close(side)
        seen, end, asked = b'', time.monotonic() + timeout, False
        try:
            while True:
                assert time.monotonic() < end, seen
                if select.select([main], [], [], 0.2)[0]:
                    try:
                        seen += os.read(main, 4096)
                    except OSError:         # everybody has closed it
                        break
                if until and not asked and until(seen):
                    p.terminate()
                    asked = True
            return p.wait(timeout), seen
        finally:
            p.kill()
            os.close(main)


@pytest.fixture
def large(tmp_path):
    """24 MB that do not compress."""
    db = sqlite.create(tmp_path / 'large.db', rows=1)
    conn = sqlite.connect(db)
    conn.execute('CREATE TABLE big(b BLOB)')
    conn.execute('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<24)'
                 ' INSERT INTO big SELECT randomblob(1000000) FROM n')
    conn.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    conn.close()
    return db


def test_the_first_snapshot_and_a_restore_tell_how_far_they_are(walback, proxied_replica, s3_proxy, large, tmp_path):
    target = proxied_replica
    slow = s3_proxy.toxic('bandwidth', 'upstream', rate=8000)
    words = ['replicate', '-log-level', 'error', '-stop-timeout', '30s', large, target.url]

    def stored(seen):
        return BAR.search(seen) and any('/snapshots/' in k for k in target.files())

    code, seen = at_terminal(walback, words, target.env, stored)
    percents = [int(m[1]) for m in BAR.finditer(seen)]
    assert code == 0, seen
    assert len(percents) > 1 and percents == sorted(percents) and percents[0] < 100, seen
    assert seen.endswith(b'\r\033[K'), seen[-200:]
    s3_proxy.remove(slow)

    s3_proxy.toxic('bandwidth', 'downstream', rate=1500)          # of each connection
    out = tmp_path / 'out.db'
    code, seen = at_terminal(walback, ['restore', '-o', out, target.url], target.env)
    assert code == 0, seen
    percents = [int(m[1]) for m in BAR.finditer(seen)]
    assert len(percents) > 1 and percents == sorted(percents) and percents[0] < 100, seen
    out.unlink()
    for words, env in ((['-quiet'], {}), ([], {'NO_COLOR': '1'}), ([], {'TERM': 'dumb'})):
        code, seen = at_terminal(walback, ['restore', '-o', out, *words, target.url], {**target.env, **env})
        assert code == 0 and b'\033' not in seen and b'% ' not in seen, seen
        out.unlink()


def test_no_bar_where_the_app_has_the_terminal(walback, proxied_replica, s3_proxy, large):
    target = proxied_replica
    s3_proxy.toxic('bandwidth', 'upstream', rate=12000)
    for words in (['run', '-db', large, '-replica-url', target.url, '-wait-for-sync', '60s', '-stop-timeout', '30s', '--',
                   'true'],
                  ['replicate', '-stop-timeout', '30s', '-exec', 'sleep 2', large, target.url]):
        code, seen = at_terminal(walback, words, target.env)
        assert code == 0 and not BAR.search(seen) and b'\033' not in seen, seen


def test_the_restore_at_a_start_tells_how_far_it_is_unless_quiet(walback, proxied_replica, s3_proxy, large):
    target = proxied_replica
    words = ['-db', large, '-replica-url', target.url, '-wait-for-sync', '60s', '-stop-timeout', '30s', '--', 'true']
    walback.run('run', *words, env=target.env).ok()
    s3_proxy.toxic('bandwidth', 'downstream', rate=1500)        # of each connection
    for quiet in ([], ['-quiet']):
        for path in large.parent.glob(f'{large.name}*'):
            path.unlink()
        code, seen = at_terminal(walback, ['run', *quiet, *words], target.env)
        assert code == 0 and large.exists(), seen
        assert bool(BAR.search(seen)) == (not quiet), seen
