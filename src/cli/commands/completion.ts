/** `reeve completion`: made from the command tree, so that it knows what the program knows. */
import type { Command } from 'commander';
import { nearest, ReeveError } from '../../core/index.ts';

const SHELLS = { bash, zsh, fish };

export function completion(shell: string, program: Command): void {
  if (Object.hasOwn(SHELLS, shell)) {
    process.stdout.write(SHELLS[shell as keyof typeof SHELLS](treeOf(program)));
    return;
  }
  const near = nearest(shell, Object.keys(SHELLS));
  throw new ReeveError('usage', `there is no completion for ${JSON.stringify(shell)}`, {
    remedy: near === undefined ? 'known: bash, zsh, fish' : `did you mean ${near}?`,
  });
}

interface Tree {
  /** What may follow each command path: `config` → `validate diff …`, `config validate` → `--output …`. */
  readonly words: ReadonlyMap<string, readonly string[]>;
  /** Options whose next word is a value, and the values it may have; files and the like otherwise. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  /** `--output` → `-o`. */
  readonly shorts: ReadonlyMap<string, string>;
}

function treeOf(program: Command): Tree {
  const words = new Map<string, string[]>();
  const values = new Map<string, readonly string[]>();
  const shorts = new Map<string, string>();
  const visit = (command: Command, path: string): void => {
    words.set(path, [
      ...command.commands.map((each) => each.name()),
      ...command.options.map((each) => each.long as string),
      '--help',
      ...command.registeredArguments.flatMap((each) => each.argChoices ?? []),
    ]);
    for (const { required, short, long, argChoices } of command.options)
      if (required)
        for (const name of [short, long]) if (name !== undefined) values.set(name as string, argChoices ?? []);
    for (const { short, long } of command.options) if (short !== undefined) shorts.set(long as string, short);
    for (const each of command.commands) visit(each, `${path} ${each.name()}`.trim());
  };
  visit(program, '');
  return { words, values, shorts };
}

/** Walks the words before the cursor along known commands; the same in bash and zsh (where `path` and `words` are taken). */
function walk({ words, values }: Tree): string {
  const paths = [...words.keys()].filter((path) => path !== '').map((path) => `"${path}"`);
  const chosen = [...values].map(([name, choices]) => `    ${name}) list="${choices.join(' ')}" is_value=1 ;;`);
  const following = [...words].map(([path, list]) => `    "${path}") list="${list.join(' ')}" ;;`);
  return `  local at="" word list="" is_value=""
  for word in "\${before[@]}"; do
    case "\${at:+$at }$word" in
    ${paths.join(' | ')}) at="\${at:+$at }$word" ;;
    esac
  done
  case "$previous" in
${chosen.join('\n')}
  esac
  if [ -z "$is_value" ]; then
    case "$at" in
${following.join('\n')}
    esac
  fi`;
}

function bash(tree: Tree): string {
  return `_reeve() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local before=("\${COMP_WORDS[@]:1:COMP_CWORD-1}")
${walk(tree)}
  COMPREPLY=( $(compgen -W "$list" -- "$current") )
}
complete -o default -F _reeve reeve
`;
}

function zsh(tree: Tree): string {
  return `#compdef reeve
_reeve() {
  local previous="\${words[CURRENT-1]}"
  local -a before
  before=("\${(@)words[2,CURRENT-1]}")
${walk(tree)}
  if [ -n "$list" ]; then compadd -- \${=list}; else _files; fi
}
if [ "\${funcstack[1]}" = "_reeve" ]; then _reeve "$@"; else compdef _reeve reeve; fi
`;
}

function fish({ words, values, shorts }: Tree): string {
  const lines: string[] = [];
  const shortOf = (long: string): string => (shorts.has(long) ? `-s ${shorts.get(long)?.slice(1)} ` : '');
  for (const [path, list] of words) {
    const steps = path === '' ? [] : path.split(' ');
    const isGroup = list.some((word) => !word.startsWith('-'));
    const condition = [
      ...steps.map((step) => `__fish_seen_subcommand_from ${step}`),
      ...(isGroup ? [`not __fish_seen_subcommand_from ${list.filter((word) => !word.startsWith('-')).join(' ')}`] : []),
    ].join('; and ');
    for (const word of list) {
      const choices = values.get(word);
      const value = choices === undefined ? '' : choices.length === 0 ? ' -r' : ` -x -a '${choices.join(' ')}'`;
      const what = word.startsWith('--') ? `${shortOf(word)}-l ${word.slice(2)}${value}` : `-f -a ${word}`;
      lines.push(`complete -c reeve${condition === '' ? '' : ` -n '${condition}'`} ${what}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
