#!/bin/sh
# Fail when a folder includes a header from a folder above it, or when a
# third-party header is used outside the one file that may use it.
set -eu
status=0

layer() { # layer FOLDER ALLOWED...
	dir=$1
	shift
	ok=$(printf '|%s' "$@")
	if grep -rnE '^#include "[a-z0-9]+/' --include='*.[ch]' "$dir" |
		grep -vE "#include \"(${ok#|})/"; then
		echo "check-layers: $dir/ may include only: $*" >&2
		status=1
	fi
}

# Inside agent/, whose top holds what all of it may use.
part() { # part FOLDER ALLOWED...
	dir=agent/$1
	ok="$1/|[a-z_0-9]+\\.h"
	shift
	for d in "$@"; do
		ok="$ok|$d/"
	done
	if grep -rnE '^#include "agent/' --include='*.[ch]' "$dir" | grep -vE "#include \"agent/($ok)"; then
		echo "check-layers: $dir/ may include of agent/ only its top and: $*" >&2
		status=1
	fi
}

only() { # only HEADER FILE...
	header=$1
	shift
	ok=$(printf '|%s' "$@")
	if grep -rnE "^#include <($header)>" --include='*.[ch]' base wal s3 agent cmd |
		grep -vE "^(${ok#|}):"; then
		echo "check-layers: <$header> belongs to: $*" >&2
		status=1
	fi
}

layer base base
layer wal base wal
layer s3 base s3
layer agent base wal s3 agent
layer cmd base wal s3 agent cmd

part config
part swap
part store config
part restore config store swap
part replicate config store swap
part run config store swap restore replicate

only 'sqlite3\.h' 'wal/sqlite[a-z_]*\.c'
only 'zstd.*\.h|lz4.*\.h' 'wal/codec[a-z_0-9]*\.c'
only 'xxhash\.h' 'base/hash\.[ch]'
only 'openssl/.*' 'base/hash\.c' 'base/clock\.c' 'base/random\.c'
only 'curl/.*' 's3/http[a-z_]*\.c'
only 'libxml/.*' 's3/xml\.c'
only 'jansson\.h' 'base/json\.c'
only 'yaml\.h' 'agent/config/config_yaml\.c'
only 'microhttpd\.h' 'agent/httpd\.c'
exit $status
