using System.Text;

namespace Hecatonchire.Manual;

/// <summary>Completion for bash, and for zsh through its bashcompinit.</summary>
internal static class Completion
{
    /// <param name="help">Of the program.</param>
    public static string Write(CommandHelp help)
    {
        string function = $"_{help.Path.Replace('-', '_')}";
        var text = new StringBuilder(
            $$"""
            # Completion of {{help.Path}} for bash; made by `make man`. For zsh: autoload -U bashcompinit && bashcompinit && . this
            {{function}}() {
                local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} path={{help.Path}} word i
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

            """);
        foreach (CommandHelp command in help.All.Where(command => command != help))
        {
            _ = text.Append($"            '{command.Path}') path='{command.Path}' ;;\n");
        }

        _ = text.Append("            *) ;;\n        esac\n    done\n    case \"$path $previous\" in\n");
        foreach (CommandHelp command in help.All)
        {
            foreach (OptionHelp option in command.Options.Where(option => !option.IsSwitch))
            {
                string reply = option.Values.Count > 0 ? $"COMPREPLY=($(compgen -W '{string.Join(' ', option.Values)}' -- \"$current\"))"
                    : option.TakesPath ? $"COMPREPLY=($(compgen {(option.Argument == "DIR" ? "-d" : "-f")} -- \"$current\"))"
                    : ":";
                _ = text.Append($"        '{command.Path} {option.Name}') {reply}; return ;;\n");
            }
        }

        _ = text.Append("        *) ;;\n    esac\n    case \"$path\" in\n");
        foreach (CommandHelp command in help.All)
        {
            IEnumerable<string> words = command.Commands.Select(sub => sub.Path[(command.Path.Length + 1)..]).Concat(command.Options.Select(option => option.Name)).Append("--help")
                .Concat(command == help ? ["--version"] : []).Concat(command.Arguments.StartsWith(" --", StringComparison.Ordinal) ? ["--"] : []);
            _ = text.Append($"        '{command.Path}') COMPREPLY=($(compgen -W '{string.Join(' ', words)}' -- \"$current\")) ;;\n");
        }

        return text.Append($"    esac\n}}\ncomplete -F {function} {help.Path}\n").ToString();
    }
}
