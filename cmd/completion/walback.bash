# bash completion for walback, made by `walback completion bash`
# shellcheck shell=bash
_walback() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	local opts='' words='' kind=''

	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "run replicate restore generations snapshots wal databases config completion version help" -- "$cur")
		return
	fi
	case ${COMP_WORDS[1]} in
	run)
		opts="-db -replica-url -require-backup -accept-loss -offline -replace-unreadable -adopt -integrity-check -integrity-timeout -store-wait -wait-for-sync -stop-timeout -heartbeat-timeout -config -no-expand-env -quiet -q -v -log-level -help -h"
		case $prev in
		-db | --db) kind=files ;;
		-replica-url | --replica-url) kind=files ;;
		-offline | --offline) words="ok start-empty stop"; kind=words ;;
		-adopt | --adopt) words="local replica"; kind=words ;;
		-integrity-check | --integrity-check) words="none quick full"; kind=words ;;
		-integrity-timeout | --integrity-timeout) kind=none ;;
		-store-wait | --store-wait) kind=none ;;
		-wait-for-sync | --wait-for-sync) kind=none ;;
		-stop-timeout | --stop-timeout) kind=none ;;
		-heartbeat-timeout | --heartbeat-timeout) kind=none ;;
		-config | --config) kind=files ;;
		-log-level | --log-level) words="debug info warn error"; kind=words ;;
		esac
		;;
	replicate)
		opts="-exec -if-different -notify-fd -stop-timeout -config -no-expand-env -quiet -q -v -log-level -help -h"
		case $prev in
		-exec | --exec) kind=files ;;
		-if-different | --if-different) words="fork stop adopt"; kind=words ;;
		-notify-fd | --notify-fd) kind=none ;;
		-stop-timeout | --stop-timeout) kind=none ;;
		-config | --config) kind=files ;;
		-log-level | --log-level) words="debug info warn error"; kind=words ;;
		esac
		;;
	restore)
		opts="-output -o -replica -generation -timestamp -index -position -if-db-not-exists -if-replica-exists -integrity-check -parallelism -dry-run -force -perm -owner -config -no-expand-env -json -quiet -q -v -log-level -help -h"
		case $prev in
		-output | --output | -o) kind=files ;;
		-replica | --replica) kind=files ;;
		-generation | --generation) kind=files ;;
		-timestamp | --timestamp) kind=files ;;
		-index | --index) kind=files ;;
		-position | --position) kind=files ;;
		-integrity-check | --integrity-check) words="none quick full"; kind=words ;;
		-parallelism | --parallelism) kind=none ;;
		-perm | --perm) kind=files ;;
		-owner | --owner) kind=files ;;
		-config | --config) kind=files ;;
		-log-level | --log-level) words="debug info warn error"; kind=words ;;
		esac
		;;
	generations)
		opts="-replica -config -no-expand-env -json -quiet -q -v -log-level -help -h"
		case $prev in
		-replica | --replica) kind=files ;;
		-config | --config) kind=files ;;
		-log-level | --log-level) words="debug info warn error"; kind=words ;;
		esac
		;;
	snapshots)
		opts="-replica -generation -config -no-expand-env -json -quiet -q -v -log-level -help -h"
		case $prev in
		-replica | --replica) kind=files ;;
		-generation | --generation) kind=files ;;
		-config | --config) kind=files ;;
		-log-level | --log-level) words="debug info warn error"; kind=words ;;
		esac
		;;
	wal)
		opts="-replica -generation -config -no-expand-env -json -quiet -q -v -log-level -help -h"
		case $prev in
		-replica | --replica) kind=files ;;
		-generation | --generation) kind=files ;;
		-config | --config) kind=files ;;
		-log-level | --log-level) words="debug info warn error"; kind=words ;;
		esac
		;;
	databases)
		opts="-config -no-expand-env -json -quiet -q -v -log-level -help -h"
		case $prev in
		-config | --config) kind=files ;;
		-log-level | --log-level) words="debug info warn error"; kind=words ;;
		esac
		;;
	config)
		opts="-strict -config -no-expand-env -json -quiet -q -v -log-level -help -h"
		case $prev in
		-config | --config) kind=files ;;
		-log-level | --log-level) words="debug info warn error"; kind=words ;;
		esac
		;;
	completion)
		opts="-quiet -q -v -log-level -help -h"
		case $prev in
		-log-level | --log-level) words="debug info warn error"; kind=words ;;
		esac
		;;
	version)
		opts="-quiet -q -v -log-level -help -h"
		case $prev in
		-log-level | --log-level) words="debug info warn error"; kind=words ;;
		esac
		;;
	help) words="run replicate restore generations snapshots wal databases config completion version help"; kind=words ;;
	esac
	case $kind in
	words) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur") ;;
	files) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	none) COMPREPLY=() ;;
	*)
		if [[ $cur == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$opts" -- "${cur/#--/-}")
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		fi
		;;
	esac
}
complete -o filenames -F _walback walback
