# SPDX-License-Identifier: Apache-2.0
"""Real S3 servers on loopback and a small signed client (SigV4, path style) to set things up with."""
import hashlib
import hmac
import http.client
import time
import uuid
from pathlib import Path
from urllib.parse import quote, unquote
from xml.etree import ElementTree

from . import proc, tools

ACCESS, SECRET, REGION = 'testkey', 'testsecret-0123456789', 'us-east-1'


class S3Error(Exception):
    """A status that is no success; .status and .code say which."""

    def __init__(self, status, body):
        self.status = status
        start = body.find(b'<Code>')
        self.code = body[start + 6:body.find(b'</Code>')].decode() if start >= 0 else ''
        super().__init__(f'{status} {self.code}: {body[:300]!r}')


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Client:
    """One bucket of one server."""

    def __init__(self, port, bucket, access=ACCESS, secret=SECRET):
        self.port, self.bucket, self.access, self.secret = port, bucket, access, secret

    def request(self, method, key='', query=None, body=b'', headers=None):
        """(status, headers, body); the key is encoded here.  The bucket itself: key ''."""
        path = quote(f'/{self.bucket}/{key}' if key else f'/{self.bucket}', safe='/-._~')
        pairs = sorted((quote(k, safe='-._~'), quote(str(v), safe='-._~')) for k, v in (query or {}).items())
        qs = '&'.join(f'{k}={v}' for k, v in pairs)
        stamp = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
        digest = hashlib.sha256(body).hexdigest()
        signed = {'host': f'127.0.0.1:{self.port}', 'x-amz-content-sha256': digest, 'x-amz-date': stamp}
        signed.update({k.lower(): v for k, v in (headers or {}).items()})
        names = ';'.join(sorted(signed))
        canonical = '\n'.join([method, path, qs, *(f'{k}:{signed[k]}' for k in sorted(signed)), '', names, digest])
        scope = f'{stamp[:8]}/{REGION}/s3/aws4_request'
        text = f'AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}'
        k = _hmac(_hmac(_hmac(_hmac(b'AWS4' + self.secret.encode(), stamp[:8]), REGION), 's3'), 'aws4_request')
        signed['authorization'] = (f'AWS4-HMAC-SHA256 Credential={self.access}/{scope}, SignedHeaders={names}, '
                                   f'Signature={_hmac(k, text).hex()}')
        c = http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
        try:
            c.request(method, path + ('?' + qs if qs else ''), body, signed)
            r = c.getresponse()
            return r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read()
        finally:
            c.close()

    def _do(self, *a, **k):
        status, headers, body = self.request(*a, **k)
        if status >= 300:
            raise S3Error(status, body)
        return headers, body

    def create_bucket(self):
        self._do('PUT')
        return self

    def put(self, key, body, **headers):
        return self._do('PUT', key, body=body, headers=headers)[0].get('etag')

    def get(self, key):
        return self._do('GET', key)[1]

    def exists(self, key):
        status, _, body = self.request('HEAD', key)
        if status not in (200, 404):
            raise S3Error(status, body)
        return status == 200

    def delete(self, key):
        self._do('DELETE', key)

    def list(self, prefix=''):
        """{key: size} of everything below the prefix."""
        found, token = {}, None
        while True:
            query = {'list-type': 2, 'prefix': prefix}
            if token:
                query['continuation-token'] = token
            root = ElementTree.fromstring(self._do('GET', query=query)[1])
            for e in root.iter():
                e.tag = e.tag.rpartition('}')[2]
            for c in root.findall('Contents'):
                key = c.findtext('Key')
                if root.findtext('EncodingType') == 'url':
                    key = unquote(key.replace('+', ' '))
                found[key] = int(c.findtext('Size'))
            token = root.findtext('NextContinuationToken')
            if root.findtext('IsTruncated') != 'true' or not token:
                return found

    def put_tree(self, folder, prefix=''):
        """Every file of a folder, at its relative path."""
        folder = Path(folder)
        for f in sorted(p for p in folder.rglob('*') if p.is_file()):
            rel = f.relative_to(folder).as_posix()
            self.put(f'{prefix}/{rel}' if prefix else rel, f.read_bytes())

    def get_tree(self, folder, prefix=''):
        """Every object below the prefix into files of a folder."""
        for key in self.list(prefix):
            path = Path(folder) / key[len(prefix):].lstrip('/')
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.get(key))


class Server:
    """A server process; .port, .name, .conditional (does it keep If-None-Match?)."""
    name, conditional = '?', True

    def __init__(self, folder, port=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or proc.free_port()
        self.proc = None
        self.start()

    def args(self):
        raise NotImplementedError

    def env(self):
        return proc.clean_env()

    def start(self):
        self.proc = proc.Proc(self.args(), self.folder / 'server.log', self.env(), cwd=self.folder)
        proc.wait_port(self.port, self.proc)

    def stop(self):
        """The same port and data come back with start()."""
        if self.proc:
            self.proc.kill()
            self.proc = None

    @property
    def endpoint(self):
        return f'http://127.0.0.1:{self.port}'

    def client(self, bucket):
        return Client(self.port, bucket)

    def bucket(self, name=None):
        """A new bucket's client."""
        return self.client(name or 'b-' + uuid.uuid4().hex[:16]).create_bucket()


class Versitygw(Server):
    """Strict SigV4, AWS semantics for conditional writes; data in plain files below data/.  Its metadata lies
    in files of its own; with xattr = True in extended attributes, which costs less a request."""
    name, xattr = 'versitygw', False

    def args(self):
        for d in ('data', 'meta', 'ver'):
            (self.folder / d).mkdir(exist_ok=True)
        meta = [] if self.xattr else ['--sidecar', self.folder / 'meta']
        return [tools.need('versitygw'), '--port', f'127.0.0.1:{self.port}', '--region', REGION, '--quiet',
                'posix', *meta, self.folder / 'data']

    def env(self):
        return proc.clean_env({'ROOT_ACCESS_KEY': ACCESS, 'ROOT_SECRET_KEY': SECRET})


class S3sFs(Server):
    """Small independent server in another language; the second opinion."""
    name = 's3s-fs'

    def args(self):
        (self.folder / 'data').mkdir(exist_ok=True)
        return [tools.need('s3s-fs'), '--access-key', ACCESS, '--secret-key', SECRET, '--host', '127.0.0.1',
                '--port', self.port, self.folder / 'data']


class RcloneS3(Server):
    """Ignores If-None-Match and If-Match without a word: the store that fencing must recognise."""
    name, conditional = 'rclone', False

    def args(self):
        (self.folder / 'data').mkdir(exist_ok=True)
        return [tools.need('rclone'), '--config', '/dev/null', 'serve', 's3', '--addr', f'127.0.0.1:{self.port}',
                '--auth-key', f'{ACCESS},{SECRET}', self.folder / 'data']


SERVERS = {c.name: c for c in (Versitygw, S3sFs, RcloneS3)}
