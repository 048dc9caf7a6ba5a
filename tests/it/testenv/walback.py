# SPDX-License-Identifier: Apache-2.0
"""The program under test, run in a clean environment."""
import json
from pathlib import Path
from urllib.parse import quote

from . import proc, sqlite, tools


class Target:
    """Where a replica lives: a folder or a bucket's prefix.  url for the command line, env with
    credentials, litestream: the keys for its config file; files(): {key: size}."""

    def __init__(self, kind, url, env, litestream, lister, reader, writer, deleter, folder=None, client=None,
                 prefix=''):
        self.kind, self.url, self.env, self.litestream = kind, url, env, litestream
        self._list, self._read, self._write, self._delete = lister, reader, writer, deleter
        self.folder, self.client, self.prefix = folder, client, prefix

    def files(self):
        return self._list()

    def read(self, key):
        return self._read(key)

    def write(self, key, body):
        self._write(key, body)

    def delete(self, key):
        self._delete(key)

    def json(self, key):
        return json.loads(self.read(key))

    def config(self):
        """The replica's keys for a walback config file (Litestream's names)."""
        return dict(self.litestream)


def file_target(folder):
    """A replica in a folder."""
    folder = Path(folder)

    def listing():
        return {p.relative_to(folder).as_posix(): p.stat().st_size
                for p in folder.rglob('*') if p.is_file()} if folder.exists() else {}

    def write(key, body):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(body)

    return Target('file', f'file://{folder}', {}, {'type': 'file', 'path': str(folder)}, listing,
                  lambda k: (folder / k).read_bytes(), write, lambda k: (folder / k).unlink(), folder=folder)


def s3_target(server, client, prefix='db', endpoint=None):
    """A replica in a bucket of a running server; endpoint: a proxy in front of it."""
    from . import s3
    endpoint = endpoint or server.endpoint
    full = (prefix + '/') if prefix else ''
    env = {'LITESTREAM_ACCESS_KEY_ID': s3.ACCESS, 'LITESTREAM_SECRET_ACCESS_KEY': s3.SECRET}
    keys = {'type': 's3', 'bucket': client.bucket, 'path': prefix, 'endpoint': endpoint, 'region': s3.REGION,
            'force-path-style': True}
    url = (f's3://{client.bucket}/{quote(prefix)}?endpoint={endpoint}&region={s3.REGION}&force-path-style=true')
    return Target('s3', url, env, keys, lambda: {k[len(full):]: n for k, n in client.list(full).items()},
                  lambda k: client.get(full + k), lambda k, b: client.put(full + k, b),
                  lambda k: client.delete(full + k), client=client, prefix=prefix)


class Walback:
    """Runs the binary; folder takes configs and logs."""

    def __init__(self, folder):
        self.exe = tools.binary()
        self.folder = Path(folder)
        self._n = 0

    def env(self, extra=None):
        # A configuration of the machine must not leak in: an empty file has nothing.
        return proc.clean_env(extra)

    def run(self, *args, timeout=60, env=None, **k):
        """Run a command to its end: a Result."""
        return proc.run([self.exe, *args], timeout, self.env(env), **k)

    def start(self, *args, env=None, **k):
        """A running command (a Proc) whose output goes to its own log."""
        self._n += 1
        return proc.Proc([self.exe, *args], self.folder / f'walback-{self._n}.log', self.env(env), **k)

    def config(self, db, targets, name='walback.yml', replica_keys=None, **db_keys):
        """A config file for one database with one or several targets; underscores in keys become dashes."""
        targets = targets if isinstance(targets, (list, tuple)) else [targets]
        replicas = []
        for n, t in enumerate(targets):
            keys = dict(t.config(), **{k.replace('_', '-'): v for k, v in (replica_keys or {}).items()})
            if len(targets) > 1:
                keys['name'] = f'r{n}'
            replicas.append(keys)
        entry = {'path': str(db), 'replicas': replicas}
        entry.update({k.replace('_', '-'): v for k, v in db_keys.items()})
        path = self.folder / name
        path.write_text(json.dumps({'dbs': [entry]}, indent=1))   # JSON is YAML
        return path

    def replicate(self, db, targets, replica_keys=None, env=None, **db_keys):
        """A running `walback replicate` for one database."""
        targets = targets if isinstance(targets, (list, tuple)) else [targets]
        cfg = self.config(db, targets, replica_keys=replica_keys, **db_keys)
        merged = {k: v for t in targets for k, v in t.env.items()}
        # The last sync on a busy machine, under a sanitizer: longer than the default for containers.
        patient = {'WALBACK_SHUTDOWN_TIMEOUT': '30s'}
        return self.start('replicate', '-config', cfg, env={**patient, **merged, **(env or {})})

    def restore(self, target, output, *args, timeout=120, env=None):
        """`walback restore -o output URL`: a Result, not yet checked."""
        return self.run('restore', '-o', output, *args, target.url, timeout=timeout,
                        env={**target.env, **(env or {})})

    def restore_and_check(self, target, output, source=None, *args):
        """Restore must succeed, SQLite must like it, and it must equal source page for page."""
        self.restore(target, output, *args).ok()
        assert sqlite.integrity(output) == 'ok'
        if source is not None:
            settled = Path(str(output) + '.source')
            sqlite.settled_copy(source, settled)
            sqlite.assert_same_pages(settled, output)
        return Path(output)

    def wait_synced(self, target, output, source, timeout=30):
        """Until a restore equals the (now quiet) source page for page."""
        settled = sqlite.settled_copy(source, str(output) + '.source')
        last = []

        def same():
            Path(output).unlink(missing_ok=True)
            r = self.restore(target, output)
            last[:] = [r]
            return r.code == 0 and not sqlite.differing_pages(settled, output)

        proc.wait_until(same, timeout, lambda: f'the replica never equalled {source}:\n{last[0]!r}', poll=0.2)
        assert sqlite.integrity(output) == 'ok'
        return Path(output)

    def wait_same_rows(self, target, output, source, timeout=30):
        """Until a restore has the rows that a connection to the (now quiet) source sees.  Unlike a copy of
        the files this is the truth also after an application was killed: SQLite's view through the -shm."""
        want = sqlite.dump(source)
        last = []

        def same():
            Path(output).unlink(missing_ok=True)
            r = self.restore(target, output)
            last[:] = [r]
            return r.code == 0 and sqlite.dump(output) == want

        proc.wait_until(same, timeout, lambda: f'the replica never had the rows of {source}:\n{last[0]!r}', poll=0.2)
        assert sqlite.integrity(output) == 'ok'
        return Path(output)
