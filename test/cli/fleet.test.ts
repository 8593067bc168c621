/** A fleet of sidecars in this process, and what the command says of it. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { request } from 'undici';
import { nameOf } from '../../src/cli/fleet.ts';
import { startSidecar } from '../../src/cli/sidecar.ts';
import { systemClock, systemTimers } from '../../src/core/index.ts';
import { createLog } from '../../src/telemetry/index.ts';
import { reeve } from '../helpers/command.ts';
import { becomes } from '../helpers/processes.ts';
import {
  configFor,
  type Ending,
  httpBackend,
  type SidecarForTest,
  settings,
  sidecarForTest,
} from '../helpers/sidecar.ts';
import { makeTenancy, plan, type TenancyDir, tenant } from '../helpers/tenancy.ts';

const key = (): string => randomBytes(32).toString('base64');

function tenancyOfFleet(t: Ending): TenancyDir {
  const tenancy = makeTenancy({
    'plans.yaml':
      plan('free', {
        rate: { requests: { limit: '50/s', burst: 10 } },
        degrade: ['reject'],
        quotas: { requests: { per: 'day', limit: 1e6 } },
      }) +
      plan('prepaid', { quotas: { tokens: { per: 'day', limit: 1000, mode: 'hard' } } }) +
      plan('capped', { rate: { requests: { limit: '30/s', burst: 9, strict: true } }, degrade: ['reject'] }) +
      plan('scarce', { rate: { requests: { limit: '30/s', burst: 2, strict: true } } }),
    'tenants.yaml':
      tenant('acme', { identity: { hosts: ['acme.test'] } }) +
      tenant('globex', { plan: 'prepaid' }) +
      tenant('initech', { plan: 'capped', identity: { hosts: ['initech.test'] } }) +
      tenant('umbrella', { plan: 'scarce' }),
  });
  t.teardown(() => tenancy.cleanUp());
  return tenancy;
}

interface Started extends SidecarForTest {
  readonly address: string;
  readonly lines: string[];
}

async function member(
  t: Ending,
  upstream: string,
  tenancy: TenancyDir,
  keyFile: string,
  seeds: Readonly<Record<string, string>>,
  name?: string,
): Promise<Started> {
  const lines: string[] = [];
  const log = createLog({ clock: systemClock, level: 'info', write: (line) => void lines.push(line) });
  const sidecar = await sidecarForTest(t, upstream, {
    tenancy,
    log,
    settings: {
      'inbound.trust': 'network',
      'gossip.keyFile': keyFile,
      'gossip.host': '127.0.0.1',
      'gossip.port': '0',
      ...(name === undefined ? {} : { 'gossip.name': name }),
      ...seeds,
    },
  });
  return { ...sidecar, lines, address: `127.0.0.1:${sidecar.ports.gossip}` };
}

/** By undici itself: a `fetch` may not name its host. */
async function ask({ port }: SidecarForTest, host = 'acme.test'): Promise<{ status: number; left: string }> {
  const { statusCode, headers, body } = await request(`http://127.0.0.1:${port}/`, { headers: { host } });
  await body.dump();
  return { status: statusCode, left: String(headers['ratelimit']) };
}

