#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# scripts/dev/pytest-twice.sh PYTHON [ARG...]: pytest, and once more for the tests that failed.
# A test that passes only the second time is named: it is a defect to mend, of the test or the program,
# but it does not hold up a change on a machine that was busy for a moment.
set -uo pipefail
python=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT

"$python" -m pytest "$@" 2>&1 | tee "$log"
rc=${PIPESTATUS[0]}
[ "$rc" -eq 1 ] || exit "$rc"

count() { sed -n "s/.*[^0-9]*\b\([0-9][0-9]*\) $1.*/\1/p" <<<" $(grep -E '^=*[ ]*[0-9]+ (passed|failed|skipped|error)' "$log" | tail -1)"; }
passed=$(count passed) failed=$(count failed) errors=$(count error) skipped=$(count skipped)
again=$((${failed:-0} + ${errors:-0}))
# So many at once are no accident.
[ "$again" -le 10 ] || exit 1
echo "== once more: $again that failed"
"$python" -m pytest --last-failed --last-failed-no-failures none "$@" || exit 1
grep -E '^(FAILED|ERROR) ' "$log" | sed 's/^/SKIPPED needed a second try: /'
echo "$((${passed:-0} + again)) passed, ${skipped:-0} skipped in two runs"
