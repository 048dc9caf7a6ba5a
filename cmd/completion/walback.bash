# bash completion for walback, made by `walback completion bash`
# shellcheck shell=bash
_walback() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	local opts='' words='' kind=''

	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "restore generations snapshots wal databases config completion version help" -- "$cur")
		return
	fi
	case ${COMP_WORDS[1]} in
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
	help) words="restore generations snapshots wal databases config completion version help"; kind=words ;;
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