t.test('three sidecars, one limit; the command says who takes what', async (t) => {
  const upstream = await httpBackend(t, (_, response) => response.end('ok'));
  const tenancy = tenancyOfFleet(t);
  const keyFile = join(tenancy.stateDir, 'keys');
  const seedFile = join(tenancy.stateDir, 'seeds');
  writeFileSync(keyFile, `# made today\n${key()}\n`);
  const first = await member(t, upstream, tenancy, keyFile, { 'gossip.seeds.list': '127.0.0.1:1' }, 'pod-a');
  writeFileSync(seedFile, `${first.address}\n`);
  const second = await member(t, upstream, tenancy, keyFile, { 'gossip.seeds.file': seedFile }, 'pod-b');
  const third = await member(t, upstream, tenancy, keyFile, { 'gossip.seeds.dns': first.address }, 'pod-c');
  const admin = (of: SidecarForTest): string => `http://127.0.0.1:${of.ports.admin}`;
  const membersOf = async (of: SidecarForTest): Promise<{ members: { name: string; state: string }[] }> =>
    (await fetch(`${admin(of)}/v1/gossip`)).json() as never;
  for (const each of [first, second, third]) {
    t.ok(await becomes(async () => (await membersOf(each)).members.length === 3), 'all know all');
    const startup = await fetch(`http://127.0.0.1:${each.ports.status}/startupz`);
    t.equal(startup.status, 200);
  }
  const told: { status: number; left: string }[] = [];
  for (let i = 0; i < 40; i++) told.push(...(await Promise.all([ask(second), ask(second), ask(third)])));
  const refused = told.filter(({ status }) => status === 429);
  t.ok(refused.length > 0, `${refused.length} refused`);
  t.same(
    refused.filter(({ left }) => !/^"requests";r=0;t=[1-9]/.test(left)),
    [],
    'who is refused is told that nothing is left',
  );
  const table = await reeve(['gossip', 'members', '--admin', admin(first)]);
  t.match(table, { status: 0, stdout: /pod-a\s+alive[\s\S]*pod-[bc]\s+alive\s+127\.0\.0\.1:\d+\s+(yes|no|-)/ });
  t.match(JSON.parse((await reeve(['gossip', 'members', '--admin', admin(first), '-o', 'json'])).stdout), {
    isIsolated: false,
    members: [{ name: 'pod-a', state: 'alive' }, {}, {}],
  });
  t.match(await reeve(['check', '--live', '--admin', admin(first)]), {
    stdout: /√ the fleet is heard\n√ all of the fleet are there \(3 members\)\n√ hard quotas can be used up/,
  });
  t.match(await reeve(['gossip', 'watch', '--count', '1', '--admin', admin(first)]), {
    status: 0,
    stdout: /^\S+Z pod-a alive 127[\s\S]*pod-b alive/m,
  });
  const watched = await reeve(['gossip', 'watch', '--count', '2', '--admin', admin(first), '-o', 'json']);
  t.equal(watched.stdout.trim().split('\n').length, 3, 'each is said once');
  t.match(await reeve(['limits', 'check', 'acme', '--admin', admin(second)]), {
    stdout:
      /requests +50\/s, [\d.-]+ left here, of a burst of 10 for all[\s\S]*fleet +3 members ask for [\d.]+\/s together, [\d.-]+ left in the bucket of all[\s\S]*share here +up to [\d.]+\/s, at most [\d.]+ at once[\s\S]*peer +pod-c asks for [\d.]+\/s \([\d.]+ %\): share up to [\d.]+\/s, admits/,
  });
  t.match(await reeve(['limits', 'check', 'acme', '--admin', admin(second)]), {
    stdout: /quota +requests: \d+ of 1000000 requests, [1-9]\d* here, soft/,
  });
  let held = '';
  const isParted = async (): Promise<boolean> => {
    held = (await reeve(['limits', 'check', 'globex', '--admin', admin(second)])).stdout;
    return !held.includes('not parted among the sidecars yet');
  };
  t.ok(await becomes(isParted, 20_000));
  t.match(held, /quota +tokens: 0 of 1000 tokens, 0 here of \d+ it may, \d+ held elsewhere, hard/);
  t.match(await reeve(['limits', 'watch', 'acme', '--count', '2', '--interval', '100ms', '--admin', admin(second)]), {
    status: 0,
    stdout:
      /left \(req\) +in bank \(req\) +in flight +members +demand \(req\/s\) +here \(req\/s\) +share \(req\/s\) +level \(req\) +requests +decision\n +[\d.-]+ +0 +0 +3 [^\n]* \d+\/1000000 /,
  });
  const lines = await reeve(['limits', 'watch', 'acme', '--count', '1', '--admin', admin(second), '-o', 'json']);
  t.match(JSON.parse(lines.stdout), { fleet: { members: 3 } });

  // Of a strict limit each has a third, once the others must know of it.
  await ask(second, 'initech.test');
  t.ok(await becomes(async () => (await ask(second, 'initech.test')).status === 200, 10_000));
  t.match(await reeve(['limits', 'check', 'initech', '--admin', admin(second)]), {
    stdout:
      /fleet +3 members ask for [\d.]+\/s together, strict: cut into 3 parts[\s\S]*share here +10\/s, at most 3 at once/,
  });
  const isWithout = async (of: SidecarForTest): Promise<boolean> =>
    /share here +none, .*fewer parts than members/.test(
      (await reeve(['limits', 'check', 'umbrella', '--admin', admin(of)])).stdout,
    );
  const without = async () => (await Promise.all([first, second, third].map(isWithout))).filter(Boolean).length;
  t.ok(
    await becomes(async () => (await without()) === 1, 10_000),
    'of two parts one of three has none, and is told why',
  );
  t.match(await reeve(['limits', 'watch', 'initech', '--count', '1', '--admin', admin(second)]), {
    stdout: /\n +[\d.]+ +0 +0 +3 +[\d.]+ +[\d.]+ +10 +- +\w+/,
  });
  t.match(await reeve(['limits', 'watch', 'acme', '--interval', 'soon', '--admin', admin(second)]), {
    status: 2,
    stderr: /--interval expected a time of 100ms or more/,
  });

  await third.drain();
  t.match(
    (await membersOf(first)).members.find((each) => each.name === 'pod-c'),
    { state: 'left' },
  );
  t.match(await reeve(['limits', 'check', 'acme', '--admin', admin(second)]), {
    stdout: /peer +pod-c is gone, asked for [\d.]+\/s, nothing is held for it, heard/,
  });
  t.ok(third.lines.some((line) => line.includes('"gossip.ready"')));
});

