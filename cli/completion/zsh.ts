/** The completion of zsh: the table of bash, asked in zsh's own way, with what each command does beside it. */
import { quoted, tableOf } from "./bash.ts";
import type { PathWords } from "./words.ts";

export function zshCompletion(paths: readonly PathWords[]): string {
  return `#compdef picobolt
# Completion of picobolt for zsh; made by: picobolt completion zsh
${tableOf(paths)}
_picobolt_described() {
  case "$1" in
${paths.map(describedCase).join("")}  esac
}

_picobolt() {
  local cur=$words[CURRENT] prev=$words[CURRENT-1]
  local where= names flags valued values word next kind
  local -a described
  integer i=2 given=0
  _picobolt_about ""
  while ((i < CURRENT)); do
    word=$words[i]
    next="\${where:+$where }$word"
    if [[ " $names " == *" $word "* || -z $where ]] && _picobolt_about "$next"; then
      where=$next
    elif [[ " $valued " == *" $word "* ]]; then
      ((i++))
    elif [[ $word != -* ]]; then
      ((given++))
    fi
    ((i++))
  done
  if [[ " $valued " == *" $prev "* ]]; then
    _picobolt_value "$where" "$prev"
  elif [[ $cur == -* ]]; then
    compadd -- \${=flags}
    return
  elif [[ -n $names ]]; then
    _picobolt_described "$where"
    _describe command described
    return
  else
    _picobolt_argument "$where" "$given"
  fi
  case $kind in
    words) compadd -- \${=values} ;;
    file) _files ;;
    folder) _files -/ ;;
  esac
}

if [[ $funcstack[1] == _picobolt ]]; then
  _picobolt "$@"
else
  compdef _picobolt picobolt
fi
`;
}

function describedCase({ path, commands }: PathWords): string {
  if (commands.length === 0) return "";
  const all = commands.map(({ name, summary }) => quoted(`${name}:${summary}`));
  return `    ${quoted(path)}) described=(${all.join(" ")}) ;;\n`;
}
