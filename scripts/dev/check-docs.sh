#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# scripts/dev/check-docs.sh [PROGRAM]: the manual, the README and the completion
# script name what the program has, and nothing that it does not have.
set -eu
cd "$(dirname "$0")/../.."
program=${1:-build/release/walback}
manual=cmd/man/walback.1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
status=0

complain() {
	echo "check-docs: $*" >&2
	status=1
}

"$program" completion list >"$tmp/program"

# What the manual has, in the words of `completion list`: sections of COMMANDS and
# CONFIGURATION, their items, variables, and error codes.
awk '
	/^\.Sh / { part = $2; section = "" }
	/^\.Ss / {
		section = $2
		if (part == "COMMANDS" && NF == 2) print "command " section
		if (section == "Top") section = "-"
	}
	part == "COMMANDS" && /^\.It Fl / {
		owner = section == "Common" ? "*" : section
		print "option " owner " " $3
	}
	part == "CONFIGURATION" && section == "Keys" {
		for (i = 1; i <= NF; i++) if ($i == ".Cm" || $i == "Cm") print "note " $(i + 1)
	}
	part == "CONFIGURATION" && section != "Keys" && /^\.It Cm / { print "key " section " " $3 }
	part == "DIAGNOSTICS" && /^\.It Sy / { print "code " $3 }
	/^\.Ev / {
		for (i = 2; i <= NF; i++) if ($i ~ /^[A-Z][A-Z0-9_]+$/) print "env " $i
	}
' "$manual" | sort -u >"$tmp/manual"

has() {
	grep -qxF -- "$1" "$tmp/manual"
}

while read -r kind a b; do
	case $kind in
	command) has "command $a" || complain "the manual lacks the command $a" ;;
	option)
		has "option $a $b" || has "option * $b" ||
			complain "the manual lacks the option -$b of $a"
		;;
	key)
		has "key $a $b" || has "note $b" ||
			complain "the manual lacks the key $b of $a"
		;;
	env) has "env $a" || complain "the manual lacks the variable $a" ;;
	esac
done <"$tmp/program"

grep -rhoE 'err_slug\([^,]*, "[a-z0-9_]+"|\.?slug = "[a-z0-9_]+"' --include='*.c' base wal s3 agent cmd |
	grep -oE '"[a-z0-9_]+"' | tr -d '"' | sort -u >"$tmp/codes"
while read -r code; do
	has "code $code" || complain "the manual lacks the error code $code"
done <"$tmp/codes"

# And the other way round.
while read -r kind a b; do
	case $kind in
	command)
		[ "$a" = help ] || grep -qxF "command $a" "$tmp/program" ||
			complain "the manual has the command $a, the program has not"
		;;
	option)
		if [ "$a" = '*' ]; then
			grep -q "^option [a-z]* $b\$" "$tmp/program"
		else
			grep -qxF "option $a $b" "$tmp/program"
		fi || complain "the manual has the option -$b of $a, the program has not"
		;;
	key)
		grep -qxF "key $a $b" "$tmp/program" ||
			complain "the manual has the key $b of $a, the program has not"
		;;
	note)
		grep -q "^key [a-z.-]* $a\$" "$tmp/program" || [ "$a" = run ] ||
			complain "the manual has the key $a, the program has not"
		;;
	code)
		grep -rqF "\"$a\"" --include='*.c' base wal s3 agent cmd ||
			complain "the manual has the error code $a, the program has not"
		;;
	esac
done <"$tmp/manual"

# The README's table of commands.
if [ -f README.md ]; then
	sed -n 's/^command //p' "$tmp/program" | while read -r name; do
		grep -qE "^\|.*\`(walback )?${name}[ \`]" README.md || echo "$name"
	done >"$tmp/readme"
	while read -r name; do
		complain "README's table of commands lacks $name"
	done <"$tmp/readme"
fi

"$program" completion bash | cmp -s - cmd/completion/walback.bash ||
	complain "cmd/completion/walback.bash is not what 'walback completion bash' prints (make completion)"

if command -v mandoc >/dev/null 2>&1; then
	mandoc -Tlint "$manual" >"$tmp/lint" 2>&1 || complain "mandoc: $(cat "$tmp/lint")"
fi
exit $status
