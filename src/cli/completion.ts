import type { Command } from 'commander';

/** The shells that completion is written for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export type Shell = (typeof SHELLS)[number];

/** What can follow one command: its subcommands and options, each with a description. */
interface Completions {
  /** The command's words after the program's name, joined by spaces; `''` for the program itself. */
  readonly path: string;
  readonly words: readonly { readonly word: string; readonly about: string }[];
}

/** A script that teaches `shell` the commands and options of `program`. */
export function completionScript(program: Command, shell: Shell): string {
  const completions = collect(program, []);
  switch (shell) {
    case 'bash':
      return bashScript(program.name(), completions);
    case 'zsh':
      return zshScript(program.name(), completions);
    case 'fish':
      return fishScript(program.name(), completions);
  }
}

function collect(command: Command, path: readonly string[]): Completions[] {
  const subcommands = command.commands.filter((each) => each.name() !== 'help');
  const words = [
    ...subcommands.map((each) => ({ word: each.name(), about: each.summary() || each.description() })),
    ...choicesOf(command).map((word) => ({ word, about: '' })),
    ...command.options.map((option) => ({ word: option.long ?? option.flags, about: option.description })),
    { word: '--help', about: 'Explain the command' },
  ];
  return [{ path: path.join(' '), words }, ...subcommands.flatMap((each) => collect(each, [...path, each.name()]))];
}

function choicesOf(command: Command): readonly string[] {
  return command.registeredArguments.flatMap((argument) => argument.argChoices ?? []);
}

function bashScript(name: string, completions: readonly Completions[]): string {
  const cases = completions.map(({ path, words }) => `    ${quoted(path)}) words=${quoted(wordsOf(words))} ;;`);
  return `# Completion of ${name} for bash. To use it: source <(${name} completion bash)
_${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} path='' word words=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in -*) ;; *) path="\${path:+$path }$word" ;; esac
  done
  while :; do
    case $path in
${cases.map((each) => `  ${each}`).join('\n')}
    esac
    [[ -n $words || -z $path ]] && break
    case $path in *' '*) path=\${path% *} ;; *) path='' ;; esac
  done
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _${name} ${name}
`;
}

function zshScript(name: string, completions: readonly Completions[]): string {
  const cases = completions.map(({ path, words }) => {
    const entries = words.map(({ word, about }) => quoted(`${word.replaceAll(':', '\\:')}:${about}`));
    return `      ${quoted(path)}) entries=(${entries.join(' ')}) ;;`;
  });
  return `#compdef ${name}
# Completion of ${name} for zsh. To use it: source <(${name} completion zsh)
_${name}() {
  local path_='' word
  local -a entries
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case $word in -*) ;; *) path_="\${path_:+$path_ }$word" ;; esac
  done
  while :; do
    case $path_ in
${cases.join('\n')}
    esac
    [[ \${#entries} -gt 0 || -z $path_ ]] && break
    case $path_ in *' '*) path_=\${path_% *} ;; *) path_='' ;; esac
  done
  _describe '${name}' entries || _files
}
compdef _${name} ${name}
`;
}

function fishScript(name: string, completions: readonly Completions[]): string {
  const lines = completions.flatMap(({ path, words }) => {
    const subcommands = words.filter(({ word }) => !word.startsWith('-')).map(({ word }) => word);
    const seen = path === '' ? [] : path.split(' ').map((word) => `__fish_seen_subcommand_from ${word}`);
    const unseen = subcommands.length === 0 ? [] : [`not __fish_seen_subcommand_from ${subcommands.join(' ')}`];
    const condition = [...seen, ...unseen].join('; and ');
    return words.map(({ word, about }) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-f -a ${word}`;
      const when = condition === '' ? '' : ` -n ${quoted(condition)}`;
      return `complete -c ${name}${when} ${what}${about === '' ? '' : ` -d ${quoted(about)}`}`;
    });
  });
  return `# Completion of ${name} for fish. To use it: ${name} completion fish | source\n${lines.join('\n')}\n`;
}

function wordsOf(words: Completions['words']): string {
  return words.map(({ word }) => word).join(' ');
}

/** One word of a shell, whatever it holds. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
