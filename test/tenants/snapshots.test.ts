import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { type MonotonicMs, systemClock, systemTimers } from '../../src/core/index.ts';
import { createMetrics, silentLog } from '../../src/telemetry/index.ts';
import { Catalogue } from '../../src/tenants/catalogue.ts';
import type { LoadedFile } from '../../src/tenants/desired.ts';
import {
  bootSidecar,
  diffSnapshots,
  emptySnapshot,
  formatFinding,
  inspectTenancy,
  openTenancy,
  type Snapshot,
  sidecarSettings,
} from '../../src/tenants/index.ts';
import { loadFiles } from '../../src/tenants/load.ts';
import { nextLookups } from '../../src/tenants/lookups.ts';
import type { Pace } from '../../src/tenants/pace.ts';
import type { ParsedDocument } from '../../src/tenants/parse.ts';
import { readDirectory } from '../../src/tenants/read-directory.ts';
import { document, makeTenancy, plan, provider, tenant } from '../helpers/tenancy.ts';

/** Yields at every item: work that is cut anywhere must come out the same. */
const alwaysYields: Pace = Object.assign(() => systemTimers.yieldLoop(), { turn: () => systemTimers.yieldLoop() });

const neverYields: Pace = Object.assign(() => undefined, { turn: async () => {} });

t.test('work that is cut anywhere comes out the same', async (t) => {
  const dir = makeTenancy({ 'r.yaml': document('Route', 'r', { match: { path: '/x' } }) });
  t.teardown(() => dir.cleanUp());
  const read = await readDirectory(dir.dir);
  if ('unreadable' in read) throw new Error(read.unreadable);
  const catalogue = new Catalogue();
  t.equal(catalogue.snapshot, emptySnapshot);
  const rules = { allowShrink: true, removeGraceMs: 0, now: 0 as MonotonicMs };
  const world = { timers: systemTimers, remembered: new Map<string, ParsedDocument>() };
  const first = await loadFiles(read.files, new Map(), { ...world, pace: alwaysYields });
  const sliced = await catalogue.update(first.files, rules, alwaysYields);
  t.same(diffSnapshots((await inspectTenancy(dir.dir)).snapshot, sliced.snapshot), []);

  const byPath = new Map(first.files.map((file) => [file.path, file]));
  t.equal((await loadFiles(read.files, byPath, { ...world, pace: neverYields })).parsed, 0, 'the same text');
  const changed = read.files.map((file) =>
    file.path === 'tenants.yaml' ? { ...file, text: file.text.replace('---\n', `---\n${tenant('initech')}`) } : file,
  );
  t.equal(
    (await loadFiles(changed, byPath, { ...world, pace: alwaysYields })).parsed,
    1,
    'what moved is found by text',
  );

  dir.write('plans.yaml', plan('free', { concurrency: 3 }) + plan('unused'));
  const update = async (files: readonly LoadedFile[]) => catalogue.update(files, rules, alwaysYields);
  const reread = async (): Promise<readonly LoadedFile[]> => {
    const again = await readDirectory(dir.dir);
    if ('unreadable' in again) throw new Error(again.unreadable);
    return (await loadFiles(again.files, byPath, { ...world, pace: alwaysYields })).files;
  };
  t.equal((await update(await reread())).snapshot.tenants.get('acme')?.allowance.concurrency, 3);
  t.ok(catalogue.snapshot.plans.has('unused'));
  dir.write('plans.yaml', plan('free', { concurrency: 3 }));
  t.notOk((await update(await reread())).snapshot.plans.has('unused'), 'a plan nobody uses may go');
  dir.write('tenants.yaml', tenant('globex'));
  t.same([...(await update(await reread())).snapshot.tenantByHost.keys()], []);

  const { tenants } = catalogue.snapshot;
  const lookups = await nextLookups(emptySnapshot, [], tenants.values(), alwaysYields);
  t.same([...lookups.tenantByClaim.keys()], ['globex', 'org_globex']);
  t.equal((await nextLookups(lookups, tenants.values(), [], alwaysYields)).tenantByClaim.size, 0);
});

t.test('a comparison tells keys, expiry and sets apart', async (t) => {
  const key = (expires?: string) => ({ id: 'k', hash: `hmac-sha256:${'0'.repeat(64)}`, ...(expires && { expires }) });
  const snapshotOf = async (keys: object[], methods: string[]): Promise<Snapshot> => {
    const dir = makeTenancy({
      'tenants.yaml': tenant('acme', { identity: { apiKeys: keys } }),
      'r.yaml': document('Route', 'r', { match: { path: '/', methods } }),
    });
    const { snapshot } = await inspectTenancy(dir.dir);
    dir.cleanUp();
    return snapshot;
  };
  const before = await snapshotOf([key()], ['GET']);
  const after = await snapshotOf([key('2027-01-01')], ['GET', 'POST']);
  t.same(
    diffSnapshots(before, after).map((each) => `${each.kind} ${each.keys.join()}`),
    ['Tenant apiKeys', 'Route methods'],
  );
});

