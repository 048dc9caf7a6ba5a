# SPDX-License-Identifier: Apache-2.0
"""The n-th write, fsync, rename, link, ... fails, or kills the process (tests/fault/fault.c)."""
import errno
import os
import struct
from pathlib import Path

import pytest

from .tools import ROOT

KINDS = ('read', 'write', 'fsync', 'rename', 'link', 'unlink', 'truncate', 'create')


def library():
    path = Path(os.environ.get('WALBACK_FAULT_LIB') or ROOT / 'build/release/tests/fault/fault.so')
    if not path.exists():
        pytest.fail(f'{path} is not there: make it-build')
    return str(path)


def trace_env(path, part=None):
    """The environment of a program whose calls on paths with that part get a line each in a file."""
    env = {'LD_PRELOAD': library(), 'FAULT_TRACE': path, 'ASAN_OPTIONS': 'verify_asan_link_order=0'}
    return dict(env, FAULT_PATH=part) if part else env


def traced(path):
    """[(kind, path, old path or '')] in the order of the calls."""
    return [tuple(line.split('\t')) for line in Path(path).read_text().splitlines()]


class Fault:
    """One planned fault; env() for the process, count() calls seen so far (all processes together)."""

    def __init__(self, folder, call, nth, how=errno.EIO, path=None, times=1):
        assert call in KINDS
        self.state = Path(folder) / f'fault-{call}-{nth}-{how}'
        self.state.unlink(missing_ok=True)
        self.call, self.nth, self.how, self.path, self.times = call, nth, how, path, times
        self.flag = None

    @classmethod
    def always(cls, folder, call, how, path):
        """Every such call from begin() until over()."""
        f = cls(folder, call, 1, how, path, times=1 << 60)
        f.flag = Path(folder) / f'fault-{call}-{how}.while'
        f.flag.unlink(missing_ok=True)
        return f

    def begin(self):
        self.flag.touch()
        return self

    def over(self):
        self.flag.unlink()

    def env(self):
        e = {'LD_PRELOAD': library(), 'FAULT_CALL': self.call, 'FAULT_NTH': self.nth, 'FAULT_ERRNO': self.how,
             'FAULT_TIMES': self.times, 'FAULT_STATE': self.state,
             # Of a sanitized program: its runtime need not come before ours.
             'ASAN_OPTIONS': 'verify_asan_link_order=0'}
        if self.path:
            e['FAULT_PATH'] = self.path
        if self.flag:
            e['FAULT_WHILE'] = self.flag
        return e

    def count(self):
        return struct.unpack('@Q', self.state.read_bytes()[:8])[0] if self.state.exists() else 0

    def happened(self):
        return self.count() >= self.nth > 0
