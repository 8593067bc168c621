import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { type MonotonicMs, systemTimers } from '../../src/core/index.ts';
import { Catalogue, type Update } from '../../src/tenants/catalogue/catalogue.ts';
import type { RemovalRules } from '../../src/tenants/catalogue/removals.ts';
import { type LoadedFile, loadFiles } from '../../src/tenants/documents/load.ts';
import type { ParsedDocument } from '../../src/tenants/documents/parse.ts';
import { readDirectory } from '../../src/tenants/documents/read-directory.ts';
import {
  bootFlags,
  diffSnapshots,
  emptySnapshot,
  formatFinding,
  inspectTenancy,
  openTenancy,
  type Snapshot,
  sidecarSettings,
} from '../../src/tenants/index.ts';
import { SnapshotBuilder } from '../../src/tenants/snapshot/builder.ts';
import { quietWorld } from '../helpers/quiet-world.ts';
import { document, makeTenancy, plan, provider, tenant } from '../helpers/tenancy.ts';

const rules = { allowShrink: true, removeGraceMs: 0, now: 0 as MonotonicMs };
const world = { timers: systemTimers, remembered: new Map<string, ParsedDocument>() };
const byPath = (files: readonly LoadedFile[]) => new Map(files.map((file) => [file.path, file]));

/** A catalogue and the snapshots of its changes, without a thread between them. */
class Both {
  readonly catalogue = new Catalogue();
  readonly builder = new SnapshotBuilder();
  snapshot: Snapshot = emptySnapshot;

  async update(files: readonly LoadedFile[], given: RemovalRules = rules): Promise<Update> {
    const update = this.catalogue.update({ files, unread: [] }, given);
    if (update.changed > 0) this.snapshot = await this.builder.next(update.parts, async () => {});
    return update;
  }
}

t.test('what did not change is neither parsed nor copied again', async (t) => {
  const dir = makeTenancy({ 'r.yaml': document('Route', 'r', { match: { path: '/x' } }) });
  t.teardown(() => dir.cleanUp());
  const reread = async (previous: readonly LoadedFile[]): Promise<LoadedFile[]> => {
    const read = await readDirectory(dir.dir);
    if ('unreadable' in read) throw new Error(read.unreadable);
    return loadFiles(read.files, byPath(previous), world);
  };
  const both = new Both();
  const first = await reread([]);
  await both.update(first);
  t.same(diffSnapshots((await inspectTenancy(dir.dir)).snapshot, both.snapshot), []);
  t.same(await reread(first), first);
  t.ok(
    (await reread(first)).every((file, at) => file === first[at]),
    'the same text, the same objects',
  );

  const before = both.snapshot;
  dir.write('tenants.yaml', `---\n${tenant('initech')}${tenant('globex', { identity: { hosts: ['globex.test'] } })}`);
  const moved = await reread(first);
  await both.update(moved);
  t.ok(before.tenants.has('acme'), 'the old snapshot is as it was');
  t.same([...both.snapshot.tenants.keys()], ['globex', 'initech']);
  t.same([...both.snapshot.tenantByHost.keys()], ['globex.test']);
  t.same(
    [...both.snapshot.tenantByClaim].map(([key, { id }]) => `${key} ${id}`),
    ['globex globex', 'initech initech', 'org_initech initech'],
  );
  const seen: string[] = [];
  both.snapshot.tenants.forEach((each, key) => seen.push(`${key} ${each.id}`));
  t.same(seen, ['globex globex', 'initech initech']);
  t.equal(both.snapshot.routes, before.routes, 'routes did not change');

  dir.write('plans.yaml', plan('free', { concurrency: 3 }) + plan('unused'));
  const plans = await reread(moved);
  await both.update(plans);
  t.equal(both.snapshot.tenants.get('globex')?.allowance.concurrency, 3, 'tenants follow their plan');
  t.ok(both.snapshot.plans.has('unused'));
  dir.write('plans.yaml', plan('free', { concurrency: 3 }));
  await both.update(await reread(plans));
  t.notOk(both.snapshot.plans.has('unused'), 'a plan nobody uses may go');
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
    diffSnapshots(before, after).map(({ kind, changes }) => [kind, changes]),
    [
      ['Tenant', [{ key: 'identity.apiKeys.k.expires', before: 'never', after: '2027-01-01T00:00:00.000Z' }]],
      ['Route', [{ key: 'match.methods', before: '[GET]', after: '[GET, POST]' }]],
    ],
  );
});

