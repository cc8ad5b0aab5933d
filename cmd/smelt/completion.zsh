#compdef smelt
# zsh completion for smelt: commands, flags and their values; file names where smelt has nothing to propose
_smelt() {
    local -a proposals asked
    asked=("${(@)words[1,CURRENT-1]}")
    [[ $words[CURRENT] == -* ]] && asked+=("$words[CURRENT]")
    proposals=("${(@f)$("${asked[@]}" --generate-bash-completion 2>/dev/null)}")
    if [[ -n "$proposals[1]" ]]; then
        compadd -- "${proposals[@]}"
    else
        _files
    fi
}
if [[ $funcstack[1] == _smelt ]]; then
    _smelt "$@"
else
    compdef _smelt smelt
fi
