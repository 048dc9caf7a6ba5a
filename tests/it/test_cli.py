# SPDX-License-Identifier: Apache-2.0
"""Words in, exit status out: commands, options, configuration as entry points use them."""
import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from testenv import proc, tools

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cfg(tmp_path):
    """A configuration with two databases, as Litestream's manual writes them."""
    path = tmp_path / 'litestream.yml'
    path.write_text('dbs:\n'
                    f'  - path: {tmp_path}/b.db\n    replicas:\n      - url: s3://bkt/b\n'
                    f'      - path: {tmp_path}/replica-b\n'
                    f'  - path: {tmp_path}/a.db\n    replicas:\n      - name: main\n        url: file://{tmp_path}/a\n')
    return path


def test_version_is_the_version_alone(walback):
    r = walback.run('version').ok()
    assert re.fullmatch(r'\d+\.\d+\.\d+\S*\n', r.out)
    assert r.err == ''
    for alias in (['--version'], ['-version'], ['version', '-v'], ['version', '--quiet']):
        assert walback.run(*alias).ok().out == r.out


def test_help_and_no_command(walback):
    r = walback.run()
    assert r.code == 2 and r.out.startswith('walback keeps SQLite databases safe') and r.err == ''
    for words in (['help'], ['-h'], ['--help'], ['help', '-help'], ['help', '-h']):
        assert walback.run(*words).ok().out == r.out
    for words in (['help', 'config'], ['config', '-h'], ['config', '--help'], ['config', '-help']):
        assert walback.run(*words).ok().out.startswith('usage: walback config [option...]\n')


@pytest.mark.parametrize('words, err', [
    (['frobnicate'], "walback: unknown command 'frobnicate'\n  next: walback help\n"),
    (['databses'], "walback: unknown command 'databses' (did you mean databases?)\n  next: walback help\n"),
    (['help', 'x'], "walback: unknown command 'x'\n  next: walback help\n"),
    (['databases', '--jsn'], 'walback: databases: unknown option --jsn (did you mean --json?)\n'
                             '  next: walback databases -help\n'),
    (['databases', 'x'], "walback: databases: too many arguments: 'x'\n  next: walback databases -help\n"),
    (['completion'], 'walback: completion: missing argument: bash\n  next: walback completion -help\n'),
    (['completion', 'fish'], "walback: no completion for 'fish'\n  next: walback completion bash\n"),
    (['config', '-config'], 'walback: -config: needs a value (PATH)\n  next: walback config -help\n'),
    (['config', '-config', '/nonexistent/x.yml'],
     'walback: configuration file not found: /nonexistent/x.yml (code=config_not_found)\n'),
    (['databases', '-log-level', 'loud'], "walback: -log-level: unknown value: 'loud'\n"
                                          '  next: one of debug|info|warn|error\n'),
])
def test_usage_errors_name_thing_and_remedy(walback, words, err):
    r = walback.run(*words).fails(2)
    assert r.out == ''
    assert r.err == err


def test_databases_prints_path_and_replicas_sorted(walback, cfg, tmp_path):
    width = len(f'{tmp_path}/a.db') + 2
    want = (f'{"path":{width}}replicas\n'
            f'{tmp_path}/a.db  main\n'
            f'{tmp_path}/b.db  s3,file\n')
    for words in (['-config', cfg], ['--config', cfg], [f'-config={cfg}', '-v'], ['-config', cfg, '-no-expand-env']):
        assert walback.run('databases', *words).ok().out == want
    assert walback.run('databases', env={'LITESTREAM_CONFIG': cfg}).ok().out == want
    assert walback.run('databases', env={'WALBACK_CONFIG': cfg}).ok().out == want
    doc = json.loads(walback.run('databases', '-config', cfg, '--json').ok().out)
    assert [d['path'] for d in doc['databases']] == [f'{tmp_path}/a.db', f'{tmp_path}/b.db']
    assert doc['databases'][1]['replicas'][0] == {'name': 's3', 'type': 's3', 'bucket': 'bkt', 'path': 'b'}


def test_an_empty_list_still_has_its_header(walback, tmp_path):
    empty = tmp_path / 'litestream.yml'
    empty.write_text('# nothing but comments\n')
    assert walback.run('databases', '-config', empty).ok().out == 'path  replicas\n'


