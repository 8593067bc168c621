/** The launcher runs the bundle when it is as new as every source, and the sources otherwise. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { root as project } from '../helpers/sidecar.ts';

t.test('a bundle that is older than a source is not run', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'reeve-launcher-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  for (const dir of ['src/cli', 'src/wire', 'dist']) mkdirSync(join(root, dir), { recursive: true });
  copyFileSync(join(project, 'src/cli/reeve.mjs'), join(root, 'src/cli/reeve.mjs'));
  writeFileSync(join(root, 'package.json'), '{}');
  writeFileSync(join(root, 'src/cli/main.ts'), "const ran: string = 'sources'; console.log(ran);");
  writeFileSync(join(root, 'src/wire/gate.ts'), '');
  const { NODE_V8_COVERAGE: _, ...env } = process.env;
  const run = (more: Record<string, string> = {}): string =>
    spawnSync(process.execPath, [join(root, 'src/cli/reeve.mjs')], { encoding: 'utf8', env: { ...env, ...more } })
      .stdout;
  const touch = (name: string, ageSec: number): void => {
    const at = Date.now() / 1000 - ageSec;
    utimesSync(join(root, name), at, at);
  };

  t.equal(run(), 'sources\n', 'there is none');
  writeFileSync(join(root, 'dist/main.mjs'), "console.log('bundle');");
  for (const name of [
    'package.json',
    'src',
    'src/cli',
    'src/cli/main.ts',
    'src/cli/reeve.mjs',
    'src/wire',
    'src/wire/gate.ts',
  ])
    touch(name, 100);
  touch('dist/main.mjs', 50);
  t.equal(run(), 'bundle\n');
  t.equal(run({ NODE_V8_COVERAGE: join(root, 'coverage') }), 'sources\n', 'lines are counted');
  for (const name of ['src/wire/gate.ts', 'src/wire', 'package.json']) {
    touch(name, 10);
    t.equal(run(), 'sources\n', `${name} is newer`);
    touch(name, 100);
  }
  t.equal(run(), 'bundle\n');
  t.end();
});
