/** `npm run mutate` is a command that runs, and that tells a fault which tests notice from one that they do not. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { root } from '../helpers/sidecar.ts';

const run = (...args: string[]): Promise<{ stdout: string; stderr: string; code: number }> =>
  promisify(execFile)(process.execPath, [join(root, 'scripts/mutate.ts'), ...args], { cwd: root }).then(
    (ran) => ({ ...ran, code: 0 }),
    (ran) => ran,
  );

t.test('the smallest reader is tried whole', { timeout: 240_000 }, async (t) => {
  const { stdout, stderr, code } = await run('src/wire/chunk-writer.ts');
  t.equal(code, 0, stderr);
  const [, killed, mutants] = /\((\d+) of (\d+) killed\)/.exec(stdout) ?? [];
  t.ok(Number(mutants) >= 40, stdout);
  t.ok(Number(killed) >= 0.9 * Number(mutants), stdout);
});

t.test('it says what it is for, and what it is not for', async (t) => {
  t.match(await run('--help'), { code: 0, stdout: /src\/wire\/request-reader\.ts/ });
  t.match(await run('src/cli/main.ts'), { code: 2, stderr: /src\/cli\/main\.ts is none of the files/ });
});
