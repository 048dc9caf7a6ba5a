# SPDX-License-Identifier: Apache-2.0
"""walback run at a terminal, under a real shell: job control as of any other program."""
import os
import pty
import re
import select
import shutil
import signal
import sys
import time

import pytest

from testenv import proc

pytestmark = pytest.mark.skipif(not shutil.which('bash'), reason='no bash')

# Says for each line it reads whether the terminal is its own; ends with 6 at "quit".
APP = '''
import os, signal, sys, time
def has_it():
    return 'HAS-IT' if os.tcgetpgrp(1) == os.getpgrp() else 'HAS-IT-NOT'
signal.signal(signal.SIGINT, lambda *a: print('GOT-INT', flush=True))
print('APP-BEGINS', has_it(), os.getpid(), 'OK', flush=True)
if len(sys.argv) > 1:
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        time.sleep(0.05)
    sys.exit(0)
for line in sys.stdin:
    print('READ-' + line.strip().upper(), has_it(), flush=True)
    if line.strip() == 'quit':
        sys.exit(6)
'''


class Terminal:
    """A process that leads the session of a new terminal; what is typed to it, and what it shows."""

    def __init__(self, args, env):
        self.seen, self.at, self.app = '', 0, 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(args[0], args, env)

    def type(self, text):
        self.at = len(self.seen)
        os.write(self.fd, text.encode())

    def read(self, timeout):
        if select.select([self.fd], [], [], timeout)[0]:
            try:
                self.seen += os.read(self.fd, 4096).decode(errors='replace')
            except OSError:                 # everybody has gone
                return False
        return True

    def until(self, text, timeout=20):
        """The text is shown after what was typed last and waited for since."""
        end = time.monotonic() + timeout
        while text not in self.seen[self.at:]:
            assert time.monotonic() < end, f'no "{text}" in:\n{self.seen}'
            assert self.read(0.2) or text in self.seen[self.at:], self.seen
        self.at = self.seen.index(text, self.at) + len(text)

    def app_begins(self, how):
        self.until(f'APP-BEGINS {how} ')
        self.until(' OK\r\n')
        self.app = int(re.findall(r'APP-BEGINS \S+ (\d+) OK', self.seen)[-1])

    def app_has_it(self):
        """Until the app is the terminal's foreground."""
        proc.wait_until(lambda: self.read(0) and os.tcgetpgrp(self.fd) == self.app, 20, lambda: self.seen)

    def stop_app(self):
        """Ctrl-Z, until the shell asks for the next command."""
        self.type('\x1a')
        self.until('Stopped')
        self.until('PROMPT> ')

    def close(self):
        """Ends the session: all of it gets SIGHUP, then what is left SIGKILL."""
        alive = [p for p in map(int, filter(str.isdigit, os.listdir('/proc'))) if session(p) == self.pid]
        os.close(self.fd)
        for p in alive:
            try:
                os.kill(p, signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.waitpid(self.pid, 0)


def session(pid):
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


class Box:
    def __init__(self, walback, folder):
        self.app = folder / 'app.py'
        self.app.write_text(APP)
        self.log = folder / 'log'
        self.env = proc.clean_env({'TERM': 'dumb', 'PS1': 'PROMPT> ', 'HISTFILE': None})
        self.run = (f'{walback.exe} run -stop-timeout 5s -db {folder}/app.db -replica-url file://{folder}/replica '
                    f'-- {sys.executable} {self.app}')

    def shell(self):
        t = Terminal(['bash', '--norc', '--noprofile', '-i'], self.env)
        t.until('PROMPT> ')
        return t


@pytest.fixture
def box(walback, tmp_path):
    return Box(walback, tmp_path)


@pytest.fixture
def shell(box):
    t = box.shell()
    yield t
    t.close()


def begin(box, shell, arguments=''):
    shell.type(f'{box.run} {arguments} 2>>{box.log}\n')
    shell.app_begins('HAS-IT')


def prompt_works(shell):
    """The shell has its terminal: it reads a command and runs it in the foreground."""
    shell.type('echo $((40 + 2))-SHELL\n')
    shell.until('42-SHELL')
    shell.until('PROMPT> ')


def test_ctrl_z_gives_the_prompt_back_and_fg_the_terminal(box, shell):
    begin(box, shell)
    for word in ('one', 'two'):
        shell.type(f'{word}\n')
        shell.until(f'READ-{word.upper()} HAS-IT\r\n')
        shell.stop_app()
        prompt_works(shell)
        shell.type('fg\n')
        shell.app_has_it()
    shell.type('\x03')
    shell.until('GOT-INT')                  # Ctrl-C is the app's own
    shell.type('quit\n')
    shell.until('READ-QUIT HAS-IT\r\n')
    shell.until('PROMPT> ')
    shell.type('echo STATUS-$?\n')
    shell.until('STATUS-6')
    assert shell.seen.count('GOT-INT') == 1


def test_in_the_background_it_stops_when_it_reads_and_goes_on_in_the_foreground(box, shell):
    begin(box, shell)
    shell.stop_app()
    shell.type('bg\n')
    shell.until('PROMPT> ')

    def stopped():
        shell.type('jobs\n')
        before = shell.at
        shell.until('PROMPT> ')
        return 'Stopped' in shell.seen[before:]

    proc.wait_until(stopped, 20, lambda: shell.seen, poll=0.2)
    shell.type('fg\n')
    shell.app_has_it()
    shell.type('quit\n')
    shell.until('READ-QUIT HAS-IT\r\n')
    shell.until('PROMPT> ')


def test_an_app_that_ends_in_the_background_leaves_the_shell_its_terminal(box, shell):
    begin(box, shell, '3')
    shell.stop_app()
    shell.type('bg\n')
    shell.until('PROMPT> ')
    proc.wait_until(lambda: 'walback shut down' in box.log.read_text(), 20, box.log.read_text)
    for _ in range(3):
        prompt_works(shell)


def test_started_in_the_background_it_gets_the_terminal_with_fg(box, shell):
    shell.type(f'{box.run} 2>>{box.log} &\n')
    shell.app_begins('HAS-IT-NOT')
    prompt_works(shell)
    shell.type('fg\n')
    shell.app_has_it()
    shell.type('quit\n')
    shell.until('READ-QUIT HAS-IT\r\n')
    shell.until('PROMPT> ')


def test_ctrl_z_stops_the_whole_pipeline(box, shell):
    shell.type(f'cat | {box.run} 3 2>>{box.log}\n')
    shell.app_begins('HAS-IT')
    shell.stop_app()
    prompt_works(shell)
    shell.type('fg\n')
    proc.wait_until(lambda: 'walback shut down' in box.log.read_text(), 20,
                    lambda: shell.read(0) and box.log.read_text() + shell.seen)


def test_a_shell_without_job_control_is_none_to_stop_for(box):
    t = Terminal(['sh', '-c', f'{box.run} 2>>{box.log}; echo STATUS-$?'], box.env)
    try:
        t.app_begins('HAS-IT')
        t.type('\x1a')
        time.sleep(0.5)
        t.type('quit\n')
        t.until('READ-QUIT')
        t.until('STATUS-6')
    finally:
        t.close()
