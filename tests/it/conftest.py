# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the integration tests.  WALBACK_BIN: the program (default build/release/walback);
WALBACK_TOOLS: where the servers are; WALBACK_REQUIRE: tools whose absence is a failure."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

# pylint: disable=wrong-import-position
from testenv import fakes3, litestream, s3, sqlite, toxiproxy as toxi, walback as wb   # noqa: E402


@pytest.fixture
def walback(tmp_path):
    """Runs the program; its configs and logs lie in the test's folder."""
    return wb.Walback(tmp_path)


def _server(kind):
    @pytest.fixture(scope='session', name=kind.name.replace('-', '_'))
    def server(tmp_path_factory):
        running = kind(tmp_path_factory.mktemp(kind.name))
        yield running
        running.stop()

    return server


versitygw = _server(s3.Versitygw)      # the main S3 server
s3s_fs = _server(s3.S3sFs)             # the second one; skipped where it is not installed
rclone = _server(s3.RcloneS3)          # ignores conditional writes; skipped where it is not installed


@pytest.fixture
def fake_s3():
    """A server that fails on command; a new one for each test."""
    running = fakes3.FakeS3()
    yield running
    running.stop()


@pytest.fixture(params=['versitygw', 's3s_fs'])
def any_s3(request):
    """Each S3 server with working conditional writes in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def bucket(versitygw):
    """A new bucket (its signed client) on versitygw."""
    return versitygw.bucket()


@pytest.fixture
def s3_replica(versitygw, bucket):
    """A replica's place in a new bucket."""
    return wb.s3_target(versitygw, bucket)


@pytest.fixture
def any_s3_replica(any_s3):
    """A replica's place in a new bucket of each S3 server in turn."""
    return wb.s3_target(any_s3, any_s3.bucket())


@pytest.fixture
def file_replica(tmp_path):
    """A replica's place in a folder (not made yet)."""
    return wb.file_target(tmp_path / 'replica')


@pytest.fixture(params=['file', 's3'])
def replica(request):
    """A replica's place: a folder, then S3."""
    return request.getfixturevalue(f'{request.param}_replica')


@pytest.fixture(scope='session')
def toxiproxy(tmp_path_factory):
    server = toxi.Toxiproxy(tmp_path_factory.mktemp('toxiproxy'))
    yield server
    server.stop()


@pytest.fixture
def s3_proxy(toxiproxy, versitygw):
    """A proxy in front of versitygw, without faults until the test adds some."""
    with toxiproxy.proxy(versitygw.port) as p:
        yield p


@pytest.fixture
def proxied_replica(versitygw, bucket, s3_proxy):
    """A replica in S3 reached through s3_proxy."""
    return wb.s3_target(versitygw, bucket, endpoint=s3_proxy.endpoint)


@pytest.fixture
def litestream03(tmp_path):
    return litestream.Litestream('0.3.13', tmp_path)


@pytest.fixture
def litestream05(tmp_path):
    return litestream.Litestream('0.5.17', tmp_path)


@pytest.fixture
def db(tmp_path):
    """A small database in WAL mode, closed."""
    (tmp_path / 'data').mkdir()
    return sqlite.create(tmp_path / 'data' / 'app.db')
