/** What `npm test` reads of the processes it starts: who fails is told, wherever and however it fails, and nobody else. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type Ran, runTests } from '../../scripts/test/file.ts';

const TAP = `import t from ${JSON.stringify(import.meta.resolve('tap'))};\n`;
const GOOD = `${TAP}t.test('good', async (t) => { t.comment('figure 1'); t.ok(true); });`;

t.test('one outcome a test, and a file that ends before its time is one that failed', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-runner-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const run = async (files: Readonly<Record<string, string>>): Promise<readonly Ran[]> => {
    const paths = Object.keys(files).map((name) => join(dir, name));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
    return await runTests({ paths, engine: 'general', covers: [] }, dir);
  };
  const told = (ran: readonly Ran[]): string[] =>
    ran.flatMap(({ outcomes }) => outcomes.map(({ name, outcome }) => `${name.slice(dir.length + 1)}: ${outcome}`));
  const BAD = `${TAP}t.test('bad', async (t) => t.test('inner', async (t) => t.equal(1, 2, 'one is two')));
    t.test('left out', { skip: true }, () => {});`;
  const [mixed, lost, thrown, empty] = await Promise.all([
    run({ 'a.mjs': GOOD, 'b.mjs': BAD, 'c.mjs': GOOD }),
    run({ 'd.mjs': GOOD, 'e.mjs': `${TAP}t.test('ends', async () => process.exit(3));`, 'f.mjs': GOOD }),
    run({ 'g.mjs': 'process.exit(4);' }),
    run({ 'h.mjs': '' }),
  ]);
  t.same(told(mixed), [
    'a.mjs > good (general engine): passed',
    'b.mjs > bad (general engine): failed',
    'b.mjs > left out (general engine): skipped',
    'c.mjs > good (general engine): passed',
  ]);
  t.same(mixed[0]?.failures, []);
  t.match(mixed[1]?.failures[0], /b\.mjs \(general engine\) > bad > inner > one is two\n[\s\S]*"diff"/);
  t.same(
    mixed.map(({ figures }) => figures),
    [['figure 1'], [], ['figure 1']],
  );
  t.same(told(lost), [
    'd.mjs > good (general engine): passed',
    'e.mjs > the file as a whole (general engine): failed',
    'f.mjs > the file as a whole (general engine): failed',
  ]);
  t.same(told(thrown), ['g.mjs > the file as a whole (general engine): failed']);
  t.same(told(empty), ['h.mjs > the file as a whole (general engine): passed']);
});
