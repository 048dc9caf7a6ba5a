# SPDX-License-Identifier: Apache-2.0
"""walback run as PID 1 of a PID namespace: signals, zombies, exit statuses, the agent's death."""
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest
from testenv import proc, sqlite, walback as wb

UNSHARE = ['unshare', '-Urpf', '--mount-proc']


def namespaces():
    return subprocess.run([*UNSHARE, 'true'], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not namespaces(), reason='no PID namespaces for this user (unshare -Urpf)')


class Container:
    """run as PID 1; .send reaches it, the app's output is in .out."""

    def __init__(self, walback, folder):
        self.walback, self.folder = walback, folder
        self.db = folder / 'app.db'
        self.target = wb.file_target(folder / 'replica')
        self.out = folder / 'out'

    def args(self, app, *flags):
        return [*UNSHARE, self.walback.exe, 'run', '-db', self.db, '-replica-url', self.target.url, *flags, '--',
                *app]

    def run(self, app, *flags, timeout=60):
        return proc.run(self.args(app, *flags), timeout, proc.clean_env({'DB': self.db}))

    def start(self, app, *flags):
        self.p = proc.Proc(self.args(app, *flags), self.folder / 'log', proc.clean_env({'DB': self.db}),
                           stdout=self.out)
        return self.p

    def said(self, text, timeout=20):
        proc.wait_until(lambda: self.out.exists() and text in self.out.read_text(), timeout,
                        lambda: f'{text}: {self.out.read_text()} {self.p.text()}', dead=lambda: not self.p.alive())

    def pid1(self):
        """Our view of its PID 1: the only child of unshare."""
        def look():
            with open(f'/proc/{self.p.pid}/task/{self.p.pid}/children', encoding='ascii') as f:
                return f.read().split()

        (pid,) = proc.wait_until(look, 20, 'PID 1', dead=lambda: not self.p.alive())
        return int(pid)

    def children(self):
        """{pid: command line} of PID 1's children, as we see them."""
        one = self.pid1()
        found = {}
        with open(f'/proc/{one}/task/{one}/children', encoding='ascii') as f:
            for pid in map(int, f.read().split()):
                with open(f'/proc/{pid}/cmdline', 'rb') as c:
                    found[pid] = c.read().replace(b'\0', b' ').decode().strip()
        return found

    def agent(self):
        (pid,) = [p for p, c in self.children().items() if ' replicate ' in c]
        return pid

    def end(self, sig=signal.SIGTERM, timeout=30):
        """unshare passes its child's status on."""
        os.kill(self.pid1(), sig)
        return self.p.wait(timeout)


@pytest.fixture
def box(walback, tmp_path):
    c = Container(walback, tmp_path)
    yield c
    if hasattr(c, 'p'):
        c.p.__exit__()


def sh(text):
    return ['sh', '-c', text]


@pytest.mark.parametrize('script, code', [('exit 0', 0), ('exit 7', 7), ('kill -KILL $$', 137),
                                          ('kill -SEGV $$', 139), ('exec /nonexistent', 127)])
def test_exit_with_the_apps_status(box, script, code):
    box.run(sh(script)).fails(code)


def test_an_app_that_is_not_there(box):
    r = box.run(['/nonexistent/app']).fails(127)
    assert 'the app cannot be started' in r.err
    box.run(['/etc/passwd']).fails(126)


def test_it_is_pid_1_and_the_app_leads_its_group(box):
    r = box.run(sh('echo $PPID; ps -o pgid= -p $$ | tr -d " "; echo $$')).ok()
    ppid, pgid, pid = r.out.split()
    assert ppid == '1' and pgid == pid != '1'


@pytest.mark.parametrize('name', ['HUP', 'USR1', 'USR2', 'WINCH', 'ALRM', 'RTMIN+3'])
def test_signals_are_forwarded_to_the_app(box, name):
    script = ("import signal, time, sys\n"
              f"signal.signal({int(number(name))}, lambda *a: (print('GOT', flush=True)))\n"
              "print('UP', flush=True)\n"
              "while True: time.sleep(0.05)")
    box.start([sys.executable, '-c', script])
    box.said('UP')
    os.kill(box.pid1(), number(name))
    box.said('GOT')
    assert box.end() == 143


def number(name):
    if name.startswith('RTMIN+'):
        return signal.SIGRTMIN + int(name[6:])
    return getattr(signal, 'SIG' + name)


def test_term_reaches_every_process_of_the_group(box):
    box.start(sh("sh -c 'trap \"echo CHILD-GOT; exit\" TERM; echo CHILD-UP; while :; do sleep 0.05; done' &"
                 "trap 'wait; echo PARENT-GOT; exit 4' TERM; echo UP; while :; do sleep 0.05; done"))
    box.said('CHILD-UP')
    assert box.end() == 4
    assert 'CHILD-GOT' in box.out.read_text() and 'PARENT-GOT' in box.out.read_text()