t.test('alone there is no fleet to show, and a broken one does not start', async (t) => {
  const upstream = await httpBackend(t, (_, response) => response.end('ok'));
  const alone = await sidecarForTest(t, upstream);
  const admin = `http://127.0.0.1:${alone.ports.admin}`;
  t.match(await reeve(['gossip', 'members', '--admin', admin]), { status: 1, stderr: /no gossip is configured/ });
  t.match(await reeve(['limits', 'watch', 'acme', '--count', '1', '--admin', admin]), {
    stdout: / - +- +- +- +- +pass/,
  });
  const tenancy = tenancyOfFleet(t);
  const keyFile = join(tenancy.stateDir, 'keys');
  const start = (given: Readonly<Record<string, string>>) =>
    startSidecar(
      configFor(
        settings(upstream, tenancy, { 'gossip.keyFile': keyFile, 'gossip.seeds.list': '127.0.0.1:1', ...given }),
      ),
    );
  await t.rejects(start({}), { code: 'gossip-keys', message: /cannot be read/, remedy: /mount the Secret/ });
  writeFileSync(keyFile, 'short\n');
  await t.rejects(start({}), { code: 'gossip-keys', remedy: /head -c 32/ });
  writeFileSync(keyFile, key());
  await t.rejects(start({ 'gossip.port': String(alone.ports.admin), 'gossip.host': '127.0.0.1' }), {
    code: 'gossip-port',
    remedy: /--gossip-port/,
  });
  t.throws(() => configFor(settings(upstream, tenancy, { 'gossip.keyFile': keyFile })), /seeds/);
  t.throws(
    () =>
      configFor(
        settings(upstream, tenancy, { 'gossip.keyFile': keyFile, 'gossip.seeds.file': 'x', 'gossip.seeds.dns': 'y:1' }),
      ),
    /expected one of dns, file and list, got 2/,
  );
});

