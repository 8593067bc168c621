import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { buildProgram } from '../../src/cli/program.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

t.test('docs/testing.md names every guarantee', async (t) => {
  const page = read('docs/testing.md');
  for (const file of globSync('test/guarantees/*.test.ts', { cwd: root }))
    t.ok(page.includes(`\`${file.split('/').at(-1)}\``), file);
});

t.test('what the README and the pages link to and tell to type is there', async (t) => {
  for (const page of ['README.md', 'ARCHITECTURE.md', ...globSync('docs/**/*.md', { cwd: root })]) {
    const text = read(page);
    for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g))
      t.ok(existsSync(join(root, dirname(page), target as string)), `${page} → ${target}`);
    for (const [, file] of text.matchAll(/npm test -- (test\/[\w/.-]+\.ts)/g))
      t.ok(existsSync(join(root, file as string)), `${page}: ${file}`);
  }
  const commands = buildProgram()
    .commands.filter((each) => each.name() !== 'help')
    .flatMap((each) =>
      each.commands.length === 0 ? each.name() : `${each.name()} ${each.commands.map((sub) => sub.name()).join('|')}`,
    );
  for (const command of commands) t.ok(read('README.md').includes(`\`${command}\``), `README names ${command}`);
});

t.test('what the README and the pages tell to type needs no path that two users of a machine share', async (t) => {
  for (const page of ['README.md', ...globSync('docs/**/*.md', { cwd: root })])
    t.notMatch(read(page), /(?<![\w.])\/tmp\//, page);
});

t.test('every defect of others that docs/testing.md lists has the test it names', async (t) => {
  const rows = [...read('docs/testing.md').matchAll(/^\| .* \| `(test\/[\w/.-]+\.ts)` \| (.*) \|$/gm)];
  t.ok(rows.length > 20, `${rows.length} rows`);
  for (const [, file, name] of rows) t.ok(read(file as string).includes(name as string), `${file}: ${name}`);
});
