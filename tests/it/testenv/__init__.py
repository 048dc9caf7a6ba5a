# SPDX-License-Identifier: Apache-2.0
"""What the integration tests share: real servers, real Litestream, SQLite as the oracle.

proc     processes with deadlines; whatever a test started is ended by its pid
tools    where the test programs are; skip (or fail, in CI) when one is missing
s3       versitygw, s3s-fs and rclone as S3 servers, and a small signed client
toxiproxy  a TCP proxy with latency, resets and outages
litestream runs the released Litestream 0.3.13 and 0.5.17
sqlite   databases, writers, page-for-page comparison
walback  runs the program under test in a clean environment
fixtures copies of tests/data with their file times set
"""
