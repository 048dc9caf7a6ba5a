# SPDX-License-Identifier: Apache-2.0
"""The released Litestream, as a second opinion on what a replica holds."""
import json
from pathlib import Path

from . import proc, s3, tools


class Litestream:
    """One version; config files and logs go to folder."""

    def __init__(self, version, folder):
        self.version = version
        self.exe = tools.need(f'litestream-{version}')
        self.folder = Path(folder)
        self.env = proc.clean_env({'LITESTREAM_ACCESS_KEY_ID': s3.ACCESS,
                                   'LITESTREAM_SECRET_ACCESS_KEY': s3.SECRET, 'AWS_CA_BUNDLE': None})

    def config(self, db, replica, **settings):
        """Write a config file for one database and one replica; replica is a folder, or a dict of keys."""
        keys = replica if isinstance(replica, dict) else {'type': 'file', 'path': str(replica)}
        entry = dict(keys, **settings)
        path = self.folder / f'litestream-{self.version}.yml'
        # JSON is YAML.
        body = {'dbs': [{'path': str(db), 'replicas': [entry]}]}
        path.write_text(json.dumps(body, indent=1))
        return path

    def restore(self, db, replica, output, *args, timeout=120):
        """litestream restore -o output; a Result (not yet checked)."""
        cfg = self.config(db, replica)
        return proc.run([self.exe, 'restore', '-config', cfg, '-o', output, *args, db], timeout, self.env)

    def replicate(self, db, replica, **settings):
        """A running `litestream replicate` (a Proc)."""
        cfg = self.config(db, replica, **{'sync-interval': '100ms', **settings})
        return proc.Proc([self.exe, 'replicate', '-config', cfg],
                         self.folder / f'litestream-{self.version}.log', self.env)

    def run(self, *args, timeout=60):
        return proc.run([self.exe, *args], timeout, self.env)
