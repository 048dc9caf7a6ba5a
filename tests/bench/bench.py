#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The figures of README: `make bench`, or tests/bench/bench.py [NAME...] for some of them.

  restore   a Litestream tree of 256 MB and 3,000 segments (in 30 indexes, and in 3) over S3, 20 ms and
            no latency: walback, Litestream 0.3.13, and a raw parallel download of the same objects
  snapshot  the first snapshot of a 256 MB database to S3 on loopback: time and memory
  latency   a lone commit until its object is in the store
  writer    a flat-out writer alone, beside walback (S3 and a folder), beside Litestream; the S3 server
            takes its share of the same cores
  start     `walback version` against an empty program linked to the same libraries
  idle      memory of an agent with one idle database

Loopback servers only; data from a seeded generator; everything lies in a temporary folder.
WALBACK_BIN and WALBACK_TOOLS as in tests/it.
"""
import hashlib
import hmac
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests/it'))

from testenv import litestream, proc, s3, sqlite, tools, toxiproxy, walback as wb   # noqa: E402

TOOLS = ROOT / 'build/release/tests/bench'
table = []


def report(what, who, *values):
    table.append((what, who, *values))
    print(f'{what:34} {who:18} ' + '  '.join(values), flush=True)


def measured(args, env, timeout=300, stdin=None, poll=0.01):
    """Run; (seconds, peak RSS in MB, stdout, stderr).  Looking at it costs time itself: poll."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        t0 = time.monotonic()
        p = subprocess.Popen([str(a) for a in args], stdin=stdin or subprocess.DEVNULL, stdout=out, stderr=err, env=env)
        proc._live.add(p)
        end, peak = t0 + timeout, 0
        while True:
            # Not rusage: its peak begins with what this process had at the fork.
            peak = max(peak, memory(p.pid).get('VmHWM', 0))
            pid, status = os.waitpid(p.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                p.kill()
                os.waitpid(p.pid, 0)
                sys.exit(f'{args[0]}: no end within {timeout} s')
            time.sleep(poll)
        seconds = time.monotonic() - t0
        p.returncode = os.waitstatus_to_exitcode(status)
        proc._live.discard(p)
        out.seek(0)
        err.seek(0)
        o, e = out.read().decode(errors='replace'), err.read().decode(errors='replace')
        if p.returncode != 0:
            sys.exit(f'{" ".join(map(str, args))}: exit status {p.returncode}\n{o}\n{e[-4000:]}')
        return seconds, peak, o, e


def memory(pid):
    """{'VmHWM': MB, 'VmRSS': MB, 'RssAnon': MB}"""
    text = Path(f'/proc/{pid}/status').read_text()
    return {k: int(v) * 1024 / 1e6 for k, v in re.findall(r'(VmHWM|VmRSS|RssAnon):\s+(\d+) kB', text)}


def presigned(client, endpoint, key):
    """A GET URL for an hour."""
    host = endpoint.split('//')[1]
    path = quote(f'/{client.bucket}/{key}', safe='/-._~')
    stamp = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
    scope = f'{stamp[:8]}/{s3.REGION}/s3/aws4_request'
    query = '&'.join(f'{k}={quote(v, safe="-._~")}' for k, v in sorted({
        'X-Amz-Algorithm': 'AWS4-HMAC-SHA256', 'X-Amz-Credential': f'{client.access}/{scope}',
        'X-Amz-Date': stamp, 'X-Amz-Expires': '3600', 'X-Amz-SignedHeaders': 'host'}.items()))
    text = f'GET\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD'
    k = b'AWS4' + client.secret.encode()
    for part in (stamp[:8], s3.REGION, 's3', 'aws4_request'):
        k = hmac.new(k, part.encode(), hashlib.sha256).digest()
    to_sign = f'AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(text.encode()).hexdigest()}'
    return (f'{endpoint}{path}?{query}&X-Amz-Signature='
            f'{hmac.new(k, to_sign.encode(), hashlib.sha256).hexdigest()}')


def upload_tree(client, folder, prefix):
    """Snapshots first: Litestream goes by the store's times."""
    files = sorted((p for p in folder.rglob('*') if p.is_file()), key=lambda p: ('/wal/' in str(p), str(p)))

    def put(f):
        client.put(f'{prefix}/{f.relative_to(folder).as_posix()}', f.read_bytes())

    put(files[0])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, files[1:]))


class FastVersitygw(s3.Versitygw):
    """The server should not be what is measured."""
    xattr = True


def has_xattr(folder):
    try:
        os.setxattr(folder, 'user.walback', b'1')
        return True
    except OSError:
        return False


