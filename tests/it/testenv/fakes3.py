# SPDX-License-Identifier: Apache-2.0
"""An S3 server in this process, in memory, that fails on command.

What it does it does as S3 does it: strict SigV4 with signed payloads, conditional writes (one request at
a time, so that of several writers one wins), ranges, ListObjectsV2 by pages, copies, multi-delete, multipart.
That the store suite passes on it as on the real servers is what shows it faithful.  What only a server in
trouble does it does when told:

    fake.fault(status=503, code='SlowDown', headers={'Retry-After': '1'}, method='PUT', times=2)
    fake.fault(drop='after', key='head.json')              # done, and the connection closed without a word
    fake.fault(cut=0.5, probability=0.1, seed=7)           # half of the answer's body, then the end
    fake.fault(in_200='InternalError', method='POST')      # 200, and an <Error> for its body
    fake.fault(wait=3, nth={1, 4})

fake.seen holds every request: (method, key, query, status), status 0 for one that got no answer.
"""
import base64
import hashlib
import hmac
import http.server
import random
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from . import proc
from .s3 import ACCESS, REGION, SECRET, Client

SKEW_S = 15 * 60
PAGE = 1000


class Refused(Exception):
    """An error answer."""

    def __init__(self, status, code, message='', headers=None, extra=''):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message or code
        self.headers, self.extra = headers or {}, extra

    def body(self):
        return (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{self.code}</Code>'
                f'<Message>{escape(self.message)}</Message>{self.extra}<RequestId>F0</RequestId></Error>').encode()


@dataclass
class Object:
    data: bytes
    etag: str
    mtime: float


@dataclass
class Answer:
    status: int = 200
    body: bytes = b''
    headers: dict = field(default_factory=dict)


@dataclass
class Fault:
    """Which requests, and what becomes of them."""
    method: str = None
    key: str = None             # a part of the key
    nth: set = None             # of those that match, from 1 on
    times: int = None           # so many, then never again
    once_a_key: bool = False    # the first of each key
    probability: float = 1
    seed: int = 0
    status: int = None
    code: str = 'InternalError'
    headers: dict = field(default_factory=dict)
    body: bytes = None          # instead of the <Error>
    in_200: str = None
    drop: str = None            # 'before' it has an effect, or 'after'
    cut: float = None           # the part of the body that is sent
    wait: float = 0

    def __post_init__(self):
        self.matched = self.fired = 0
        self.keys = set()
        self.random = random.Random(self.seed)

    def fires(self, method, key):
        if (self.method and self.method != method) or (self.key is not None and self.key not in key):
            return False
        self.matched += 1
        first = key not in self.keys
        self.keys.add(key)
        if self.once_a_key and not first:
            return False
        if (self.nth and self.matched not in self.nth) or (self.times is not None and self.fired >= self.times):
            return False
        if self.random.random() >= self.probability:
            return False
        self.fired += 1
        return True


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _etag(data):
    return f'"{hashlib.md5(data).hexdigest()}"'     # nosec: S3's own


def _iso(t):
    return time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime(t))