def test_zombies_are_reaped(box):
    """Orphans come to PID 1; none of them may stay."""
    box.start(sh("for i in 1 2 3 4 5 6 7 8 9 10; do (sh -c 'sleep 0.1' & ) ; done; sleep 1; echo DONE;"
                 "exec sleep 60"))
    box.said('DONE')
    time.sleep(0.2)
    states = {}
    for pid in box.children():
        with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as f:
            states[pid] = f.read().rsplit(')', 1)[1].split()[0]
    assert len(states) == 2 and 'Z' not in states.values(), (states, box.children())
    assert box.end() == 143


def test_a_daemon_that_left_the_group_ends_before_the_last_sync(box):
    """It still writes: what it committed before it was told to end must be in the replica."""
    writer = ("import signal, sqlite3, sys, time\n"
              "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
              "end = []\n"
              "signal.signal(signal.SIGTERM, lambda *a: end.append(1))\n"
              "c = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)\n"
              "c.execute('PRAGMA journal_mode=WAL')\n"
              "c.execute('CREATE TABLE t(a)')\n"
              "n = 0\n"
              "while not end:\n"
              "    n += 1\n"
              "    c.execute('INSERT INTO t VALUES(?)', (n,))\n"
              "    time.sleep(0.01)\n"
              "c.execute('INSERT INTO t VALUES(-1)')\n"
              "print('DAEMON-ENDED', flush=True)\n")
    r = box.run(['sh', '-c', f'setsid {sys.executable} -c "$0" "$DB" & sleep 1.5', writer]).ok()
    assert 'DAEMON-ENDED' in r.out
    r = box.walback.restore(box.target, box.folder / 'back.db').ok()
    assert (-1,) in sqlite.rows(box.folder / 'back.db', 'SELECT a FROM t')


def test_an_app_that_ignores_term_is_killed_within_the_stop_timeout(box):
    box.start(sh("trap '' TERM; echo UP; while :; do sleep 0.05; done"), '--stop-timeout', '1500ms')
    box.said('UP')
    t0 = time.monotonic()
    assert box.end() == 137
    assert 0.9 < time.monotonic() - t0 < 4
    assert 'the app does not stop' in box.p.text()


def test_the_last_sync_has_what_the_app_wrote_while_ending(box):
    app = ("import signal, sqlite3, sys, time\n"
           "c = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)\n"
           "c.execute('PRAGMA journal_mode=WAL')\n"
           "c.execute('CREATE TABLE t(a)')\n"
           "def end(*a):\n"
           "    c.execute(\"INSERT INTO t VALUES('last words')\")\n"
           "    sys.exit(0)\n"
           "signal.signal(signal.SIGTERM, end)\n"
           "print('UP', flush=True)\n"
           "while True: time.sleep(0.05)\n")
    box.start([sys.executable, '-c', app, box.db])
    box.said('UP')
    assert box.end() == 0
    box.walback.restore(box.target, box.folder / 'back.db').ok()
    assert sqlite.rows(box.folder / 'back.db', 'SELECT a FROM t') == [('last words',)]


APP = ("import sqlite3, sys, time\n"
       "c = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)\n"
       "c.execute('PRAGMA journal_mode=WAL')\n"
       "c.execute('CREATE TABLE IF NOT EXISTS t(a)')\n"
       "n = 0\n"
       "while True:\n"
       "    n += 1\n"
       "    c.execute('INSERT INTO t VALUES(?)', (n,))\n"
       "    print('ROW', n, flush=True)\n"
       "    time.sleep(0.05)\n")


def rows_written(box):
    return [int(n) for n in re.findall(r'ROW (\d+)\n', box.out.read_text())]


def goes_on(box):
    """The app writes: it was not disturbed."""
    n = max(rows_written(box))
    proc.wait_until(lambda: max(rows_written(box)) > n + 3, 20, 'the app goes on', dead=lambda: not box.p.alive())


def test_a_killed_agent_comes_back_and_nothing_is_lost(box):
    box.start([sys.executable, '-c', APP, box.db])
    box.said('ROW 5')
    first = box.agent()
    os.kill(first, signal.SIGKILL)
    box.p.wait_log('the agent was started again')
    assert box.agent() != first
    goes_on(box)
    assert box.end() == 143
    box.walback.restore(box.target, box.folder / 'back.db').ok()
    assert [a for (a,) in sqlite.rows(box.folder / 'back.db', 'SELECT a FROM t ORDER BY a')] == \
        sorted(a for (a,) in sqlite.rows(box.db, 'SELECT a FROM t'))


def test_a_hung_agent_is_killed_after_the_heartbeat_timeout(box):
    box.start([sys.executable, '-c', APP, box.db], '--heartbeat-timeout', '5s')
    box.said('ROW 5')
    first = box.agent()
    os.kill(first, signal.SIGSTOP)
    box.p.wait_log('the agent hangs, killing it', timeout=30)
    box.p.wait_log('the agent was started again')
    assert box.agent() != first
    goes_on(box)
    assert box.end() == 143
    box.walback.restore(box.target, box.folder / 'back.db').ok()
    assert len(sqlite.rows(box.folder / 'back.db', 'SELECT a FROM t')) == \
        len(sqlite.rows(box.db, 'SELECT a FROM t'))