class Bench:
    """The servers and folders that all measurements share."""

    def __init__(self, folder):
        self.folder = folder
        self.server = (FastVersitygw if has_xattr(folder) else s3.Versitygw)(folder / 'versitygw')
        self.toxi = toxiproxy.Toxiproxy(folder)
        self.walback = wb.Walback(folder)

    def close(self):
        self.toxi.stop()
        self.server.stop()

    def target(self, prefix='db', endpoint=None, bucket=None):
        return wb.s3_target(self.server, bucket or self.server.bucket(), prefix, endpoint)

    # -- restore -------------------------------------------------------------------------------
    def restore(self):
        """With 100 segments an index Litestream 0.3.13 fetches 8 indexes at a time; with 1,000 it cannot."""
        for an_index, latencies in (100, (20, 0)), (1000, (20,)):
            tree = self.folder / 'tree'
            subprocess.run([TOOLS / 'gen_tree', tree, '256', '3000', str(an_index)], check=True,
                           stdout=subprocess.DEVNULL)
            bucket = self.server.bucket()
            upload_tree(bucket, tree / 'replica', 'db')
            for ms in latencies:
                what = f'restore, {3000 // an_index} indexes, {ms} ms'
                with self.toxi.proxy(self.server.port) as p:
                    if ms:
                        p.latency(ms)
                    self._restore(what, bucket, tree / 'final.db', p.endpoint if ms else self.server.endpoint, 3)
            shutil.rmtree(tree)

    def _restore(self, what, bucket, final, endpoint, rounds):
        keys = list(bucket.list('db/generations'))
        urls = self.folder / 'urls'
        urls.write_text(''.join(presigned(bucket, endpoint, k) + '\n' for k in keys))
        target = self.target(endpoint=endpoint, bucket=bucket)
        out = self.folder / 'out.db'
        best = {}
        for _ in range(rounds):
            with open(urls, 'rb') as f:
                _, _, o, _ = measured([TOOLS / 'raw_download', 64], proc.clean_env(), stdin=f)
            best['raw'] = min(best.get('raw', 999), float(o.split()[2]))
            out.unlink(missing_ok=True)
            t, rss, o, e = measured([self.walback.exe, 'restore', '-integrity-check', 'none', '-json', '-o', out,
                                     target.url], self.walback.env(target.env))
            if t < best.get('walback', (999,))[0]:
                best['walback'] = (t, rss, fsync_seconds(o))
            bad = sqlite.differing_pages(out, final)
            if bad:
                sys.exit(f'walback restored something else: pages {bad}')
        tool = litestream.Litestream('0.3.13', self.folder)
        out.unlink(missing_ok=True)
        cfg = tool.config('/nowhere/app.db', target.litestream)
        t, rss, _, _ = measured([tool.exe, 'restore', '-config', cfg, '-o', out, '/nowhere/app.db'], tool.env)
        out.unlink()
        w, wrss, sync = best['walback']
        raw = best['raw']
        report(what, 'raw download', f'{raw:.2f} s')
        report(what, 'walback', f'{w:.2f} s', f'{wrss:.0f} MB', f'{w / raw:.2f} x raw', f'{t / w:.1f} x faster',
               f'final fsync {sync:.2f} s ({(w - sync) / raw:.2f} x raw without)')
        report(what, 'Litestream 0.3.13', f'{t:.2f} s', f'{rss:.0f} MB')

    # -- first snapshot ------------------------------------------------------------------------
    def snapshot(self):
        tree = self.folder / 'tree'
        subprocess.run([TOOLS / 'gen_tree', tree, '256', '0'], check=True, stdout=subprocess.DEVNULL)
        db = tree / 'final.db'
        for who in ('walback', 'walback lz4', 'Litestream 0.3.13'):
            shutil.rmtree(tree / '.final.db-litestream', ignore_errors=True)
            shutil.rmtree(tree / '.final.db-walback', ignore_errors=True)
            target = self.target()
            t0 = time.monotonic()
            if who.startswith('walback'):
                keys = {'compression': 'lz4'} if 'lz4' in who else {}
                agent = self.walback.replicate(db, target, replica_keys=keys)
            else:
                agent = litestream.Litestream('0.3.13', self.folder).replicate(db, target.litestream)
            with agent:
                where = self.server.folder / 'data' / target.client.bucket / 'db/generations'
                proc.wait_until(lambda: list(where.glob('*/snapshots/*.snapshot.*')), 120,
                                lambda: 'no snapshot: ' + agent.text()[-2000:], dead=lambda: not agent.alive(),
                                poll=0.002)
                t = time.monotonic() - t0
                time.sleep(0.2)
                m = memory(agent.pid)
                report('first snapshot of 256 MB', who, f'{t:.2f} s', f'{m["VmHWM"]:.0f} MB peak RSS')
                agent.stop()
        shutil.rmtree(tree)

    # -- a lone commit -------------------------------------------------------------------------
    def latency(self):
        for who in ('walback', 'Litestream 0.3.13'):
            folder = self.folder / 'latency'
            folder.mkdir()
            db = sqlite.create(folder / 'app.db')
            target = self.target()
            agent = (self.walback.replicate(db, target) if who == 'walback' else
                     litestream.Litestream('0.3.13', self.folder).replicate(db, target.litestream,
                                                                            **{'sync-interval': '1s'}))
            with agent:
                root = self.server.folder / 'data' / target.client.bucket / 'db/generations'
                proc.wait_until(lambda: list(root.glob('*/snapshots/*')), 60, 'a snapshot')
                conn = sqlite.connect(db)
                times = []
                for n in range(12):
                    time.sleep(2.1 + n * 0.083)
                    wal = next(root.glob('*/wal'), None)
                    before = set(os.listdir(wal)) if wal else set()
                    sqlite.add_rows(conn, 1, seed=n)
                    t0 = time.monotonic()
                    while time.monotonic() - t0 < 10:
                        wal = wal or next(root.glob('*/wal'), None)
                        if wal and set(os.listdir(wal)) - before:
                            break
                        time.sleep(0.0005)
                    times.append((time.monotonic() - t0) * 1000)
                conn.close()
                agent.stop()
            report('lone commit in the store', who, f'median {statistics.median(times):.0f} ms',
                   f'max {max(times):.0f} ms')
            shutil.rmtree(folder)

    # -- a flat-out writer ---------------------------------------------------------------------
    def writer(self):
        speeds = {}
        for turn in range(3):
            for who in ('alone', 'beside walback', 'walback, a folder', 'beside Litestream'):
                folder = self.folder / 'writer'
                folder.mkdir()
                db = sqlite.create(folder / 'app.db')
                agent = None
                if who != 'alone':
                    target = wb.file_target(folder / 'replica') if 'folder' in who else self.target()
                    agent = (self.walback.replicate(db, target) if 'walback' in who else
                             litestream.Litestream('0.3.13', self.folder).replicate(db, target.litestream,
                                                                                    **{'sync-interval': '1s'}))
                    time.sleep(2)
                _, _, o, _ = measured([TOOLS / 'writer', db, 8], proc.clean_env(), poll=0.1)
                if agent:
                    if not agent.alive():
                        sys.exit(f'the agent ended: {agent.text()[-3000:]}')
                    try:
                        agent.stop(timeout=60)
                    except AssertionError as hang:      # Litestream 0.3.13 does, now and then
                        print(f'{who}: {str(hang).splitlines()[0]}', flush=True)
                speeds.setdefault(who, []).append(json.loads(o))
                shutil.rmtree(folder)
        alone = statistics.median(x['per_second'] for x in speeds['alone'])
        for who, runs in speeds.items():
            r = sorted(runs, key=lambda x: x['per_second'])[1]
            report('flat-out writer', who, f'{r["per_second"]:.0f}/s', f'{100 * r["per_second"] / alone:.0f} %',
                   f'p50 {r["p50_ms"]:.2f} p99 {r["p99_ms"]:.2f} max {r["max_ms"]:.0f} ms',
                   f'WAL {max(x["wal_max_bytes"] for x in runs) / 1e6:.1f} MB')

    # -- starting ------------------------------------------------------------------------------
    def start(self):
        times = {'version': [], 'empty': []}
        commands = {'version': [self.walback.exe, 'version'], 'empty': [str(TOOLS / 'empty')]}
        with open(os.devnull, 'wb') as null:
            for _ in range(300):
                for name, args in commands.items():
                    t0 = time.perf_counter()
                    pid = os.posix_spawn(args[0], args, {}, file_actions=[(os.POSIX_SPAWN_DUP2, null.fileno(), 1)])
                    os.waitpid(pid, 0)
                    times[name].append((time.perf_counter() - t0) * 1000)
        v, e = (statistics.median(times[k]) for k in ('version', 'empty'))
        report('walback version', 'walback', f'{v:.2f} ms', f'{v - e:+.2f} ms against an empty program')

    # -- idle ----------------------------------------------------------------------------------
    def idle(self):
        for who in ('walback', 'Litestream 0.3.13'):
            folder = self.folder / 'idle'
            folder.mkdir()
            db = sqlite.create(folder / 'app.db')
            target = self.target()
            agent = (self.walback.replicate(db, target) if who == 'walback' else
                     litestream.Litestream('0.3.13', self.folder).replicate(db, target.litestream))
            with agent:
                conn = sqlite.connect(db)
                time.sleep(2)
                sqlite.add_rows(conn, 5)
                time.sleep(5)
                m = memory(agent.pid)
                report('idle, one database', who, f'RssAnon {m["RssAnon"]:.1f} MB', f'RSS {m["VmRSS"]:.1f} MB')
                conn.close()
                agent.stop()
            shutil.rmtree(folder)


def fsync_seconds(text):
    """What restore --json says about its final fsync."""
    return json.loads(text.strip().splitlines()[-1])['fsync_ms'] / 1000


def main():
    names = sys.argv[1:] or ['restore', 'snapshot', 'latency', 'writer', 'start', 'idle']
    if not (TOOLS / 'gen_tree').exists():
        sys.exit('run `make bench`, which builds what this needs')
    tools.binary()
    folder = Path(tempfile.mkdtemp(prefix='walback-bench-'))
    bench = Bench(folder)
    try:
        for name in names:
            getattr(bench, name)()
    finally:
        bench.close()
        shutil.rmtree(folder, ignore_errors=True)
    print('\n' + '\n'.join('| ' + ' | '.join(row) + ' |' for row in table))


if __name__ == '__main__':
    main()
