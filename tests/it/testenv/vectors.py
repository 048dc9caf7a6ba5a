# SPDX-License-Identifier: Apache-2.0
"""Replicas in tests/data: copies with their object times set, and damaged ones."""
import calendar
import json
import os
import shutil
import time

from .tools import ROOT

DATA = ROOT / 'tests/data'


def nanoseconds(text):
    """'2026-11-21T00:20:34.468070454Z' as nanoseconds since 1970."""
    whole, _, fraction = text.rstrip('Z').partition('.')
    return (calendar.timegm(time.strptime(whole, '%Y-%m-%dT%H:%M:%S')) * 10**9 +
            int((fraction + '0' * 9)[:9]))


def expect(kind, fixture):
    return json.loads((DATA / kind / fixture / 'expect.json').read_text())


def copy(kind, fixture, folder):
    """The fixture's replica at folder, with its times: git keeps none."""
    shutil.copytree(DATA / kind / fixture / 'replica', folder)
    for path, when in expect(kind, fixture)['mtimes'].items():
        os.utime(folder / path, ns=(nanoseconds(when), nanoseconds(when)))
    return folder


def damage(folder, case):
    """Apply a case of damaged.json to a copy: changed files keep their time, new ones get the newest."""
    times = expect('litestream-v03', case['base'])['mtimes']
    newest = max(map(nanoseconds, times.values()))
    for step in case['mutation']:
        path = folder / step['path']
        when = nanoseconds(times[step['path']]) if step['path'] in times else newest
        if step['op'] == 'delete':
            path.unlink()
            continue
        if step['op'] == 'truncate':
            os.truncate(path, step['size'])
        elif step['op'] == 'flip':
            body = bytearray(path.read_bytes())
            body[step['offset']] ^= step['xor']
            path.write_bytes(body)
        elif step['op'] == 'write':
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((DATA / 'litestream-v03' / step['from']).read_bytes())
        elif step['op'] == 'rename':
            path = path.rename(folder / step['to'])
        else:
            raise ValueError(step['op'])
        os.utime(path, ns=(when, when))