def test_a_busy_agent_is_not_taken_for_a_hung_one(box):
    """Beats go on while it waits for a store that does not answer."""
    box.target = wb.Target('s3', f's3://nowhere/db?endpoint=http://127.0.0.1:{proc.free_port()}&region=us-east-1'
                           '&force-path-style=true', {}, {}, None, None, None, None)
    sqlite.connect(box.db).execute('CREATE TABLE t(a)')
    box.p = proc.Proc(box.args([sys.executable, '-c', APP, box.db], '--store-wait', '1s',
                               '--heartbeat-timeout', '5s', '--stop-timeout', '1s'), box.folder / 'log',
                      proc.clean_env({'LITESTREAM_ACCESS_KEY_ID': 'k', 'LITESTREAM_SECRET_ACCESS_KEY': 's'}),
                      stdout=box.out)
    box.said('ROW 100')
    assert 'hangs' not in box.p.text()
    assert box.end() in (143, 137)


def test_a_signal_during_the_restore_ends_it_cleanly(box, versitygw, bucket, s3_proxy):
    box.run([sys.executable, '-c', 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);'
             'c.execute("PRAGMA journal_mode=WAL"); c.execute("CREATE TABLE t(a)");'
             'c.executemany("INSERT INTO t VALUES(?)", [(bytes(1000),)] * 20); c.commit()', box.db]).ok()
    target = wb.s3_target(versitygw, bucket, endpoint=s3_proxy.endpoint)
    for k in box.target.files():
        target.write(k, box.target.read(k))
    for n in ('app.db', 'app.db-wal', 'app.db-shm'):
        (box.folder / n).unlink(missing_ok=True)
    subprocess.run(['rm', '-rf', str(box.folder / '.app.db-walback')], check=True)
    box.target = target
    s3_proxy.latency(3000)
    box.p = proc.Proc(box.args(sh('echo UP')), box.folder / 'log', proc.clean_env(target.env), stdout=box.out)
    proc.wait_until(lambda: any('internal-start' in c for c in box.children().values()), 20, 'the check runs')
    time.sleep(0.5)
    assert box.end() == 143
    assert 'UP' not in box.out.read_text()
    assert sorted(p.name for p in box.folder.iterdir() if p.name.startswith('app.db')) == []


# ---- the terminal ----

def on_terminal(box, app, talk):
    """run at a terminal of its own (a session leader, as a container with -it is); talk(fd) drives it.
    Its exit status and what the terminal showed."""
    args = [str(a) for a in (box.walback.exe, 'run', '-quiet', '-db', box.db, '-replica-url', box.target.url, '--',
                             *app)]
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(args[0], args, proc.clean_env({'DB': str(box.db)}))
    seen = b''

    def read_until(text, timeout=20):
        nonlocal seen
        end = time.monotonic() + timeout
        while text not in seen:
            assert time.monotonic() < end, seen
            if select.select([fd], [], [], 0.2)[0]:
                seen += os.read(fd, 4096)

    try:
        talk(fd, read_until)
        end = time.monotonic() + 20
        while (done := os.waitpid(pid, os.WNOHANG))[0] == 0:
            assert time.monotonic() < end, seen
            if select.select([fd], [], [], 0.05)[0]:
                try:
                    seen += os.read(fd, 4096)
                except OSError:
                    pass
        pid = 0
        return os.waitstatus_to_exitcode(done[1]), seen
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(fd)


TTY_APP = ("import os, signal, sys, time\n"
           "def got(n, *a): print('GOT', n, flush=True)\n"
           "signal.signal(signal.SIGINT, got)\n"
           "print('FOREGROUND' if os.tcgetpgrp(0) == os.getpgrp() else 'BACKGROUND', flush=True)\n"
           "for line in sys.stdin:\n"
           "    print('LINE', line.strip(), flush=True)\n"
           "    if line.strip() == 'quit': sys.exit(6)\n")


def test_the_app_has_the_terminal_and_ctrl_c_is_its_own(box):
    def talk(fd, until):
        until(b'FOREGROUND')
        os.write(fd, b'\x03')
        until(b'GOT 2')
        os.write(fd, b'quit\n')

    code, seen = on_terminal(box, [sys.executable, '-c', TTY_APP], talk)
    assert code == 6, seen
    assert seen.count(b'GOT 2') == 1, seen


def test_ctrl_z_without_a_shell_to_go_back_to_does_not_stop_the_app_for_good(box):
    def talk(fd, until):
        until(b'FOREGROUND')
        os.write(fd, b'\x1a')
        time.sleep(0.5)
        os.write(fd, b'quit\n')
        until(b'LINE quit')

    assert on_terminal(box, [sys.executable, '-c', TTY_APP], talk)[0] == 6
