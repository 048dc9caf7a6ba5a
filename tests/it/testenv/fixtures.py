# SPDX-License-Identifier: Apache-2.0
"""Copies of the checked-in replicas below tests/data, with the file times that git does not keep."""
import json
import os
import shutil
from datetime import datetime, timezone
from pathlib import Path

from .tools import ROOT

DATA = ROOT / 'tests/data'


def expect(fixture):
    """expect.json of tests/data/<fixture>."""
    return json.loads((DATA / fixture / 'expect.json').read_text())


def time_ns(text):
    """'2026-11-01T10:00:00.123456789Z' as nanoseconds since 1970."""
    whole, _, fraction = text.rstrip('Z').partition('.')
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=timezone.utc).timestamp())
    return seconds * 10**9 + int((fraction + '000000000')[:9])


def set_times(replica, mtimes):
    """Set the times of a copied replica; mtimes is the map of expect.json."""
    for rel, text in mtimes.items():
        path = Path(replica) / rel
        if path.exists():
            os.utime(path, ns=(time_ns(text), time_ns(text)))


def replica(fixture, target):
    """tests/data/<fixture>/replica copied to target, times set; the folder's path."""
    target = Path(target)
    shutil.copytree(DATA / fixture / 'replica', target)
    set_times(target, expect(fixture).get('mtimes', {}))
    return target
