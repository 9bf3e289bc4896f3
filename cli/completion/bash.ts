/** The completion of bash: what each path takes as a table of cases, and a function that looks where the cursor is. */
import type { PathWords, Value } from "./words.ts";

export function bashCompletion(paths: readonly PathWords[]): string {
  return `# Completion of picobolt for bash; made by: picobolt completion bash
${tableOf(paths)}
_picobolt() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  local path= names flags valued values word next kind i=1 given=0
  COMPREPLY=()
  _picobolt_about ""
  while ((i < COMP_CWORD)); do
    word=\${COMP_WORDS[i]}
    next="\${path:+$path }$word"
    if [[ " $names " == *" $word "* || -z $path ]] && _picobolt_about "$next"; then
      path=$next
    elif [[ " $valued " == *" $word "* ]]; then
      i=$((i + 1))
    elif [[ $word != -* ]]; then
      given=$((given + 1))
    fi
    i=$((i + 1))
  done
  if [[ " $valued " == *" $prev "* ]]; then
    _picobolt_value "$path" "$prev"
  elif [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    return
  elif [[ -n $names ]]; then
    COMPREPLY=($(compgen -W "$names" -- "$cur"))
    return
  else
    _picobolt_argument "$path" "$given"
  fi
  case $kind in
    words) COMPREPLY=($(compgen -W "$values" -- "$cur")) ;;
    file | folder)
      local IFS=$'\\n'
      compopt -o filenames 2>/dev/null
      COMPREPLY=($(compgen -A $([[ $kind == file ]] && echo file || echo directory) -- "$cur"))
      ;;
  esac
}

complete -F _picobolt picobolt
`;
}

/** The same in bash and zsh. */
export function tableOf(paths: readonly PathWords[]): string {
  return [
    functionOf("_picobolt_about", '"$1"', paths.map(aboutCase), "return 1"),
    functionOf("_picobolt_value", '"$1 $2"', paths.flatMap(valueCases), "kind=any"),
    functionOf("_picobolt_argument", '"$1 $2"', paths.flatMap(argumentCases), "kind=any"),
  ].join("\n");
}

function functionOf(
  name: string,
  about: string,
  cases: readonly string[],
  otherwise: string,
): string {
  const lines = [...cases, `*) ${otherwise} ;;`].map((one) => `    ${one}\n`).join("");
  return `${name}() {\n  case ${about} in\n${lines}  esac\n}\n`;
}

function aboutCase({ path, commands, options }: PathWords): string {
  const names = commands.map(({ name }) => name).join(" ");
  const all = options.map(({ name }) => name).join(" ");
  const valued = options.filter(({ value }) => value).map(({ name }) => name);
  const set = `names=${quoted(names)} flags=${quoted(all)} valued=${quoted(valued.join(" "))}`;
  return `${quoted(path)}) ${set} ;;`;
}

function valueCases({ path, options }: PathWords): readonly string[] {
  return options.flatMap(({ name, value }) =>
    value && value.type !== "any" ? [`${quoted(`${path} ${name}`)}) ${kindOf(value)} ;;`] : [],
  );
}

function argumentCases({ path, args, isVariadic }: PathWords): readonly string[] {
  return args.flatMap((value, at) => {
    if (value.type === "any") return [];
    const isLast = isVariadic && at === args.length - 1;
    return [`${quoted(`${path} `)}${isLast ? "*" : at}) ${kindOf(value)} ;;`];
  });
}

function kindOf(value: Value): string {
  return value.type === "words"
    ? `kind=words values=${quoted(value.words.join(" "))}`
    : `kind=${value.type}`;
}

export function quoted(words: string): string {
  return `'${words.replaceAll("'", "'\\''")}'`;
}
