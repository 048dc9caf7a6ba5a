# SPDX-License-Identifier: Apache-2.0
"""make install, uninstall and dist."""
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from testenv import tools

ROOT = Path(__file__).resolve().parents[2]


def make(*words, where=ROOT):
    # The program is there already, with whatever flags: it is not to be built again.
    exe = Path(tools.binary()).resolve()
    keep = ['-o', f'build/{exe.parent.name}/walback', f'MODE={exe.parent.name}']
    return subprocess.run(['make', '-s', *keep, *words], cwd=where, check=True, capture_output=True, text=True,
                          timeout=60).stdout


def test_install_below_destdir_and_uninstall(tmp_path):
    if Path(tools.binary()).resolve().parents[1] != ROOT / 'build':
        pytest.skip('the program under test was not built here')
    where = [f'DESTDIR={tmp_path}', 'PREFIX=/usr']
    make('install', *where)
    got = {str(p.relative_to(tmp_path)): stat.S_IMODE(p.stat().st_mode) for p in tmp_path.rglob('*') if p.is_file()}
    assert got == {'usr/bin/walback': 0o755, 'usr/share/man/man1/walback.1': 0o644,
                   'usr/share/bash-completion/completions/walback': 0o644}
    make('uninstall', *where)
    assert not [p for p in tmp_path.rglob('*') if p.is_file()]


def test_a_tarball_knows_its_version_also_inside_another_repository(tmp_path):
    if not (ROOT / '.git').exists():
        pytest.skip('not a clone')
    version = make('--eval=say:;@echo $(DIST)', 'say').strip()
    make('dist')
    with tarfile.open(ROOT / 'build' / f'walback-{version}.tar.gz') as t:
        names = t.getnames()
        t.extractall(tmp_path)
    assert names.count(f'walback-{version}/VERSION') == 1
    git = ['git', '-c', 'user.name=x', '-c', 'user.email=x@localhost']
    for words in (['init', '-q'], ['commit', '-q', '--allow-empty', '-m', 'x'], ['tag', 'v77.0']):
        subprocess.run([*git, *words], cwd=tmp_path, check=True, timeout=20)
    folder = tmp_path / f'walback-{version}'
    assert make('--eval=say:;@echo $(VERSION)', 'say', where=folder).strip() == version


def test_the_version_of_a_clone_is_its_tag(tmp_path):
    for name in ('Makefile', 'VERSION'):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())

    def version():
        return make('--eval=say:;@echo $(VERSION)', 'say', where=tmp_path).strip()

    git = ['git', '-c', 'user.name=x', '-c', 'user.email=x@localhost']
    assert version() == (ROOT / 'VERSION').read_text().strip()
    for words in (['init', '-q'], ['add', '.'], ['commit', '-q', '-m', 'x']):
        subprocess.run([*git, *words], cwd=tmp_path, check=True, timeout=20)
    assert version() == (ROOT / 'VERSION').read_text().strip()      # no tag yet
    subprocess.run([*git, 'tag', 'v77.1.2'], cwd=tmp_path, check=True, timeout=20)
    assert version() == '77.1.2'
    (tmp_path / 'VERSION').write_text('0.0.0\n')
    assert version() == '77.1.2-dirty'
