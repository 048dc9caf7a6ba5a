#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# scripts/dev/check-docs.sh [PROGRAM]: the manual, the README, docs/ and the completion
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
# CONFIGURATION, their items, variables, columns and JSON names, error codes, exit statuses.
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
	part == "COMMANDS" && /^\.It Li / { print "column " section " " $3 }
	part == "COMMANDS" && /^\.Li / {
		for (i = 2; i <= NF; i++) if ($i ~ /^[a-z][a-z_]*$/) print "word " section " " $i
	}
	part == "DIAGNOSTICS" && /^\.It Sy / { for (i = 3; i <= NF; i++) if ($i != ",") print "code " $i }
	part == "EXIT" && /^\.It / {
		for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+$/) print "status " $i
	}
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

# Codes: in calls of err_slug, also on several lines; of starts that are refused; of S3's answers.
find base wal s3 agent cmd -name '*.c' -exec cat {} + | tr -d '\n\t' |
	grep -oE 'err_slug\([^;]*;|STOP\(EXIT_[A-Z_]+, "[a-z0-9_]+"|slug = "[a-z0-9_]+"' |
	grep -oE '"[a-z0-9_]+"' | tr -d '"' >"$tmp/slugs"
sed -nE 's/^.*\{ ("[A-Za-z]+"|NULL), "([a-z_]+)",.*/\2/p' s3/explain.c >>"$tmp/slugs"
sort -u "$tmp/slugs" >"$tmp/codes"
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

# Tables: the columns that a command prints, and the names in its JSON.
for file in cmd/cmd_[a-z]*.c; do
	command=$(basename "$file" .c)
	command=${command#cmd_}
	tr -d '\n\t' <"$file" | grep -o 'columns\[\] = {[^}]*}' | grep -o '"[a-z]*"' | tr -d '"' |
		sed "s/^/column $command /"
	tr -d '\n\t' <"$file" | grep -oE 'json_(put_[a-z0-9]+|open)\([^;"]*"[a-z_]+"' |
		sed -E "s/.*\"([a-z_]+)\"/word $command \1/"
done | grep -v ' internal ' | sort -u >"$tmp/printed"
while read -r kind a b; do
	has "$kind $a $b" || { [ "$kind" = word ] && has "column $a $b"; } ||
		complain "the manual lacks the $kind $b that $a prints"
done <"$tmp/printed"
grep '^column ' "$tmp/manual" >"$tmp/columns" || :
while read -r kind a b; do
	grep -qxF "$kind $a $b" "$tmp/printed" || complain "the manual has the column $b of $a, the program has not"
done <"$tmp/columns"

# Variables: what the code asks for, and what the manual says it asks for.
code() {
	grep -rhoE --include='*.c' --include='*.h' "$1" base wal s3 agent cmd
}
{
	code '(getenv|env_get)\([^"]*"[A-Z][A-Z0-9_]*"' | grep -oE '"[A-Z0-9_]+"' | tr -d '"'
	code '"[^"]*"' | grep -oE '\b(WALBACK|LITESTREAM|AWS)_[A-Z0-9_]+\b' |
		sed -E '/^AWS_(CONFIG|SHARED_CREDENTIALS)_FILE$/!s/_FILE$//'
	sed -n 's/^env //p' "$tmp/program"
} | grep -vxE 'WALBACK_VERSION|WALBACK_|LITESTREAM_' | sort -u >"$tmp/asked"
while read -r name; do
	has "env $name" || complain "the manual lacks the variable $name, which the code reads"
done <"$tmp/asked"
sed -n 's/^env //p' "$tmp/manual" >"$tmp/told"
while read -r name; do
	grep -qxF "$name" "$tmp/asked" || complain "the manual has the variable $name, which nothing reads"
done <"$tmp/told"

# Exit statuses: agent/exit.h, those of a program that cannot be started, and those of signals.
{
	sed -nE 's/^\tEXIT_[A-Z_]+ = ([0-9]+),.*/\1/p' agent/exit.h
	code 'err_exit\(e, [0-9]+\)' | grep -oE '[0-9]+'
	sed -nE '/int signals\[\] = \{/s/.*\{(.*)\}.*/\1/p' cmd/interrupt.c | tr -d ' ' | tr ',' '\n' |
		sed 's/^SIGHUP$/129/; s/^SIGINT$/130/; s/^SIGTERM$/143/'
} | sort -un >"$tmp/statuses"
sed -n 's/^status //p' "$tmp/manual" | sort -un | cmp -s - "$tmp/statuses" ||
	complain "EXIT STATUS of the manual is not what the program has: $(xargs <"$tmp/statuses")"
sed -n '/^## Exit statuses/,$p' docs/protocol.md | sed -nE 's/^\| ([0-9, ]+) \|.*/\1/p' | tr -d ' ' | tr ',' '\n' |
	sort -un | cmp -s - "$tmp/statuses" ||
	complain "docs/protocol.md, \"Exit statuses\": not what the program has: $(xargs <"$tmp/statuses")"

# docs/X.md, and its sections, that a comment or a document names.
named() { # named PATTERN FILE: with the breaks of lines and comments taken out
	sed -E 's/^[[:space:]]*(\*|#|\/\/)[[:space:]]?//' "$2" | tr '\n' ' ' | grep -oE "$1(, \"[^\"]+\"( and \"[^\"]+\")*)?"
}
{
	git ls-files -- '*.[ch]' '*.py' '*.sh' Makefile README.md CHANGELOG.md 2>/dev/null ||
		find base wal s3 agent cmd tests scripts Makefile README.md CHANGELOG.md -name '*.[ch]' -o -name '*.py' \
			-o -name '*.sh' -o -name Makefile -o -name '*.md'
} | while read -r file; do
	[ "$file" = scripts/dev/check-docs.sh ] || named 'docs/[A-Za-z]+\.md' "$file" | sed "s|^|$file: |"
done >"$tmp/named" || :
for file in docs/*.md; do
	# shellcheck disable=SC2016 # backquotes of Markdown
	named '`[a-z]+\.md`' "$file" | tr -d '`' | sed "s|^|$file: docs/|"
done >>"$tmp/named" || :
while IFS= read -r line; do
	where=${line%%: *}
	doc=$(expr "$line" : '[^ ]* \(docs/[A-Za-z]*\.md\)')
	if ! [ -f "$doc" ]; then
		complain "$where names $doc, which does not exist"
		continue
	fi
	printf '%s\n' "$line" | grep -o '"[^"]*"' | tr -d '"' >"$tmp/sections" || :
	while IFS= read -r section; do
		grep -qiE "^#+ $section( |\$)" "$doc" || complain "$where names the section \"$section\" of $doc, which has none"
	done <"$tmp/sections"
done <"$tmp/named"

# The fields of the state file.
tr -d '\n\t' <agent/replicate/state.c | grep -oE 'json_put_[a-z0-9]+\(&j, "[a-z_]+"' | grep -oE '"[a-z_]+"' | tr -d '"' |
	sort -u >"$tmp/fields"
while read -r name; do
	sed -n '/^## State/,/^## [^S]/p' docs/capture.md | grep -q "\`$name\`" ||
		complain "docs/capture.md, \"State\": the field $name is missing"
done <"$tmp/fields"

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