t.test('what each may take is not added up: it is more than the limit where less is asked for', async (t) => {
  const peer = (name: string, demand: number) => ({ name, state: 'alive', demand, admitted: demand, ageMs: 90 });
  const peers = [8, 7, 6, 5, 4, 2, 1].map((demand) => ({ ...peer(`pod-${demand}`, demand), share: 20 }));
  const here = { share: 15, burst: 10, borrow: 0, demand: 0, admitted: 0 };
  const limits = {
    ...{ plan: 'free', shadow: false, waiting: 0, ladder: ['reject'], isOverLong: false, concurrency: { inFlight: 0 } },
    requests: { limit: '50/s', burst: 10, left: 10, credit: 0 },
    quotas: [
      { meter: 'tokens', unit: 'tokens', used: 1, limit: 9 },
      { meter: 'cpu', unit: 'ms', used: 12345678, limit: 9e7 },
    ],
    fleet: { members: 8, demand: 33, level: 10, here, peers },
    wouldGet: { decision: 'pass' },
  };
  const explanation = {
    ...{ tenant: 'acme', generation: 1, method: 'GET', path: '/', upstream: 'application', admission: null },
    identify: { state: 'active', sources: [] },
    limits: { ...limits, quotas: [] },
    wouldGet: { decision: 'pass', code: null, because: 'within every limit', waitMs: 0, rung: null },
  };
  const admin = await httpBackend(t, ({ url }, response) =>
    response.setHeader('server', 'reeve').end(JSON.stringify(url?.startsWith('/v1/explain') ? explanation : limits)),
  );
  const { stdout } = await reeve(['limits', 'check', 'acme', '--admin', admin]);
  t.match(stdout, /share here +up to 15\/s, at most 10 at once, for 0\/s asked for here \(0 %\)\n/);
  t.match(stdout, /peer +pod-8 asks for 8\/s \(24\.2 %\): share up to 20\/s, admits 8\/s/);
  t.match(stdout, /peer +2 more ask for 3\/s, admit 3\/s\n/);
  const watched = await reeve(['limits', 'watch', 'acme', '--count', '2', '--interval', '100ms', '--admin', admin]);
  const [head = '', ...rows] = watched.stdout.trimEnd().split('\n');
  t.match(head, / tokens +cpu \(ms\) +decision$/);
  for (const row of rows) {
    t.equal(row.length, head.length);
    t.equal(row.indexOf(' 15 ') + 3, head.indexOf('share (req/s)') + 'share (req/s)'.length, 'under its name');
  }
  t.equal(rows.length, 2, 'the names stand once');
});

t.test('two of one host are called differently when nobody names them; a pod is called as its host', async (t) => {
  const upstream = await httpBackend(t, (_, response) => response.end('ok'));
  const tenancy = tenancyOfFleet(t);
  const keyFile = join(tenancy.stateDir, 'keys');
  writeFileSync(keyFile, `${key()}\n`);
  const one = await member(t, upstream, tenancy, keyFile, { 'gossip.seeds.list': '127.0.0.1:1' });
  const two = await member(t, upstream, tenancy, keyFile, { 'gossip.seeds.list': one.address });
  const names = async (): Promise<string[]> =>
    JSON.parse(
      (await reeve(['gossip', 'members', '--admin', `http://127.0.0.1:${one.ports.admin}`, '-o', 'json'])).stdout,
    )
      .members.map(({ name }: { name: string }) => name)
      .sort();
  t.ok(await becomes(async () => (await names()).length === 2));
  t.strictSame(
    await names(),
    [one, two].map(({ address }) => `${hostname().slice(0, 63 - 1 - address.length)}:${address}`).sort(),
  );
  const everywhere = { host: '0.0.0.0', port: 7946 };
  t.equal(nameOf(everywhere, '10.0.0.7:7946', 'pod-a'), 'pod-a');
  t.equal(nameOf({ ...everywhere, port: 0 }, '10.0.0.7:34567', 'pod-a'), 'pod-a:34567');
  t.equal(nameOf({ host: '::', port: 7947 }, '[2001:db8::1]:7947', 'pod-a'), 'pod-a:7947');
  t.equal(nameOf({ ...everywhere, host: '127.0.0.2' }, '127.0.0.2:7946', 'pod-a'), 'pod-a:127.0.0.2:7946');
  const pod = `${'long-'.repeat(20)}7d9f-x2x`;
  t.equal(
    nameOf({ ...everywhere, port: 7947 }, '10.0.0.7:7947', pod),
    `${pod.slice(-58)}:7947`,
    'the end tells pods apart',
  );
});

t.test('what is kept on disk is read before anybody else is heard', { timeout: 30_000 }, async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const tenancy = tenancyOfFleet(t);
  const keyFile = join(tenancy.stateDir, 'keys');
  writeFileSync(keyFile, key());
  const path = join(tenancy.stateDir, 'quotas.log');
  // A disk that takes its time.
  execFileSync('mkfifo', [path]);
  let asked = 0;
  const other = createServer((socket) => {
    asked++;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  const { port } = other.address() as AddressInfo;
  const starting = member(t, upstream, tenancy, keyFile, {
    'gossip.seeds.list': `127.0.0.1:${port}`,
    stateDir: tenancy.stateDir,
  });
  const disk = await open(path, 'w');
  await systemTimers.sleep(500);
  t.equal(asked, 0, 'nobody is asked');
  await disk.close();
  await starting;
  t.ok(await becomes(() => asked > 0), 'now they are');
});
