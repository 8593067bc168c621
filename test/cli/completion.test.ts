/** Completion in the shells themselves, where they are installed. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import t from 'tap';
import { reeve } from '../helpers/command.ts';

/** What may follow the words; the last one is being typed. */
const EXPECTED: readonly [string, readonly string[], readonly string[]][] = [
  ['reeve ', ['demo', 'config', 'version'], ['validate']],
  ['reeve config ', ['validate', 'diff', 'schema', 'explain'], ['demo']],
  ['reeve tenants list --admin http://x --out', ['--output'], ['demo']],
  ['reeve tenants list -o ', ['text', 'json'], ['--admin', 'list']],
  ['reeve completion ', ['bash', 'zsh', 'fish'], ['demo']],
  ['reeve config schema T', ['Tenant'], ['Plan']],
];

const ASK: Readonly<Record<string, (script: string, line: string) => string>> = {
  bash: (script, line) => `${script}
    line='${line}'; read -ra COMP_WORDS <<< "$line"; [[ "$line" == *' ' ]] && COMP_WORDS+=("")
    COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 )); _reeve; printf '%s\\n' "\${COMPREPLY[@]}"`,
  zsh: (script, line) => `compdef() { : }; compadd() { shift; print -l -- "$@" }; _files() { : }
    ${script}
    words=(\${(s: :)\${:-'${line}'}}); [[ '${line}' == *' ' ]] && words+=(''); CURRENT=$#words; _reeve`,
  fish: (script, line) => `${script}\ncomplete -C '${line}'`,
};

for (const [shell, ask] of Object.entries(ASK)) {
  const path = ['/usr/bin', '/bin'].map((dir) => `${dir}/${shell}`).find((each) => existsSync(each));
  t.test(`completion in ${shell}`, { skip: path === undefined && `missing: ${shell} is not installed` }, async (t) => {
    const { status, stdout: script } = await reeve(['completion', shell]);
    t.equal(status, 0);
    for (const [line, some, none] of EXPECTED) {
      const { stdout, stderr } = spawnSync(
        path as string,
        [...(shell === 'zsh' ? ['-f'] : []), '-c', ask(script, line)],
        { encoding: 'utf8' },
      );
      const words = stdout.split('\n').map((word) => word.split('\t')[0]);
      for (const word of some) t.ok(words.includes(word), `${line}: ${word} ${stderr}`);
      // zsh filters what compadd is given itself.
      for (const word of shell === 'zsh' && !line.endsWith(' ') ? [] : none)
        t.notOk(words.includes(word), `${line}: no ${word}`);
    }
  });
}

t.test('every shell gets a script, with or without the shell', async (t) => {
  for (const shell of Object.keys(ASK)) t.match(await reeve(['completion', shell]), { status: 0, stdout: /validate/ });
});