def test_config_says_where_each_setting_comes_from(walback, tmp_path):
    cfg = tmp_path / 'walback.yml'
    cfg.write_text('dbs:\n- path: /d/a.db\n  replicas:\n  - url: s3://bkt/${P:-p}\n'
                   '    access-key-id: AKIAEXAMPLE0001\n    secret-access-key: wJalrSECRETSECRET\n')
    r = walback.run('config', '-config', cfg, '-log-level', 'warn', env={'WALBACK_RETENTION': '7d'}).ok()
    rows = {line.split()[0]: line.split()[1:] for line in r.out.splitlines()}
    assert rows['dbs[0].path'] == ['/d/a.db', f'{cfg}:2']
    assert rows['dbs[0].replicas[0].url'] == ['s3://bkt/p', f'{cfg}:4']
    assert rows['dbs[0].replicas[0].bucket'] == ['bkt', 'url']
    assert rows['dbs[0].replicas[0].retention'] == ['7d', 'WALBACK_RETENTION']
    assert rows['dbs[0].replicas[0].sync-interval'] == ['1s', 'default']
    assert rows['dbs[0].replicas[0].access-key-id'] == ['…0001', f'{cfg}:5']
    assert rows['dbs[0].replicas[0].secret-access-key'] == ['redacted', f'{cfg}:6']
    assert 'SECRET' not in r.out + r.err and 'AKIA' not in r.out + r.err
    doc = json.loads(walback.run('config', '-config', cfg, '-json').ok().out)
    assert doc['file'] == str(cfg)
    assert {'setting': 'dbs[0].path', 'value': '/d/a.db', 'from': f'{cfg}:2'} in doc['settings']
    assert 'SECRET' not in json.dumps(doc)


def test_config_with_the_environment_alone(walback):
    r = walback.run('config', env={'DB_PATH': '/d/a.db', 'BUCKET_NAME': 'b', 'AWS_REGION': 'auto',
                                   'AWS_ENDPOINT_URL_S3': 'https://fly.storage.tigris.dev',
                                   'AWS_ACCESS_KEY_ID': 'AKIAEXAMPLE0001', 'AWS_SECRET_ACCESS_KEY': 'hunter2'}).ok()
    rows = {line.split()[0]: line.split()[1:] for line in r.out.splitlines()}
    assert rows['dbs[0].path'] == ['/d/a.db', 'DB_PATH']
    assert rows['dbs[0].replicas[0].endpoint'] == ['https://fly.storage.tigris.dev', 'AWS_ENDPOINT_URL_S3']
    assert rows['dbs[0].replicas[0].access-key-id'] == ['…0001', 'AWS_ACCESS_KEY_ID']
    assert 'hunter2' not in r.out + r.err


def test_strict_turns_warnings_into_errors(walback, tmp_path):
    cfg = tmp_path / 'litestream.yml'
    cfg.write_text('dbs:\n- path: /a\n  replcas: []\n')
    r = walback.run('config', '-config', cfg).ok()
    assert f'level=WARN msg="unknown key in the configuration" file={cfg} line=3 key=replcas nearest=replicas' in r.err
    assert 'level=' not in walback.run('config', '-config', cfg, '-quiet', '-log-level', 'error').ok().err
    r = walback.run('config', '-config', cfg, '-strict').fails(2)
    assert r.err == (f"walback: {cfg}:3: unknown key 'replcas' (did you mean replicas?) (code=unknown_key)\n")


def test_a_hostile_file_cannot_drive_the_terminal(walback, tmp_path):
    cfg = tmp_path / 'litestream.yml'
    cfg.write_text('dbs:\n- path: /a\n  replica: {type: "\\e[2J\\ax"}\n')
    r = walback.run('config', '-config', cfg).fails(2)
    assert b'\x1b' not in r.stderr and b'\x07' not in r.stderr
    cfg.write_text('dbs:\n- path: "/a\\e[2J"\n')
    r = walback.run('databases', '-config', cfg).ok()
    assert b'\x1b' not in r.stdout


def test_a_full_disk_is_an_error_not_a_short_table(walback, cfg):
    with open('/dev/full', 'wb') as full:
        p = subprocess.run([walback.exe, 'databases', '-config', cfg], stdout=full, stderr=subprocess.PIPE,
                           env=proc.clean_env(), check=False, timeout=30)
    assert p.returncode == 1
    assert b'No space left on device' in p.stderr


def test_weight_only_on_a_terminal_that_wants_it(walback):
    def on_terminal(extra, *words):
        main, side = pty.openpty()
        try:
            p = subprocess.run([walback.exe, 'nope', *words], stdin=side, stdout=side, stderr=side,
                               env={**proc.clean_env(), 'TERM': 'xterm', **extra}, check=False, timeout=30)
            assert p.returncode == 2
            return os.read(main, 4096)
        finally:
            os.close(main)
            os.close(side)

    assert on_terminal({}).startswith(b'\x1b[1mwalback: ')
    assert on_terminal({'NO_COLOR': '1'}).startswith(b'walback: ')
    assert on_terminal({'TERM': 'dumb'}).startswith(b'walback: ')
    assert walback.run('nope').err.startswith('walback: ')


