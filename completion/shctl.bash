# bash completion for shctl                                              -*- shell-script -*-
#
# shctl itself says what fits: it is asked with the line in its environment, in the protocol that
# Python's click has for fish, and answers "kind,value", a tab and help, one a line. The protocol
# for bash would need words as the shell breaks them: at each colon, of which URIs are full.

_shctl() {
    local line=${COMP_LINE:0:COMP_POINT} word before kind value
    word=${line##*[[:space:]]}
    before=${word%"$2"}
    COMPREPLY=()
    while IFS=, read -r kind value; do
        value=${value%%$'\t'*}
        case $kind in
            # Bash puts the answer where its own last piece of the word is.
            plain) COMPREPLY+=("${value#"$before"}") ;;
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
        esac
    done < <(
        # env, because COMP_WORDS is an array here, which bash does not export.
        env COMP_WORDS="$line" COMP_CWORD="$word" _SHCTL_COMPLETE=fish_complete "$1" 2>/dev/null
    )
}

complete -o nosort -F _shctl shctl