t.test('a comparison speaks in the words of the documents, and shows no hash and no key', async (t) => {
  const snapshotOf = async (files: Readonly<Record<string, string>>): Promise<Snapshot> => {
    const dir = makeTenancy(files);
    const { snapshot, findings } = await inspectTenancy(dir.dir);
    t.same(findings, []);
    dir.cleanUp();
    return snapshot;
  };
  const url = 'https://id.test/keys';
  const before = await snapshotOf({
    'tenants.yaml': tenant('acme') + tenant('gone'),
    'more.yaml': document('IdentityProvider', 'web', {
      ...{ type: 'jwt', issuer: 'https://web.test', audiences: ['a'], algorithms: ['RS256'], tenantClaim: 'org' },
      ...{ jwks: { url } },
    }),
    'routes.yaml': document('Route', 'r', { match: { path: '/a' } }),
  });
  const requests = { limit: '20/s', burst: 30, credits: { earn: '20%', cap: '60s' } };
  const degrade = [
    'credit',
    { shape: '250ms' },
    { stale: '60s' },
    { route: 'degraded' },
    { features: ['a', 'b'] },
    'reject',
  ];
  const after = await snapshotOf({
    'plans.yaml': plan('free', { weight: 2, rate: { requests, egress: { limit: '1MiB/s' } }, degrade }),
    'tenants.yaml':
      document(
        'Tenant',
        'acme',
        {
          plan: 'free',
          overrides: { concurrency: 3 },
          identity: { hosts: ['a.test'], apiKeys: [{ id: 'k', hash: `hmac-sha256:${'0'.repeat(64)}` }] },
        },
        { labels: { region: 'eu' } },
      ) + tenant('new'),
    'more.yaml': document('IdentityProvider', 'web', {
      ...{ type: 'jwt', issuer: 'https://web.test', audiences: ['a'], algorithms: ['RS256'], tenantClaim: 'org' },
      ...{ jwks: { file: 'keys.json' }, tokenType: 'JWT' },
    }),
    'routes.yaml': document('Route', 'r', {
      ...{ match: { path: '/a/*' }, timeout: '2s', bodyMax: '1KiB', degraded: { upstream: 'lite' } },
    }),
  });
  const lines = diffSnapshots(before, after).flatMap(({ kind, name, change, changes }) =>
    change === 'changed'
      ? changes.map((each) => `${kind} ${each.key}: ${each.before ?? '-'} → ${each.after ?? '-'}`)
      : `${change} ${name}`,
  );
  t.same(lines, [
    'Plan weight: 1 → 2',
    'Plan degrade: [credit, reject] → [credit, shape: 250ms, stale: 60000ms, route: degraded, features: [a, b], reject]',
    'Plan rate.requests.limit: - → 20/s',
    'Plan rate.requests.burst: - → 30',
    'Plan rate.requests.credits.earn: - → 20%',
    'Plan rate.requests.credits.cap: - → 60s',
    'Plan rate.egress.limit: - → 1MiB/s',
    'Tenant identity.claims: [org_acme] → []',
    'Tenant identity.hosts: [] → [a.test]',
    'Tenant overrides.concurrency: - → 3',
    'Tenant labels.region: - → eu',
    'Tenant identity.apiKeys.k.hash: - → …',
    'Tenant identity.apiKeys.k.expires: - → never',
    'added new',
    'removed gone',
    `IdentityProvider jwks.url: ${url} → -`,
    'IdentityProvider jwks.allowPrivate: false → -',
    'IdentityProvider jwks.file: - → keys.json',
    'IdentityProvider jwks.keys: - → …',
    'IdentityProvider tokenType: - → jwt',
    'Route match.path: /a → /a/*',
    'Route degraded.upstream: - → lite',
    'Route timeout: - → 2000ms',
    'Route bodyMax: - → 1024B',
  ]);
});

t.test('a file that turns unreadable keeps its objects', async (t) => {
  const dir = makeTenancy();
  const prepared: number[] = [];
  const tenancy = await openTenancy({
    dir: dir.dir,
    stateDir: undefined,
    allowShrink: true,
    removeGraceMs: 0,
    ...quietWorld(),
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
  // At once: one that is emptied file by file is another matter.
  renameSync(dir.dir, `${dir.dir}.away`);
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
  const { config } = bootFlags(given({ 'log.sample': '5%', 'drain.grace': '1min' }), '/srv');
  t.match(config, {
    tenancy: { dir: '/srv/t' },
    stateDir: undefined,
    log: { sample: 0.05 },
    drain: { delayMs: 0, graceMs: 60_000 },
  });
  t.equal(config?.upstreams.size, 0);
  t.equal(config?.gossip, undefined, 'alone');
  t.match(config?.admission, { min: 1000, max: 1000 }, 'fixed');
  t.match(bootFlags(given({ 'admission.min': '20' }), '/').config?.admission, { min: 20, max: 1000 }, 'learned');
  const gossip = { 'gossip.keyFile': 'keys', 'gossip.seeds.list': '10.0.0.1:7946,10.0.0.2:7946' };
  t.match(bootFlags(given(gossip), '/srv').config?.gossip, {
    ...{ keyFile: '/srv/keys', seeds: { list: ['10.0.0.1:7946', '10.0.0.2:7946'] }, cluster: 'reeve' },
    ...{ port: 7946, partition: 'hold', name: undefined, advertise: undefined },
  });
  for (const [more, got] of [
    [{}, 'is missing'],
    [{ 'gossip.seeds.file': 's', 'gossip.seeds.dns': 'd:1' }, 'expected one of dns, file and list, got 2'],
  ] as const) {
    const { findings } = bootFlags(given({ 'gossip.keyFile': 'k', ...more }), '/');
    t.match(findings.map(formatFinding).join(), got);
  }
  for (const [cluster, isGood] of [
    ['shop-production', true],
    ['two words', false],
    ['blüe', false],
  ] as const) {
    const { findings } = bootFlags(given({ ...gossip, 'gossip.cluster': cluster }), '/');
    t.equal(findings.length, isGood ? 0 : 1, cluster);
    if (!isGood) t.match(findings.map(formatFinding), [/spec\.gossip\.cluster: expected/]);
  }
  const bad = bootFlags(given({ 'inbound.trustedProxies': '10.0.0.0/x,::1/64' }), '/');
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
      const both = new Both();
      let previous: readonly LoadedFile[] = [];
      for (const [now, moment] of sequence.entries()) {
        const read = Object.entries(moment).map(([path, documents]) => ({ path, text: documents.join('') }));
        previous = await loadFiles(read, byPath(previous), world);
        const before = both.snapshot;
        const { changed } = await both.update(previous, { allowShrink, removeGraceMs: 1, now: now as MonotonicMs });
        const { snapshot } = both;
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
