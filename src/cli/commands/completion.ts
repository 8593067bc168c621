/** `reeve completion`: made from the command tree, so that it knows what the program knows. */
import type { Command } from 'commander';
import { ReeveError } from '../../core/index.ts';

export function completion(shell: string, program: Command): void {
  const make = { bash, zsh, fish }[shell];
  if (make === undefined)
    throw new ReeveError('usage', `there is no completion for ${JSON.stringify(shell)}`, {
      remedy: 'known: bash, zsh, fish',
    });
  process.stdout.write(make(wordsOf(program)));
}

/** What may follow each command path: `config` → `validate diff …`, `config validate` → `--output …`. */
function wordsOf(command: Command, path = ''): Map<string, string[]> {
  const own = [
    ...command.commands.map((each) => each.name()),
    ...command.options.map((each) => each.long ?? each.short ?? ''),
  ];
  const words = new Map([[path, own]]);
  for (const each of command.commands)
    for (const [below, list] of wordsOf(each, `${path} ${each.name()}`.trim())) words.set(below, list);
  return words;
}

function bash(words: Map<string, string[]>): string {
  const cases = [...words].map(
    ([path, list]) => `    "${path}") COMPREPLY=( $(compgen -W "${list.join(' ')}" -- "$cur") ) ;;`,
  );
  return `_reeve() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" path="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do [[ "$word" == -* ]] || path="\${path:+$path }$word"; done
  case "$path" in
${cases.join('\n')}
    *) COMPREPLY=( $(compgen -f -- "$cur") ) ;;
  esac
}
complete -o default -F _reeve reeve
`;
}

function zsh(words: Map<string, string[]>): string {
  return `#compdef reeve\nautoload -U +X bashcompinit && bashcompinit\n${bash(words)}`;
}

function fish(words: Map<string, string[]>): string {
  const lines: string[] = [];
  for (const [path, list] of words) {
    const condition =
      path === ''
        ? '__fish_use_subcommand'
        : path
            .split(' ')
            .map((word) => `__fish_seen_subcommand_from ${word}`)
            .join('; and ');
    for (const word of list)
      lines.push(
        word.startsWith('--')
          ? `complete -c reeve -n '${condition}' -l ${word.slice(2)}`
          : `complete -c reeve -n '${condition}' -a ${word}`,
      );
  }
  return `${lines.join('\n')}\n`;
}
