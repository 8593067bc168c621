/** Every bound of the room: documents, files, bytes, time in a thread, time on the loop. */
import { createHash } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { systemTimers, type Timers } from '../../src/core/index.ts';
import { ROUTES_MAX } from '../../src/tenants/catalogue/judgement.ts';
import { DOCUMENTS_MAX, loadFiles, textHash } from '../../src/tenants/documents/load.ts';
import { parseOne } from '../../src/tenants/documents/parse.ts';
import { parseMany } from '../../src/tenants/documents/parse-many.ts';
import { readDirectory } from '../../src/tenants/documents/read-directory.ts';
import { schemaId } from '../../src/tenants/generated/settings.ts';
import { type Finding, foldFindings, formatFinding, openTenancy } from '../../src/tenants/index.ts';
import { tenancyForTest } from '../helpers/open-tenancy.ts';
import { quietWorld } from '../helpers/quiet-world.ts';
import type { Ending } from '../helpers/sidecar.ts';
import { document, makeTenancy, plan } from '../helpers/tenancy.ts';

function folder(t: Ending): string {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-parts-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Runs it now and in every turn of the loop, until what it returns is called. */
function again(run: () => void): () => void {
  let next: NodeJS.Immediate;
  const turn = (): void => {
    run();
    next = setImmediate(turn);
  };
  turn();
  return () => clearImmediate(next);
}

t.test('documents beyond the bound are left out, and said so', async (t) => {
  const text = 'a: 1\n---\n'.repeat(DOCUMENTS_MAX + 5);
  const remembered = new Map([
    [textHash('a: 1\n'), parseOne('a: 1\n')],
    [textHash('\na: 1\n'), parseOne('a: 1\n')],
  ]);
  const world = { timers: systemTimers, remembered };
  const files = [
    { path: 'a.yaml', text },
    { path: 'b.yaml', text: 'a: 1\n' },
  ];
  const loaded = await loadFiles(files, new Map(), world);
  t.same(
    loaded.map((file) => file.isCut),
    [true, true],
  );
  t.equal(loaded[0]?.documents.length, DOCUMENTS_MAX);
  t.equal(loaded[1]?.documents.length, 0);
});

t.test('a tenancy of too many documents goes on with those within the bound', async (t) => {
  const dir = makeTenancy({ 'providers.yaml': '', 'tenants.yaml': '' });
  dir.remove('keys.json');
  // An earlier process is made to have parsed them, so that none is parsed here.
  const names = Array.from({ length: DOCUMENTS_MAX + 5 }, (_, i) => `p${i}`);
  const lines = names.map((name, at) =>
    JSON.stringify({
      hash: textHash(`${at === 0 ? '' : '\n'}${name}\n`),
      file: 'plans.yaml',
      kind: 'Plan',
      name,
      json: document('Plan', name, {}).split('\n')[0] as string,
      holds: [],
    }),
  );
  const body = `${JSON.stringify({ format: 4, schema: schemaId })}\n${lines.join('\n')}\n`;
  const seal = JSON.stringify({ sha256: createHash('sha256').update(body).digest('hex') });
  writeFileSync(join(dir.stateDir, 'last-good.jsonl'), `${body}${seal}\n`);
  dir.write('plans.yaml', names.join('\n---\n').concat('\n'));
  // The file of so many takes its thread longer than a thread has: one that is ended says nothing of which lines ran.
  const timers: Timers = {
    ...systemTimers,
    after: (ms, run) => systemTimers.after(ms === 5000 ? 60_000 : ms, run),
  };
  const tenancy = await tenancyForTest(t, dir, { stateDir: dir.stateDir, removeGraceMs: 0, timers });
  t.equal(tenancy.snapshot.plans.size, DOCUMENTS_MAX + 5, 'those beyond it stay as they were');
  t.match(tenancy.findings().map(formatFinding), [/^plans\.yaml: more than 200000 documents in the tenancy/]);
});

t.test('a document that costs too much is refused by itself, and its neighbours are not', async (t) => {
  const good = Array.from({ length: 70 }, (_, i) => plan(`p${i}`).replace('---\n', ''));
  // Within every bound of the text, and yet more than a thread is given time for here.
  const costly = `a: [${'&a b,'.repeat(9000)}]`;
  const texts = [...good.slice(0, 40), costly, ...good.slice(40)];
  t.ok(
    (await parseMany(texts, systemTimers, 20_000)).every((each, at) => each.isGood === (at !== 40)),
    'with time enough only its own fault shows',
  );
  const results = await parseMany([...texts, ...good], systemTimers, 1);
  t.match(results[0], {
    isGood: false,
    problems: [{ message: /cannot be parsed within 0\.001 s and 512 MB \(\d+ characters\)/ }],
  });
  t.equal(results.length, 141, 'every text has its result');
  let armed = 0;
  const timers: Timers = { ...systemTimers, after: (ms, run) => systemTimers.after(armed++ === 0 ? 0 : ms, run) };
  const long = `${plan('long').replace('---\n', '')}# ${'x'.repeat(2048)}\n`;
  t.ok(
    (await parseMany([long, ...good], timers)).every((each) => each.isGood),
    'when a thread falls silent its whole batch is tried again, text by text',
  );
  t.ok(armed > 1);
});

t.test(
  'few small documents are parsed without a thread, many beside one, and each result is at its place',
  async (t) => {
    let threads = 0;
    const timers: Timers = {
      ...systemTimers,
      after(ms, run) {
        threads++;
        return systemTimers.after(ms, run);
      },
    };
    const names = Array.from({ length: 1000 }, (_, i) => `p${i}`);
    const texts = names.map((name) => plan(name).replace('---\n', ''));
    const namesOf = async (many: readonly string[]) =>
      (await parseMany(many, timers)).map((each) => each.isGood && each.name);
    t.same(await namesOf(texts.slice(1)), names.slice(1));
    t.equal(threads, 0, 'none was waited for');
    t.same(await namesOf(texts), names);
    t.ok(threads > 0);
  },
);

t.test('a directory of very many, very large or ever moving files is read within bounds', async (t) => {
  const crowded = folder(t);
  for (let i = 0; i <= 10_003; i++) writeFileSync(join(crowded, `f${i}.yaml`), '');
  const many = await readDirectory(crowded);
  t.match(many, { isCut: true, problems: [{ path: 'f9996.yaml', message: /more than 10000 files and folders/ }] });
  t.equal('files' in many ? many.files.length : 0, 10_000);

  const heavy = folder(t);
  for (let i = 0; i < 5; i++) {
    const file = openSync(join(heavy, `f${i}.yaml`), 'w');
    ftruncateSync(file, 60 * 2 ** 20);
    closeSync(file);
  }
  const file = openSync(join(heavy, 'too-big.yaml'), 'w');
  ftruncateSync(file, 65 * 2 ** 20);
  closeSync(file);
  const large = await readDirectory(heavy);
  t.match(large, {
    problems: [
      { path: 'f4.yaml', message: /the directory holds more than 268435456 bytes/ },
      { path: 'too-big.yaml', message: 'is larger than 67108864 bytes' },
    ],
  });

  const restless = folder(t);
  for (const version of ['..a', '..b']) {
    mkdirSync(join(restless, version));
    for (let i = 0; i < 40; i++) writeFileSync(join(restless, version, `f${i}.yaml`), version);
  }
  let at = 0;
  const stop = again(() => {
    // Never the same text twice in a row, so that it cannot seem to have rested.
    symlinkSync(`${'./'.repeat(at % 50)}${at++ % 2 === 0 ? '..a' : '..b'}`, join(restless, '..tmp'));
    renameSync(join(restless, '..tmp'), join(restless, '..data'));
  });
  for (let i = 0; i < 5; i++) {
    const read = await readDirectory(restless);
    if ('unreadable' in read) throw new Error(read.unreadable);
    t.same([read.files.length, new Set(read.files.map((each) => each.text)).size], [40, 1], 'never a mix');
  }
  stop();
});

t.test('a version whose folder is taken away while it is read is none: what is in force stays', async (t) => {
  const dir = folder(t);
  let at = 0;
  const swap = (): void => {
    const version = `..v${at}`;
    mkdirSync(join(dir, version));
    for (let i = 0; i < 20; i++) writeFileSync(join(dir, version, `f${i}.yaml`), version);
    symlinkSync(version, join(dir, '..tmp'));
    renameSync(join(dir, '..tmp'), join(dir, '..data'));
    rmSync(join(dir, `..v${at++ - 1}`), { recursive: true, force: true });
  };
  swap();
  const stopSwapping = again(swap);
  let refused = 0;
  for (let i = 0; i < 10; i++) {
    const read = await readDirectory(dir);
    if ('unreadable' in read) refused++;
    else t.same([read.files.length, read.problems, new Set(read.files.map((each) => each.text)).size], [20, [], 1]);
  }
  stopSwapping();
  t.ok(refused > 0, 'at such a pace no read is whole');

  const stopAstray = again(() => {
    symlinkSync(`..nowhere${at++}`, join(dir, '..tmp'));
    renameSync(join(dir, '..tmp'), join(dir, '..data'));
  });
  t.match(await readDirectory(dir), { unreadable: String }, 'nor is one that is nowhere');
  stopAstray();
  swap();
  t.match(await readDirectory(dir), { files: { length: 20 }, problems: [] });
});

t.test(
  'routes beyond the bound are refused: those in force stay, newcomers come in the order of their names',
  async (t) => {
    const name = (at: number): string => `r${String(at).padStart(4, '0')}`;
    const routes = (from: number, to: number): string =>
      Array.from({ length: to - from }, (_, at) =>
        document('Route', name(from + at), { match: { path: `/${from + at}` } }),
      ).join('');
    const dir = makeTenancy({ 'b.yaml': routes(1, ROUTES_MAX), 'a.yaml': routes(ROUTES_MAX, ROUTES_MAX + 2) });
    const tenancy = await openTenancy({
      dir: dir.dir,
      stateDir: undefined,
      allowShrink: true,
      removeGraceMs: 0,
      ...quietWorld(),
    });
    t.teardown(() => tenancy.close().then(() => dir.cleanUp()));
    const names = (): string[] => tenancy.snapshot.routes.map((each) => each.name).sort();
    t.equal(names().length, ROUTES_MAX);
    t.equal(names().at(-1), name(ROUTES_MAX));
    t.match(tenancy.findings().map(formatFinding), [
      /^a\.yaml:\d+:\d+ Route "r1001" metadata\.name: more than 1000 routes \(join routes/,
    ]);
    dir.write('b.yaml', routes(0, ROUTES_MAX));
    await tenancy.refresh();
    t.notOk(names().includes(name(0)), 'a newcomer drives nobody out');
    dir.write('b.yaml', routes(3, ROUTES_MAX));
    await tenancy.refresh();
    t.equal(names().length, ROUTES_MAX - 1);
    t.ok(names().includes(name(ROUTES_MAX + 1)), 'what goes makes room in the same change');
    t.same(tenancy.findings(), []);
  },
);

t.test('of findings that want the same thing the first is said, with how many more there are', async (t) => {
  const finding = (file: string, wants?: string): Finding =>
    ({ ...{ file, line: 0, column: 0, severity: 'error', message: 'no' }, ...(wants && { wants }) }) as Finding;
  const said = foldFindings([finding('a', 'Plan x'), finding('b'), finding('c', 'Plan x'), finding('d', 'Plan y')]);
  t.strictSame(
    said.map(({ text, finding: { file } }) => [file, text.includes('1 more want it')]),
    [
      ['a', true],
      ['b', false],
      ['d', false],
    ],
  );
});
