/** `npm run check`: types, format and lint, rooms, dead code, generated files. One line each; what failed is printed whole. */
import { spawnSync } from 'node:child_process';

const checks: readonly { name: string; command: readonly string[] }[] = [
  { name: 'types', command: ['tsc', '--noEmit', '-p', '.'] },
  { name: 'format and lint', command: ['biome', 'check', '.'] },
  { name: 'rooms', command: ['depcruise', 'src', '--config', '.dependency-cruiser.mjs', '--output-type', 'err-long'] },
  { name: 'dead code', command: ['knip', '--no-progress'] },
  { name: 'generated files', command: ['node', 'scripts/generate.ts', '--check'] },
];

let failed = 0;
for (const { name, command } of checks) {
  const [program, ...args] = command as [string, ...string[]];
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  const isGood = status === 0 && error === undefined;
  process.stdout.write(`${isGood ? 'ok  ' : 'FAIL'} ${name}\n`);
  if (isGood) continue;
  failed++;
  process.stdout.write(`${error?.message ?? ''}${stdout ?? ''}${stderr ?? ''}\n`);
}
process.exitCode = failed === 0 ? 0 : 1;
