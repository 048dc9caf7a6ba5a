# SPDX-License-Identifier: Apache-2.0
"""Processes with deadlines.  Whatever was started is ended by its own pid, also when a test fails."""
import atexit
import os
import signal
import socket
import subprocess
import time

_live = set()

# What a developer's shell may carry and a test must not see.
_DROP_PREFIXES = ('AWS_', 'LITESTREAM_', 'WALBACK_', 'S3_')
_DROP = {'DATABASE_PATH', 'DB_PATH', 'DATABASE_URL', 'REPLICA_URL', 'BUCKET_NAME', 'ROLLBACK_CONFIRM',
         'RESTORE_CONFIRM', 'http_proxy', 'https_proxy', 'all_proxy', 'HTTP_PROXY', 'HTTPS_PROXY',
         'ALL_PROXY', 'NO_COLOR', 'SSL_CERT_FILE', 'SSL_CERT_DIR'}


def clean_env(extra=None):
    """The environment without anything that configures a replica; extra is added (None removes)."""
    env = {k: v for k, v in os.environ.items()
           if k not in _DROP and not k.startswith(_DROP_PREFIXES)}
    env['AWS_SHARED_CREDENTIALS_FILE'] = env['AWS_CONFIG_FILE'] = '/dev/null'
    env['LC_ALL'] = 'C.UTF-8'
    env['TZ'] = 'UTC'
    for k, v in (extra or {}).items():
        if v is None:
            env.pop(k, None)
        else:
            env[k] = str(v)
    return env


class Result:
    """What a finished command left."""

    def __init__(self, args, code, out, err, seconds):
        self.args, self.code, self.stdout, self.stderr, self.seconds = args, code, out, err, seconds

    @property
    def out(self):
        return self.stdout.decode(errors='replace')

    @property
    def err(self):
        return self.stderr.decode(errors='replace')

    def __repr__(self):
        return (f'{" ".join(map(str, self.args))}\nexit status {self.code} after {self.seconds:.2f} s\n'
                f'stdout:\n{self.out[-4000:]}\nstderr:\n{self.err[-6000:]}')

    def ok(self):
        assert self.code == 0, repr(self)
        return self

    def fails(self, code):
        assert self.code == code, f'expected exit status {code}\n{self!r}'
        return self


def run(args, timeout=60, env=None, stdin=b'', cwd=None, pass_fds=(), preexec_fn=None):
    """Run to the end.  A command that outlives its timeout is killed and fails the test."""
    args = [str(a) for a in args]
    t0 = time.monotonic()
    p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=clean_env() if env is None else env, cwd=cwd, pass_fds=pass_fds,
                         preexec_fn=preexec_fn, start_new_session=True)
    _live.add(p)
    try:
        out, err = p.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        _kill_group(p)
        out, err = p.communicate()
        raise AssertionError(f'no end within {timeout} s:\n'
                             f'{Result(args, "killed", out, err, timeout)!r}') from None
    finally:
        _live.discard(p)
    return Result(args, p.returncode, out, err, time.monotonic() - t0)


def _kill_group(p):
    """The process and what it started, when it leads its own group."""
    try:
        os.killpg(p.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        p.kill()


class Proc:
    """A process that runs beside the test; its output goes to files.  Use as a context manager."""

    def __init__(self, args, log, env=None, cwd=None, stdin=subprocess.DEVNULL, stdout=None):
        self.args = [str(a) for a in args]
        self.log = str(log)
        self._err = open(self.log, 'ab')
        self._out = open(stdout, 'ab') if stdout else self._err
        self.p = subprocess.Popen(self.args, stdin=stdin, stdout=self._out, stderr=self._err,
                                  env=clean_env() if env is None else env, cwd=cwd,
                                  start_new_session=True)
        _live.add(self.p)

    @property
    def pid(self):
        return self.p.pid

    def alive(self):
        return self.p.poll() is None

    def text(self):
        with open(self.log, errors='replace') as f:
            return f.read()

    def send(self, sig):
        self.p.send_signal(sig)

    def wait(self, timeout=30):
        """The exit status; fails the test when there is none in time."""
        try:
            code = self.p.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f'{self.args[0]} did not end within {timeout} s:\n'
                                 f'{self.text()[-6000:]}') from None
        self._close()
        return code

    def stop(self, timeout=30, sig=signal.SIGTERM):
        """Ask to end, wait; the exit status."""
        if self.alive():
            self.send(sig)
        return self.wait(timeout)

    def kill(self):
        """SIGKILL to the process and its group."""
        _kill_group(self.p)
        self.p.wait()
        self._close()

    def kill_only(self):
        """SIGKILL to the process alone: what it started lives on."""
        self.p.kill()
        self.p.wait()
        self._close()

    def wait_log(self, text, timeout=20):
        """Until the text stands in the log."""
        wait_until(lambda: text in self.text(), timeout, lambda: f'no "{text}" in the log of {self.args}:\n'
                   f'{self.text()[-6000:]}', dead=lambda: not self.alive())

    def _close(self):
        _live.discard(self.p)
        self._err.close()
        self._out.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.p.poll() is None:
            self.kill()
        else:
            _kill_group(self.p)
            self._close()


def wait_until(cond, timeout=20, message='condition', dead=None, poll=0.02):
    """Until cond() is true; fails the test at the deadline, or when dead() says it never will be."""
    end = time.monotonic() + timeout
    while True:
        value = cond()
        if value:
            return value
        gone = dead is not None and dead()
        if gone and not (value := cond()):
            raise AssertionError(f'the process ended first: {message() if callable(message) else message}')
        if time.monotonic() > end:
            raise AssertionError(f'not within {timeout} s: {message() if callable(message) else message}')
        time.sleep(poll)


def free_port():
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_port(port, proc=None, timeout=30):
    """Until something accepts connections there."""

    def ready():
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return True
        except OSError:
            return False

    wait_until(ready, timeout, lambda: f'nothing listens on port {port}: {proc.text()[-2000:] if proc else ""}',
               dead=(lambda: not proc.alive()) if proc else None)


@atexit.register
def _end_all():
    for p in list(_live):
        if p.poll() is None:
            _kill_group(p)
