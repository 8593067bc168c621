/**
 * Writes every generated file, or with `--check` says which are stale. A generator is a file of scripts/generate/
 * that exports `outputs(): Promise<Map<path, content>>`; paths are relative to the repository.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const isCheck = process.argv.includes('--check');
const stale: string[] = [];

for (const file of (await readdir(join(import.meta.dirname, 'generate')))
  .filter((each) => each.endsWith('.ts'))
  .sort()) {
  const generator = (await import(`./generate/${file}`)) as { outputs(): Promise<Map<string, string>> };
  for (const [path, content] of await generator.outputs()) {
    const current = await readFile(join(root, path), 'utf8').catch(() => undefined);
    if (current === content) continue;
    stale.push(path);
    if (isCheck) continue;
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
}

for (const path of stale) process.stdout.write(`${isCheck ? 'stale' : 'wrote'} ${path}\n`);
if (isCheck && stale.length > 0) {
  process.stdout.write('run `npm run generate` and commit what it wrote\n');
  process.exitCode = 1;
}
