#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# scripts/dev/deps.sh build|test: install the Debian packages to build and run walback, or also
# those its tests need.  Does nothing when all are there; otherwise needs root or sudo.
set -eu

build='build-essential pkg-config ca-certificates sqlite3 libsqlite3-dev libcurl4-openssl-dev
	libssl-dev libxml2-dev libzstd-dev liblz4-dev libxxhash-dev libjansson-dev libyaml-dev
	libmicrohttpd-dev'
tests='clang clang-format clang-tidy libclang-rt-14-dev llvm libcmocka-dev python3 python3-venv
	python3-pytest python3-botocore openssl shellcheck mandoc git strace zstd lz4 util-linux procps'

case ${1-} in
build) want=$build ;;
test) want="$build $tests" ;;
*)
	echo "usage: scripts/dev/deps.sh build|test" >&2
	exit 2
	;;
esac

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for p in $want; do
	installed "$p" || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "deps.sh: not a Debian system; what is needed here goes by these names there:$missing" >&2
	exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "deps.sh: missing packages; as root: apt-get install$missing" >&2
		exit 1
	fi
	as_root=sudo
fi

echo "deps.sh: installing$missing"
try() {
	for pause in 2 10 0; do
		"$@" </dev/null && return 0
		sleep "$pause"
	done
	return 1
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
if ! { try $as_root apt-get update -q &&
	try $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
		$missing; } >"$log" 2>&1; then
	tail -20 "$log" >&2
	echo "deps.sh: could not install:$missing" >&2
	exit 1
fi
