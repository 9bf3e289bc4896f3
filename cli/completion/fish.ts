/** The completion of fish: one rule for each word, which holds where the command line has come to its path. */
import type { PathWords, Value } from "./words.ts";

export function fishCompletion(paths: readonly PathWords[]): string {
  return `# Completion of picobolt for fish; made by: picobolt completion fish
function __picobolt_at --description 'the first words are these, or the next one is a command'
    set --local words (commandline -opc)
    set --erase words[1]
    set --local plain (string match --invert -- '-*' $words)
    test (count $argv) -le (count $plain); or return 1
    test (count $argv) -eq 0; and return 0
    set --local first $plain[1..(count $argv)]
    test "$first" = "$argv"
end

function __picobolt_next --description 'these words, and a command comes next'
    __picobolt_at $argv; or return 1
    set --local words (commandline -opc)
    set --erase words[1]
    test (count (string match --invert -- '-*' $words)) -eq (count $argv)
end

complete -c picobolt -f
${paths.map(rulesOf).join("")}`;
}

function rulesOf({ path, commands, options, args }: PathWords): string {
  const at = `-n ${quoted(`__picobolt_at ${path}`.trim())}`;
  const next = `-n ${quoted(`__picobolt_next ${path}`.trim())}`;
  const lines = [
    ...commands.map(
      ({ name, summary }) => `complete -c picobolt ${next} -a ${name} -d ${quoted(summary)}`,
    ),
    ...options.map(({ name, summary, value }) =>
      [
        `complete -c picobolt ${commands.length > 0 ? next : at} -l ${name.replace(/^--/, "")}`,
        ...(value ? [takes(value)] : []),
        `-d ${quoted(summary)}`,
      ].join(" "),
    ),
    ...args
      .filter(({ type }) => type !== "any")
      .map((value) => `complete -c picobolt ${at} ${value.type === "words" ? offer(value) : "-F"}`),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function takes(value: Value): string {
  if (value.type === "any") return "-x";
  if (value.type === "folder") return "-x -a '(__fish_complete_directories)'";
  return value.type === "words" ? `-x ${offer(value)}` : "-r -F";
}

function offer({ words }: Extract<Value, { readonly type: "words" }>): string {
  return `-a ${quoted(words.join(" "))}`;
}

function quoted(words: string): string {
  return `'${words.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
