# SPDX-License-Identifier: Apache-2.0
"""The store suite (tests/unit/store_suite.h) on real S3 servers."""
import subprocess

import pytest
from testenv import proc, s3, tools, walback as wb


def helper(name):
    """A program of tests/it beside the one under test."""
    path = tools.Path(tools.binary()).parent / 'tests/it' / name
    if not path.exists():
        pytest.fail(f'{path} is not there: run make it-build')
    return path


def run_suite(endpoint, bucket, *more):
    env = proc.clean_env({'LITESTREAM_ACCESS_KEY_ID': s3.ACCESS, 'LITESTREAM_SECRET_ACCESS_KEY': s3.SECRET})
    return subprocess.run([helper('store_s3'), endpoint, bucket, *more], env=env, timeout=300, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_the_store_suite_passes(any_s3):
    bucket = any_s3.bucket()
    # s3s-fs answers for folders too.
    r = run_suite(any_s3.endpoint, bucket.bucket, *(['loose'] if any_s3.name == 's3s-fs' else []))
    assert r.returncode == 0, r.stdout[-6000:]


def test_the_store_suite_passes_on_the_fake(fake_s3):
    """So it does what it should as the real ones do, and a fault told to it is the only difference."""
    r = run_suite(fake_s3.endpoint, fake_s3.bucket().bucket, 'atomic')
    assert r.returncode == 0, r.stdout[-6000:]
    assert not fake_s3.uploads, 'an upload was left behind'


@pytest.mark.slow
def test_the_store_suite_passes_through_a_slow_link(s3_proxy, versitygw):
    s3_proxy.latency(5)
    r = run_suite(s3_proxy.endpoint, versitygw.bucket().bucket)
    assert r.returncode == 0, r.stdout[-6000:]


def test_a_profile_of_the_shared_files_gives_the_keys(walback, versitygw, tmp_path):
    bucket = versitygw.bucket()
    target = wb.s3_target(versitygw, bucket)
    (tmp_path / '.aws').mkdir()
    (tmp_path / '.aws/credentials').write_text(f'[laptop]\naws_access_key_id = {s3.ACCESS}\n'
                                               f'aws_secret_access_key = {s3.SECRET}\n')
    home = {'HOME': tmp_path, 'AWS_SHARED_CREDENTIALS_FILE': None, 'AWS_CONFIG_FILE': None}
    walback.run('generations', target.url, env={**home, 'AWS_PROFILE': 'laptop'}).ok()
    r = walback.run('generations', target.url, env={**home, 'AWS_PROFILE': 'server'}).fails(12)
    assert 'the profile server is in neither' in r.err and s3.SECRET not in r.err, r
    r = walback.run('generations', target.url, env=home).fails(12)
    assert 'no credentials for S3' in r.err, r