class FakeS3:
    """As testenv.s3.Server, without a process."""
    name, conditional = 'fake', True

    def __init__(self, region=REGION, port=None):
        self.region, self.port = region, port or proc.free_port()
        self.lock = threading.Lock()                # of what follows
        self.buckets, self.uploads = {}, {}
        self.faults, self.seen = [], []
        self.clock_offset = 0                       # seconds that its clock is ahead
        self.page = PAGE
        self.http = None
        self.start()

    @property
    def endpoint(self):
        return f'http://127.0.0.1:{self.port}'

    def start(self):
        fake = self

        class Handler(_Handler):
            """Bound to this server."""
            server_of = fake

        self.http = _Http(('127.0.0.1', self.port), Handler)
        threading.Thread(target=self.http.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True).start()

    def stop(self):
        """What is stored stays, for another start()."""
        if self.http:
            self.http.shutdown()
            self.http.server_close()
            self.http = None

    def client(self, bucket):
        return Client(self.port, bucket)

    def bucket(self, name=None):
        return self.client(name or f'b-{random.getrandbits(64):016x}').create_bucket()

    def fault(self, **what):
        with self.lock:
            self.faults.append(Fault(**what))
            return self.faults[-1]

    def heal(self):
        with self.lock:
            self.faults.clear()

    def now(self):
        return time.time() + self.clock_offset

    def pick_fault(self, method, key):
        """The first that fires; all count."""
        with self.lock:
            fired = [f for f in self.faults if f.fires(method, key)]
        return fired[0] if fired else None

    # -- who asks ------------------------------------------------------------------------------
    def authorize(self, method, path, query, headers, body):
        """Raises Refused unless the signature is the right one."""
        m = re.fullmatch(r'AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?'
                         r'SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})', headers.get('authorization', ''))
        if not m:
            raise Refused(403, 'AccessDenied', 'this store is not open to everybody')
        access, day, region, names, signature = m.groups()
        stamp, digest = headers.get('x-amz-date', ''), headers.get('x-amz-content-sha256', '')
        if access != ACCESS:
            raise Refused(403, 'InvalidAccessKeyId')
        if region != self.region:
            raise Refused(400, 'AuthorizationHeaderMalformed', f'the region {region!r} is wrong',
                          {'x-amz-bucket-region': self.region}, f'<Region>{self.region}</Region>')
        try:
            at = time.mktime(time.strptime(stamp, '%Y%m%dT%H%M%SZ')) - time.timezone
        except ValueError:
            raise Refused(403, 'AccessDenied', 'x-amz-date') from None
        if abs(at - self.now()) > SKEW_S:
            raise Refused(403, 'RequestTimeTooSkewed')
        must = {'host'} | {h for h in headers if h.startswith('x-amz-')}
        if not must <= set(names.split(';')):
            raise Refused(403, 'AccessDenied', f'not signed: {must - set(names.split(";"))}')
        canonical = '\n'.join([
            method, path, '&'.join(sorted(p if '=' in p else p + '=' for p in query.split('&') if p)),
            *(f'{n}:{" ".join(headers.get(n, "").split())}' for n in names.split(';')), '', names, digest])
        scope = f'{day}/{region}/s3/aws4_request'
        text = f'AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}'
        key = _hmac(_hmac(_hmac(_hmac(b'AWS4' + SECRET.encode(), day), region), 's3'), 'aws4_request')
        if not hmac.compare_digest(_hmac(key, text).hex(), signature):
            raise Refused(403, 'SignatureDoesNotMatch')
        if hashlib.sha256(body).hexdigest() != digest:
            raise Refused(400, 'XAmzContentSHA256Mismatch')
        md5 = headers.get('content-md5')
        if md5 and base64.b64encode(hashlib.md5(body).digest()).decode() != md5:    # nosec
            raise Refused(400, 'BadDigest')

    # -- what is asked: with the lock ----------------------------------------------------------
    def answer(self, method, path, query, headers, body):
        bucket, _, key = unquote(path.lstrip('/')).partition('/')
        q = dict(parse_qsl(query, keep_blank_values=True))
        if method == 'PUT' and not key:
            self.buckets.setdefault(bucket, {})
            return Answer()
        if bucket not in self.buckets:
            raise Refused(404, 'NoSuchBucket')
        objects = self.buckets[bucket]
        if not key:
            return self._on_bucket(method, bucket, objects, q, body)
        if 'uploadId' in q or 'uploads' in q:
            return self._multipart(method, (bucket, key), objects, q, headers, body)
        if method in ('GET', 'HEAD'):
            return self._get(objects, key, headers)
        if method == 'PUT':
            return self._put(objects, key, headers, body)
        if method == 'DELETE':
            objects.pop(key, None)
            return Answer(204)
        raise Refused(405, 'MethodNotAllowed')

    def _on_bucket(self, method, bucket, objects, q, body):
        if method == 'GET' and q.get('list-type') == '2':
            return self._list(bucket, objects, q)
        if method == 'POST' and 'delete' in q:
            root = ElementTree.fromstring(body)
            keys = [e.text or '' for e in root.iter() if e.tag.rpartition('}')[2] == 'Key']
            for k in keys:
                objects.pop(k, None)
            return Answer(body=b'<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></DeleteResult>')
        if method == 'HEAD':
            return Answer(headers={'x-amz-bucket-region': self.region})
        raise Refused(501, 'NotImplemented')

    @staticmethod
    def _conditions(objects, key, headers):
        there = objects.get(key)
        if headers.get('if-none-match') == '*' and there:
            raise Refused(412, 'PreconditionFailed')
        match = headers.get('if-match')
        if match and not there:
            raise Refused(404, 'NoSuchKey')
        if match and match != there.etag:
            raise Refused(412, 'PreconditionFailed')

    def _put(self, objects, key, headers, body):
        source = headers.get('x-amz-copy-source')
        if source is not None:
            bucket, _, name = unquote(source).lstrip('/').partition('/')
            found = self.buckets.get(bucket, {}).get(name)
            if not found:
                raise Refused(404, 'NoSuchKey')
            body = found.data
        self._conditions(objects, key, headers)
        o = objects[key] = Object(body, _etag(body), self.now())
        if source is None:
            return Answer(headers={'ETag': o.etag})
        return Answer(body=(f'<CopyObjectResult><ETag>{escape(o.etag)}</ETag>'
                            f'<LastModified>{_iso(o.mtime)}</LastModified></CopyObjectResult>').encode())

    @staticmethod
    def _get(objects, key, headers):
        o = objects.get(key)
        if not o:
            raise Refused(404, 'NoSuchKey')
        if headers.get('if-match') not in (None, o.etag):
            raise Refused(412, 'PreconditionFailed')
        common = {'ETag': o.etag, 'Accept-Ranges': 'bytes',
                  'Last-Modified': time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime(o.mtime))}
        m = re.fullmatch(r'bytes=(\d+)-(\d*)', headers.get('range', ''))
        if not m:
            return Answer(200, o.data, common)
        first, last = int(m[1]), min(int(m[2] or len(o.data) - 1), len(o.data) - 1)
        if first >= len(o.data):
            raise Refused(416, 'InvalidRange', headers={'Content-Range': f'bytes */{len(o.data)}'})
        return Answer(206, o.data[first:last + 1],
                      {**common, 'Content-Range': f'bytes {first}-{last}/{len(o.data)}'})

    def _list(self, bucket, objects, q):
        prefix, delimiter = q.get('prefix', ''), q.get('delimiter', '')
        after = unquote(q['continuation-token']) if 'continuation-token' in q else q.get('start-after', '')
        room = min(int(q.get('max-keys', self.page)), self.page)
        rows, folders, last, more = [], [], after, False
        for key in sorted(k for k in objects if k.startswith(prefix) and k > after):
            folder = prefix + key[len(prefix):].partition(delimiter)[0] + delimiter if (
                delimiter and delimiter in key[len(prefix):]) else None
            if folder and (folder in folders or after.startswith(folder)):
                last = key
                continue
            if len(rows) + len(folders) == room:
                more = True
                break
            last = key
            if folder:
                folders.append(folder)
            else:
                rows.append(key)

        def name(s):
            return quote(s, safe='/') if q.get('encoding-type') == 'url' else escape(s)

        xml = ['<?xml version="1.0" encoding="UTF-8"?>',
               '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">',
               f'<Name>{bucket}</Name><Prefix>{name(prefix)}</Prefix><KeyCount>{len(rows) + len(folders)}</KeyCount>'
               f'<MaxKeys>{room}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>']
        if q.get('encoding-type') == 'url':
            xml.append('<EncodingType>url</EncodingType>')
        if more:
            xml.append(f'<NextContinuationToken>{escape(quote(last, safe=""))}</NextContinuationToken>')
        for key in rows:
            o = objects[key]
            xml.append(f'<Contents><Key>{name(key)}</Key><LastModified>{_iso(o.mtime)}</LastModified>'
                       f'<ETag>{escape(o.etag)}</ETag><Size>{len(o.data)}</Size>'
                       '<StorageClass>STANDARD</StorageClass></Contents>')
        xml += [f'<CommonPrefixes><Prefix>{name(f)}</Prefix></CommonPrefixes>' for f in folders]
        return Answer(body='\n'.join([*xml, '</ListBucketResult>']).encode(),
                      headers={'Content-Type': 'application/xml'})

    def _multipart(self, method, where, objects, q, headers, body):
        if method == 'POST' and 'uploads' in q:
            upload = f'{random.getrandbits(128):032x}'
            self.uploads[upload] = (where, {})
            return Answer(body=f'<InitiateMultipartUploadResult><UploadId>{upload}</UploadId>'
                               '</InitiateMultipartUploadResult>'.encode())
        found = self.uploads.get(q.get('uploadId'))
        if not found or found[0] != where:
            raise Refused(404, 'NoSuchUpload')
        parts = found[1]
        if method == 'PUT':
            parts[int(q['partNumber'])] = body
            return Answer(headers={'ETag': _etag(body)})
        if method == 'DELETE':
            del self.uploads[q['uploadId']]
            return Answer(204)
        if method != 'POST':
            raise Refused(405, 'MethodNotAllowed')
        return self._complete(where[1], objects, q['uploadId'], parts, headers, body)

    def _complete(self, key, objects, upload, parts, headers, body):
        asked = {}
        for part in ElementTree.fromstring(body):
            one = {e.tag.rpartition('}')[2]: e.text for e in part}
            asked[int(one['PartNumber'])] = one['ETag']
        if list(asked) != sorted(asked):
            raise Refused(400, 'InvalidPartOrder')
        if not asked or any(n not in parts or _etag(parts[n]) != e for n, e in asked.items()):
            raise Refused(400, 'InvalidPart')
        if any(len(parts[n]) < 5 << 20 for n in list(asked)[:-1]):
            raise Refused(400, 'EntityTooSmall')
        self._conditions(objects, key, headers)
        data = b''.join(parts[n] for n in asked)
        sums = b''.join(hashlib.md5(parts[n]).digest() for n in asked)      # nosec
        etag = f'"{hashlib.md5(sums).hexdigest()}-{len(asked)}"'            # nosec
        objects[key] = Object(data, etag, self.now())
        del self.uploads[upload]
        return Answer(body=(f'<CompleteMultipartUploadResult><Key>{escape(key)}</Key><ETag>{escape(etag)}</ETag>'
                            '</CompleteMultipartUploadResult>').encode())


