# SPDX-License-Identifier: Apache-2.0
"""A store behind https: whose certificates count, and what is said of others."""
import shutil
import subprocess

import pytest

from testenv import s3, sqlite
from testenv.walback import s3_target


class Tls(s3.Versitygw):
    """With a certificate of its own, for one address."""
    name, address = 'versitygw-tls', '127.0.0.1'

    def certificate(self):
        return self.folder / 'cert.pem'

    def args(self):
        if not self.certificate().exists():
            subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/CN=test',
                            '-addext', f'subjectAltName=IP:{self.address}', '-keyout', self.folder / 'key.pem',
                            '-out', self.certificate()], check=True, capture_output=True, timeout=60)
        words = super().args()
        return [*words[:1], '--cert', self.certificate(), '--key', self.folder / 'key.pem', *words[1:]]

    @property
    def endpoint(self):
        return f'https://127.0.0.1:{self.port}'

    def bucket(self, name='tls-bucket'):
        """A bucket is a folder of versitygw: the signed client of these tests speaks http only."""
        (self.folder / 'data' / name).mkdir(exist_ok=True)
        return self.client(name)


class OtherName(Tls):
    name, address = 'versitygw-other-name', '127.0.0.2'


def running(kind, tmp_path_factory):
    server = kind(tmp_path_factory.mktemp(kind.name))
    yield server
    server.stop()


@pytest.fixture(scope='module')
def tls(tmp_path_factory):
    yield from running(Tls, tmp_path_factory)


@pytest.fixture(scope='module')
def other_name(tmp_path_factory):
    yield from running(OtherName, tmp_path_factory)


@pytest.fixture
def hashed(tls, tmp_path):
    """A folder of certificates as OpenSSL looks them up."""
    name = subprocess.run(['openssl', 'x509', '-hash', '-noout', '-in', tls.certificate()], check=True,
                          capture_output=True, text=True, timeout=20).stdout.strip()
    (tmp_path / 'certs').mkdir()
    shutil.copy(tls.certificate(), tmp_path / f'certs/{name}.0')
    return tmp_path / 'certs'


def test_a_certificate_nobody_vouches_for_is_refused_at_once(walback, tls, tmp_path):
    target = s3_target(tls, tls.bucket())
    for words in (['generations', target.url], ['restore', '-if-replica-exists', '-o', tmp_path / 'x.db', target.url]):
        r = walback.run(*words, env=target.env).fails(11)
        assert f'the certificate of 127.0.0.1:{tls.port} is not trusted' in r.err and 'code=tls_failed' in r.err, r
        assert 'next: install ca-certificates, or set SSL_CERT_FILE' in r.err and ' tries' not in r.err, r


@pytest.mark.parametrize('env', [('AWS_CA_BUNDLE',), ('SSL_CERT_FILE',), ('SSL_CERT_DIR',),
                                 ('AWS_CA_BUNDLE=', 'SSL_CERT_FILE', 'SSL_CERT_DIR='), ('skip-verify',)], ids='+'.join)
def test_ways_to_vouch_for_a_certificate(walback, tls, hashed, db, tmp_path, env):
    target = s3_target(tls, tls.bucket(), prefix='+'.join(env).replace('=', ''))
    keys = {'skip-verify': True} if env == ('skip-verify',) else {}
    where = {'AWS_CA_BUNDLE': tls.certificate(), 'SSL_CERT_FILE': tls.certificate(), 'SSL_CERT_DIR': hashed}
    # An empty value is as good as none.
    trust = {name.rstrip('='): where[name] if name in where else '' for name in env} if not keys else {}
    with walback.replicate(db, target, keys, env=trust) as agent:
        agent.wait_log('generation begun')
        assert agent.stop() == 0, agent.text()
    cfg = walback.config(db, target, replica_keys=keys)
    walback.run('restore', '-config', cfg, '-o', tmp_path / 'out.db', db, env={**target.env, **trust}).ok()
    assert sqlite.dump(tmp_path / 'out.db') == sqlite.dump(db)


def test_a_trusted_certificate_of_another_name_is_refused(walback, other_name):
    target = s3_target(other_name, other_name.bucket())
    env = {**target.env, 'SSL_CERT_FILE': other_name.certificate()}
    r = walback.run('generations', target.url, env=env).fails(11)
    assert 'code=tls_failed' in r.err, r


def test_a_bundle_that_is_not_there_is_named(walback, tls):
    target = s3_target(tls, tls.bucket())
    r = walback.run('generations', target.url, env={**target.env, 'AWS_CA_BUNDLE': '/nonexistent/ca.pem'}).fails(11)
    assert '/nonexistent/ca.pem' in r.err, r
