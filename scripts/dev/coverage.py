#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Line coverage of build/coverage against the floors in tests/coverage-floors.

  scripts/dev/coverage.py            a table of folders; exit 1 when one is below its floor
  scripts/dev/coverage.py -v         every file as well
  scripts/dev/coverage.py FILE.c...  the lines of these files that nothing ran

A file that no test links counts with 0: what counts is every .c of the product, not every .gcda.
"""
import json
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / 'build/coverage'
FLOORS = ROOT / 'tests/coverage-floors'


def floors():
    lines = (x.split('#')[0].split() for x in FLOORS.read_text().splitlines())
    return {f[0]: float(f[1]) for f in lines if f}


def gcov(note):
    """{file: {line: count}} of one object."""
    data = note.with_suffix('.gcda')
    out = subprocess.run(['gcov', '--json-format', '--stdout', '--object-directory', note.parent,
                          data if data.exists() else note], cwd=ROOT, capture_output=True, timeout=120)
    result = defaultdict(dict)
    for text in out.stdout.splitlines():
        if not text.startswith(b'{'):
            continue
        for f in json.loads(text)['files']:
            name = f['file']
            if name.startswith('/'):
                if not Path(name).is_relative_to(ROOT):
                    continue
                name = str(Path(name).relative_to(ROOT))
            lines = result[name]
            for line in f['lines']:
                n = line['line_number']
                lines[n] = max(lines.get(n, 0), line['count'])
    return result


def measure(folders):
    """{file: {line: count}} over all product files."""
    sources = [p for d in folders for p in sorted((ROOT / d).rglob('*.c'))]
    notes = [BUILD / p.relative_to(ROOT).with_suffix('.gcno') for p in sources]
    absent = [str(n.relative_to(BUILD)) for n in notes if not n.exists()]
    if absent:
        sys.exit(f'coverage.py: not compiled: {" ".join(absent)}: run `make coverage`')
    total = defaultdict(dict)
    with ThreadPoolExecutor(2) as pool:
        for part in pool.map(gcov, notes):
            for name, lines in part.items():
                for n, count in lines.items():
                    total[name][n] = total[name].get(n, 0) + count
    for p in sources:
        total[str(p.relative_to(ROOT))]     # a file of tables alone has no line to cover
    return total


def percent(lines):
    return 100.0 * sum(1 for c in lines.values() if c) / len(lines) if lines else 100.0


def ranges(numbers):
    """'3-5 9' for 3 4 5 9."""
    out = []
    for n in sorted(numbers):
        if out and out[-1][1] == n - 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return ' '.join(f'{a}-{b}' if a != b else str(a) for a, b in out)


def main():
    floor = floors()
    total = measure(floor)
    wanted = [a for a in sys.argv[1:] if not a.startswith('-')]
    for name in wanted:
        print(f'{name}: {percent(total[name]):.1f} %; not run: '
              f'{ranges(n for n, c in total[name].items() if not c)}')
    if wanted:
        return 0
    low = 0
    for folder, least in floor.items():
        files = {n: x for n, x in total.items() if n.split('/')[0] == folder}
        if not files:
            continue
        lines = {(n, k): c for n, x in files.items() for k, c in x.items()}
        have = percent(lines)
        low += have < least
        print(f'{folder:6} {have:5.1f} %  floor {least:.0f}  {len(lines)} lines'
              f'{"  BELOW THE FLOOR" if have < least else ""}')
        for name in sorted(files, key=lambda n: percent(files[n])):
            if '-v' in sys.argv or (have < least and percent(files[name]) < least):
                missing = ranges(n for n, c in files[name].items() if not c)
                print(f'   {percent(files[name]):5.1f} %  {name}  {missing[:200]}')
    return 1 if low else 0


if __name__ == '__main__':
    sys.exit(main())