class _Http(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        """A client that hangs up is no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    """HTTP and the faults; what S3 does is in FakeS3."""
    protocol_version = 'HTTP/1.1'
    server_of = None
    disable_nagle_algorithm = True

    def log_message(self, format, *args):           # pylint: disable=redefined-builtin
        pass

    def setup(self):
        super().setup()
        self.wfile = self.connection.makefile('wb', 1 << 16)

    def hang_up(self):
        """A reset, not an orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.connection.close()

    def one(self):
        fake = self.server_of
        path, _, query = self.path.partition('?')
        headers = {k.lower(): v for k, v in self.headers.items()}
        body = self.rfile.read(int(headers.get('content-length', 0)))
        key = unquote(path.lstrip('/')).partition('/')[2]
        fault = fake.pick_fault(self.command, key) or Fault()
        if fault.wait:
            time.sleep(fault.wait)
        if fault.drop == 'before':
            answer = None
        else:
            answer = self.answer(fault, path, query, headers, body)
        dropped = answer is None or fault.drop == 'after'
        with fake.lock:
            fake.seen.append((self.command, key, query, 0 if dropped else answer.status))
        if dropped:
            self.hang_up()
        else:
            self.send(answer, fault)

    def answer(self, fault, path, query, headers, body):
        fake = self.server_of
        try:
            if fault.status:
                raise Refused(fault.status, fault.code, headers=fault.headers)
            fake.authorize(self.command, path, query, headers, body)
            with fake.lock:
                answer = fake.answer(self.command, path, query, headers, body)
            if fault.in_200:
                answer = Answer(200, Refused(200, fault.in_200).body())
            return answer
        except Refused as r:
            return Answer(r.status, r.body() if fault.body is None else fault.body,
                          {'Content-Type': 'application/xml', **r.headers})

    def send(self, answer, fault):
        fake = self.server_of
        self.send_response_only(answer.status)
        self.send_header('Date', time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime(fake.now())))
        for k, v in answer.headers.items():
            self.send_header(k, v)
        if answer.status != 204:
            self.send_header('Content-Length', str(len(answer.body)))
        self.end_headers()
        body = b'' if self.command == 'HEAD' or answer.status == 204 else answer.body
        if fault.cut is None:
            self.wfile.write(body)
            self.wfile.flush()
            return
        self.wfile.write(body[:int(len(body) * fault.cut)])
        self.wfile.flush()
        self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = one
