# Completion of heca-sponsor for bash; made by `make man`. For zsh: autoload -U bashcompinit && bashcompinit && . this
_heca_sponsor() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} path=heca-sponsor word i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == -- ]]; then
            # The program that is to be run, and its arguments.
            if declare -F _command_offset >/dev/null; then
                _command_offset $((i + 1))
            else
                COMPREPLY=($(compgen -c -f -- "$current"))
            fi
            return
        fi
        case "$path $word" in
            *) ;;
        esac
    done
    case "$path $previous" in
        'heca-sponsor --memory') :; return ;;
        'heca-sponsor --listen') :; return ;;
        'heca-sponsor --port') :; return ;;
        'heca-sponsor --data-port') :; return ;;
        'heca-sponsor --transport') COMPREPLY=($(compgen -W 'auto rdma tcp' -- "$current")); return ;;
        'heca-sponsor --pressure-max') :; return ;;
        'heca-sponsor --keys') COMPREPLY=($(compgen -d -- "$current")); return ;;
        'heca-sponsor --trust') COMPREPLY=($(compgen -f -- "$current")); return ;;
        'heca-sponsor --gone-after') :; return ;;
        'heca-sponsor --label') :; return ;;
        'heca-sponsor --etcd') :; return ;;
        'heca-sponsor --etcd-lease') :; return ;;
        'heca-sponsor --advertise') :; return ;;
        'heca-sponsor --cluster') :; return ;;
        'heca-sponsor --metrics') :; return ;;
        'heca-sponsor --otlp') :; return ;;
        'heca-sponsor --log-level') :; return ;;
        'heca-sponsor --log-format') COMPREPLY=($(compgen -W 'text json journald' -- "$current")); return ;;
        'heca-sponsor --config') COMPREPLY=($(compgen -f -- "$current")); return ;;
        *) ;;
    esac
    case "$path" in
        'heca-sponsor') COMPREPLY=($(compgen -W '--memory --listen --port --data-port --transport --pressure-max --keys --trust --gone-after --label --etcd --etcd-lease --advertise --cluster --metrics --otlp --announce --exit-with-stdin --log-level --log-format --config --dump-config --help --version' -- "$current")) ;;
    esac
}
complete -F _heca_sponsor heca-sponsor
