# SPDX-License-Identifier: Apache-2.0
"""Signatures of random requests equal botocore's."""
import datetime
import hashlib
import json
import random
import subprocess
from urllib.parse import quote

import pytest
from test_store_s3 import helper

REQUESTS = 500
ALPHABET = list("abcXYZ019-._~ /+=&%?#:@!$'()*,;<>[]^`{|}\"\\") + ['é', '€', '😀', '\u00a0', '~', 'ß']


def word(rng, most, least=0, chars=None):
    return ''.join(rng.choice(chars or ALPHABET) for _ in range(rng.randint(least, most)))


def make(rng):
    now = datetime.datetime(2015 + rng.randint(0, 30), rng.randint(1, 12), rng.randint(1, 28),
                            rng.randint(0, 23), rng.randint(0, 59), rng.randint(0, 59),
                            tzinfo=datetime.timezone.utc)
    query = {word(rng, 12, 1): word(rng, 20) for _ in range(rng.randint(0, 6))}
    headers = {'x-amz-meta-' + word(rng, 8, 1, 'abcdef-'): word(rng, 20, 0, 'ab  c,;="') for _ in range(rng.randint(0, 4))}
    body = rng.randbytes(rng.randint(0, 50))
    return {'now': now, 'method': rng.choice(['GET', 'PUT', 'POST', 'HEAD', 'DELETE']),
            'path': '/' + word(rng, 40), 'query': query, 'headers': headers, 'body': body,
            'region': rng.choice(['us-east-1', 'auto', 'eu-central-1']),
            'id': word(rng, 20, 8, 'ABCDEFGH234567'), 'secret': word(rng, 40, 8, 'abc+/XYZ012=')}


def by_botocore(monkeypatch, r):
    auth, awsrequest, credentials = (pytest.importorskip(f'botocore.{m}') for m in ('auth', 'awsrequest', 'credentials'))
    if hasattr(auth, 'get_current_datetime'):
        monkeypatch.setattr(auth, 'get_current_datetime', lambda *a, **k: r['now'].replace(tzinfo=None))
    else:
        class Clock(datetime.datetime):
            @classmethod
            def utcnow(cls):
                return r['now'].replace(tzinfo=None)
        monkeypatch.setattr(auth.datetime, 'datetime', Clock)
    request = awsrequest.AWSRequest(method=r['method'], url='https://s3.example.com' + quote(r['path'], safe='/-._~'),
                                    headers=dict(r['headers']), params=dict(r['query']), data=r['body'])
    auth.S3SigV4Auth(credentials.Credentials(r['id'], r['secret']), 's3', r['region']).add_auth(request)
    return request.headers['Authorization']


def for_ours(r):
    digest = hashlib.sha256(r['body']).hexdigest()
    headers = {'Host': 's3.example.com', 'X-Amz-Date': r['now'].strftime('%Y%m%dT%H%M%SZ'),
               'X-Amz-Content-SHA256': digest, **r['headers']}
    return json.dumps({'method': r['method'], 'path': r['path'], 'qn': list(r['query']), 'qv': list(r['query'].values()),
                       'hn': list(headers), 'hv': list(headers.values()), 'hash': digest, 'region': r['region'],
                       'id': r['id'], 'secret': r['secret'], 'now_ms': int(r['now'].timestamp() * 1000)})


def test_signatures_equal_botocores(monkeypatch):
    pytest.importorskip('botocore', reason='botocore is not installed (pip install botocore)')
    rng = random.Random(20261121)
    requests = [make(rng) for _ in range(REQUESTS)]
    out = subprocess.run([helper('sign_s3')], input='\n'.join(map(for_ours, requests)) + '\n', text=True,
                         capture_output=True, timeout=60, check=True).stdout.splitlines()
    assert len(out) == REQUESTS
    for r, ours in zip(requests, out):
        assert ours == by_botocore(monkeypatch, r), r
    assert len(set(out)) == REQUESTS
