# bash completion for walback, made by `walback completion bash`
# shellcheck shell=bash
_walback() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	local opts='' words='' kind=''

	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "databases config completion version help" -- "$cur")
		return
	fi
	case ${COMP_WORDS[1]} in
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
	help) words="databases config completion version help"; kind=words ;;
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
