#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# scripts/test.sh [STAGE...]: all checks and tests, from a fresh clone on Debian 12 to the verdict.
# Installs what is missing (as root or with sudo), fetches the test servers, and runs each stage with
# its own log in build/test/.  The first stage that fails ends it with the log's tail.  The last line
# is the count over all unit and integration tests.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
: "${HOME:=/root}"
export HOME LC_ALL=C.UTF-8
unset MAKEFLAGS MAKELEVEL

logs=build/test
mkdir -p $logs
[ $# -gt 0 ] || rm -f $logs/*.log
passed=0 failed=0 skipped=0
notes=()
jobs=$(nproc)
werror='-O2 -g -Werror'

verdict() {
	local n
	for n in "${notes[@]}"; do
		echo "skipped: $n"
	done
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ] || exit 1
	exit 0
}

# stage NAME SECONDS COMMAND...: run it, say how long it took, stop at the first failure.
stage() {
	local name=$1 limit=$2 log=$logs/$1.log t0=$SECONDS rc
	shift 2
	[ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " == *" $name "* ]] || return 0
	printf '== %-12s ' "$name"
	timeout --kill-after=20 "$limit" "$@" >"$log" 2>&1
	rc=$?
	if [ $rc -eq 0 ]; then
		echo "ok  $((SECONDS - t0)) s"
		return 0
	fi
	echo "FAILED  $((SECONDS - t0)) s (status $rc$([ $rc -ne 124 ] || echo ": over its $limit s"))"
	echo "-- the end of $log:"
	tail -n 60 "$log"
	[ "$name" = integration ] && count_pytest "$log"
	[ "$failed" -gt 0 ] || failed=1
	verdict
}

# Address-space randomisation of new kernels is more than the sanitizers of gcc 12 and clang 14 take.
fixed=(setarch "$(uname -m)" -R)
"${fixed[@]}" true 2>/dev/null || fixed=()

count_units() {
	local n
	while read -r n; do
		passed=$((passed + n))
	done < <(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$1")
	while read -r n; do
		skipped=$((skipped + n))
	done < <(sed -n 's/^\[  SKIPPED \] \([0-9]*\) test.*/\1/p' "$1")
}

# pytest's own summary line: "3 failed, 40 passed, 2 skipped, 1 error in 60.00s"
count_pytest() {
	local line
	line=$(grep -E '^=*[ ]*[0-9]+ (passed|failed|skipped|error)' "$1" | tail -1)
	word() { sed -n "s/.*[^0-9]*\b\([0-9][0-9]*\) $1.*/\1/p" <<<" $line"; }
	local p f s e
	p=$(word passed) f=$(word failed) s=$(word skipped) e=$(word error)
	passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0} + ${e:-0})) skipped=$((skipped + ${s:-0}))
	while read -r line; do
		notes+=("$line")
	done < <(sed -n 's/^SKIPPED //p' "$1")
}

python=
find_python() {
	local p
	for p in python3 /usr/bin/python3; do
		if "$p" -c 'import pytest, botocore' 2>/dev/null; then
			python=$p
			return 0
		fi
	done
	echo 'no python3 here has pytest and botocore (scripts/dev/deps.sh test)'
	return 1
}

only=("$@")
t_all=$SECONDS
stage packages 1200 scripts/dev/deps.sh test
stage tools 1800 scripts/dev/test-tools.sh
while read -r line; do
	notes+=("${line#test-tools.sh: skipped }")
done < <(grep -h '^test-tools.sh: skipped' $logs/tools.log 2>/dev/null)
find_python || {
	failed=1
	verdict
}
export WALBACK_REQUIRE=versitygw,toxiproxy-server,litestream-0.3.13,litestream-0.5.17

stage build-gcc 900 make -s -j"$jobs" CC=gcc CFLAGS="$werror" all unit-build it-build
stage unit 900 make -s CC=gcc CFLAGS="$werror" check
[ ! -f $logs/unit.log ] || count_units $logs/unit.log
stage build-clang 900 make -s -j"$jobs" MODE=clang CC=clang CFLAGS="$werror" all unit-build
stage lint 1800 make -s lint
stage model 300 "$python" -m pytest -q tests/model
stage asan 1500 "${fixed[@]}" make -s -j"$jobs" CC=gcc asan
stage tsan 1500 "${fixed[@]}" make -s -j"$jobs" CC=clang tsan
stage fuzz 1500 make -s -j"$jobs" fuzz FUZZ_TIME=10
stage coverage 2400 make -s -j"$jobs" coverage PYTHON="$python"
stage integration 2700 scripts/dev/pytest-twice.sh "$python" -q -rfEs tests/it -m 'not nightly'
[ ! -f $logs/integration.log ] || count_pytest $logs/integration.log
[ ! -f $logs/model.log ] || count_pytest $logs/model.log
echo "all stages in $((SECONDS - t_all)) s"
verdict
