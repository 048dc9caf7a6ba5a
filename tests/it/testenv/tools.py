# SPDX-License-Identifier: Apache-2.0
"""Finds the programs that scripts/dev/test-tools.sh installs."""
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOOLS = Path(os.environ.get('WALBACK_TOOLS') or Path.home() / '.cache/walback/tools')
# In CI a missing server is a failure, not a skip: names separated by commas.
REQUIRED = set(filter(None, os.environ.get('WALBACK_REQUIRE', '').split(',')))


def find(name):
    """The tool's path, or None."""
    path = TOOLS / 'bin' / name
    return str(path) if os.access(path, os.X_OK) else shutil.which(name)


def need(name):
    """The tool's path; skips the test (fails it where the tool is required) without it."""
    path = find(name)
    if path:
        return path
    reason = f'{name} is not installed (scripts/dev/test-tools.sh installs it)'
    if name in REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


def binary():
    """The program under test, absolute."""
    path = Path(os.environ.get('WALBACK_BIN') or ROOT / 'build/release/walback').resolve()
    if not os.access(path, os.X_OK):
        pytest.fail(f'{path} is not there: run make first, or set WALBACK_BIN')
    return str(path)
