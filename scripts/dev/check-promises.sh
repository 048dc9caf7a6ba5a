#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every test that README's table of promises names exists: "tests/it/test_x.py::test_name" or
# "tests/unit/test_x.c::name".  And there is a promise with a test at all.
set -eu
cd "$(dirname "$0")/../.."
bad=0
# shellcheck disable=SC2016
named=$(sed -n '/^## Promises/,/^## [^P]/p' README.md | grep -o '`tests/[^`]*::[^`]*`' | tr -d '`' | sort -u)
if [ -z "$named" ]; then
	echo 'check-promises.sh: README.md names no test under "## Promises"' >&2
	exit 1
fi
for t in $named; do
	file=${t%%::*} name=${t##*::}
	case $file in
	*.py) pattern="^[[:space:]]*def $name(" ;;
	*.c) pattern="^static void $name(void \*\*" ;;
	*) pattern="$name" ;;
	esac
	if ! [ -f "$file" ] || ! grep -q "$pattern" "$file"; then
		echo "check-promises.sh: README.md names $t, which does not exist" >&2
		bad=1
	fi
done
# A promise without a test is none: every line of the table names at least one.
sed -n '/^## Promises/,/^## [^P]/p' README.md | grep '^|' | tail -n +3 | while read -r line; do
	case $line in
	*'`tests/'*) ;;
	*)
		echo "check-promises.sh: a promise without a test: $line" >&2
		exit 1
		;;
	esac
done || bad=1
exit $bad