t.test('a file that turns unreadable keeps its objects', async (t) => {
  const dir = makeTenancy();
  const prepared: number[] = [];
  const tenancy = await openTenancy({
    dir: dir.dir,
    stateDir: undefined,
    allowShrink: true,
    removeGraceMs: 0,
    clock: systemClock,
    timers: systemTimers,
    log: silentLog,
    metrics: createMetrics({ timers: systemTimers }),
    prepare: async ({ generation }) => void prepared.push(generation),
  });
  t.teardown(async () => {
    await Promise.all([tenancy.close(), tenancy.close()]);
    dir.cleanUp();
  });
  t.same(prepared, [1]);
  writeFileSync(join(dir.dir, 'tenants.yaml'), Buffer.from([0xff, 0xfe, 0x00]));
  await tenancy.refresh();
  t.equal(tenancy.snapshot.tenants.size, 2);
  t.match(tenancy.findings().map(formatFinding), ['tenants.yaml: is not UTF-8 text (save it as UTF-8)']);
  rmSync(dir.dir, { recursive: true });
  await tenancy.refresh();
  t.equal(tenancy.snapshot.tenants.size, 2, 'and so does a directory');
  t.match(tenancy.findings().map(formatFinding).join(), /cannot be read/);
});

t.test('flags alone can say everything, and are judged as the file is', async (t) => {
  const given = (more: Record<string, string>) =>
    Object.entries({ upstream: 'http://127.0.0.1:1', 'tenancy.dir': 't', ...more }).map(([path, text]) => ({
      path,
      text,
      place: sidecarSettings.find((each) => each.path === path)?.flag ?? path,
    }));
  const { config } = bootSidecar(undefined, given({ 'log.sample': '5%', 'drain.grace': '1min' }), '/srv');
  t.match(config, {
    tenancy: { dir: '/srv/t' },
    stateDir: undefined,
    log: { sample: 0.05 },
    drain: { graceMs: 60_000 },
  });
  t.equal(config?.upstreams.size, 0);
  const bad = bootSidecar(undefined, given({ 'inbound.trustedProxies': '10.0.0.0/x,::1/64' }), '/');
  t.match(bad.findings.map(formatFinding), [/^flags spec\.inbound\.trustedProxies\.0: expected an address or range/]);
});

t.test('whatever the files say, every snapshot is whole', async () => {
  const names = ['a', 'b', 'c', 'd'];
  const identity = fc.record({ claims: fc.subarray(['x', 'y', 'a', 'b']), hosts: fc.subarray(['h.test', 'i.test']) });
  const one = fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .tuple(fc.constantFrom(...names), identity, fc.constantFrom('p', 'q', 'none'))
        .map(([name, ids, on]) => tenant(name, { plan: on, identity: ids })),
    },
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.constantFrom('p', 'q'), fc.integer({ min: 1, max: 3 }))
        .map(([name, concurrency]) => plan(name, { concurrency })),
    },
    { weight: 1, arbitrary: fc.constantFrom('{{{\n---\n', 'kind: Tenant\nmetadata: { name: a }\n---\n', provider()) },
  );
  const moments = fc.array(
    fc.dictionary(fc.constantFrom('1.yaml', '2.yaml', '3.yaml'), fc.array(one, { maxLength: 5 })),
    {
      minLength: 2,
      maxLength: 8,
    },
  );
  await fc.assert(
    fc.asyncProperty(moments, fc.boolean(), async (sequence, allowShrink) => {
      const catalogue = new Catalogue();
      let previous: ReadonlyMap<string, LoadedFile> = new Map();
      for (const [now, moment] of sequence.entries()) {
        const read = Object.entries(moment).map(([path, documents]) => ({ path, text: documents.join('') }));
        const world = { timers: systemTimers, pace: neverYields, remembered: new Map() };
        const { files } = await loadFiles(read, previous, world);
        previous = new Map(files.map((file) => [file.path, file]));
        const before = catalogue.snapshot;
        const rules = { allowShrink, removeGraceMs: 1, now: now as MonotonicMs };
        const { snapshot, changed } = await catalogue.update(files, rules, neverYields);
        whole(snapshot, before, changed);
      }
    }),
    { seed: 11, numRuns: 150 },
  );
});

/** Throws when a snapshot contradicts itself, or an index changed under a tenant that stayed. */
function whole(snapshot: Snapshot, before: Snapshot, changed: number): void {
  const claim = (isSo: boolean, what: string): void => {
    if (!isSo) throw new Error(what);
  };
  claim(snapshot.generation === before.generation + (changed > 0 ? 1 : 0), 'one generation a change');
  const tenants = [...snapshot.tenants.values()];
  claim(new Set(tenants.map((each) => each.index)).size === tenants.length, 'indices are unique');
  claim(
    tenants.every((each) => each.index < snapshot.tenantSlots),
    'indices fit the slots',
  );
  for (const each of tenants) {
    const old = before.tenants.get(each.id);
    claim(old === undefined || old.index === each.index, 'an index is stable');
    for (const id of each.claims) claim(snapshot.tenantByClaim.get(id) === each, `claim ${id} means ${each.id}`);
    for (const host of each.hosts) claim(snapshot.tenantByHost.get(host) === each, `host ${host} means ${each.id}`);
  }
  claim(snapshot.tenantByClaim.size === tenants.reduce((sum, each) => sum + each.claims.length, 0), 'no stale claim');
  claim(snapshot.tenantByHost.size === tenants.reduce((sum, each) => sum + each.hosts.length, 0), 'no stale host');
  for (const [id, tenant] of before.tenantByClaim) {
    const now = snapshot.tenantByClaim.get(id);
    const stayed = snapshot.tenants.get(tenant.id);
    claim(now === undefined || now.id === tenant.id || !stayed?.claims.includes(id), 'no id is shared');
  }
}