def complete(words):
    """What bash would offer for the last word."""
    script = (f'source {ROOT}/cmd/completion/walback.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              '_walback; printf "%s\\n" "${COMPREPLY[@]}"')
    p = subprocess.run(['bash', '-c', script, 'bash', *words], capture_output=True, text=True, check=True, timeout=30)
    return p.stdout.split()


def test_completion_script_is_the_one_checked_in(walback):
    assert walback.run('completion', 'bash').ok().out == (ROOT / 'cmd/completion/walback.bash').read_text()


def test_completion_offers_commands_options_and_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'some.db').touch()
    assert complete(['walback', 'dat']) == ['databases']
    assert complete(['walback', 'help', 'conf']) == ['config']
    assert '-strict' in complete(['walback', 'config', '-'])
    assert complete(['walback', 'config', '--str']) == ['-strict']
    assert complete(['walback', 'config', '-log-level', 'd']) == ['debug']
    assert complete(['walback', 'config', '-config', 'so']) == ['some.db']


@pytest.mark.timing
def test_version_costs_no_more_than_starting_the_libraries(tmp_path):
    """Within 1 ms of an empty program that is linked to the same libraries.  Processor time, the best
    of 40 each: the clock on the wall measures what else the machine does."""
    exe = tools.binary()
    libs = re.findall(r'=> (\S+) \(', subprocess.run(['ldd', exe], capture_output=True, text=True, check=True).stdout)
    source = tmp_path / 'empty.c'
    source.write_text('int main(void) { return 0; }\n')
    empty = tmp_path / 'empty'
    subprocess.run(['gcc', '-O2', '-pie', '-fPIE', '-o', empty, source, '-Wl,--no-as-needed', '-Wl,-z,now', *libs],
                   check=True, timeout=60)

    def cost_s(*args):
        pid = os.posix_spawn(args[0], args, dict(os.environ),
                             file_actions=[(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)])
        _, status, used = os.wait4(pid, 0)
        assert status == 0
        return used.ru_utime + used.ru_stime

    ours, theirs = [], []
    for _ in range(40):
        theirs.append(cost_s(str(empty)))
        ours.append(cost_s(str(exe), 'version'))
    difference_ms = (min(ours) - min(theirs)) * 1000
    print(f'version: {difference_ms:.3f} ms over an empty program')
    assert difference_ms < 1


def test_lists_work_with_the_environment_alone(walback, tmp_path):
    (tmp_path / 'r').mkdir()
    env = {'REPLICA_URL': f'file://{tmp_path}/r'}
    assert walback.run('generations', env=env).ok().out.split()[:5] == ['name', 'generation', 'lag', 'start', 'end']
    assert walback.run('snapshots', '-v', env=env).ok().out.split()[:5] == \
        ['replica', 'generation', 'index', 'size', 'created']
    assert walback.run('wal', f'file://{tmp_path}/r').ok().out.split()[:6] == \
        ['replica', 'generation', 'index', 'offset', 'size', 'created']
    # A database that is not there does not matter to a list, and one of a configuration is found by its path.
    cfg = tmp_path / 'litestream.yml'
    cfg.write_text(f'dbs:\n- path: {tmp_path}/none.db\n  replicas:\n  - path: {tmp_path}/r\n')
    walback.run('generations', '-config', cfg, f'{tmp_path}/none.db').ok()
    r = walback.run('generations', '-config', cfg, f'{tmp_path}/other.db').fails(2)
    assert r.err == (f'walback: database not found in the configuration: {tmp_path}/other.db (code=unknown_database)\n'
                     f'  next: known: {tmp_path}/none.db\n')


def test_entry_points_that_restore_on_a_first_start(walback, tmp_path):
    """The lines that public entry points have, with nothing in the store yet."""
    url = f'file://{tmp_path}/r'
    db = tmp_path / 'app.db'
    cfg = tmp_path / 'litestream.yml'
    cfg.write_text(f'---\ndbs:\n- path: {db}\n  replicas:\n  - url: ${{REPLICA_URL}}\n    region:\n')
    env = {'REPLICA_URL': url}
    for words in (['-v', '-if-replica-exists', '-o', db, url],
                  ['-if-db-not-exists', '-if-replica-exists', '-o', db, url],
                  ['-if-replica-exists', '-config', cfg, db],
                  ['--if-replica-exists', '--config', cfg, '--v', db],
                  [db, '-if-replica-exists=true', '-config', cfg],
                  ['-if-replica-exists', '-replica', 'file', '-config', cfg, db]):
        walback.run('restore', *words, env=env).ok()
        assert not db.exists()
    walback.run('restore', '-o', db, url).fails(10)
    db.write_bytes(b'')
    walback.run('restore', '-config', cfg, '-replica', 'nope', db, env=env).fails(2)
