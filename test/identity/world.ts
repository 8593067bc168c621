/** The two stages of identity in a chain of their own, under a clock of the test, with documents from a real directory. */
import { createIdentity, type Identity } from '../../src/identity/index.ts';
import { type Arrival, chain, type Exchange, type Pipeline, type Reply } from '../../src/pipeline/index.ts';
import { createMetrics, type Log, type Metrics, silentLog } from '../../src/telemetry/index.ts';
import { inspectTenancy, type Snapshot } from '../../src/tenants/index.ts';
import { HeaderList } from '../../src/wire/index.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { configFor } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';
import { PEPPER } from '../helpers/tokens.ts';
import { exchangeForTest } from '../pipeline/exchange-for-test.ts';

export interface IdentityWorld {
  readonly clock: ManualClock;
  readonly identity: Identity;
  readonly metrics: Metrics;
  readonly pipeline: Pipeline;
  /** What was logged: `event {"field":…}`. */
  readonly lines: string[];
  snapshot: Snapshot;
  /** Makes the documents the current generation, as the sidecar does. */
  load(files: Readonly<Record<string, string>>): Promise<void>;
  ask(headers: readonly string[], facts?: Partial<Arrival>): Promise<{ x: Exchange; reply: Reply | undefined }>;
  /** Only the outcome: the tenant's id, or the code of the refusal. */
  who(headers: readonly string[], facts?: Partial<Arrival>): Promise<string>;
  /** The value of a series as it is scraped. */
  count(series: string): Promise<number>;
}

export async function identityWorld(
  files: Readonly<Record<string, string>> = {},
  settings: Readonly<Record<string, string>> = {},
  pepper: string | null = PEPPER,
): Promise<IdentityWorld> {
  const clock = new ManualClock();
  const metrics = createMetrics({ timers: clock });
  const lines: string[] = [];
  const log: Log = {
    ...silentLog,
    warn: (event: string, fields = {}) => void lines.push(`${event} ${JSON.stringify(fields)}`),
  };
  const config = configFor({ upstream: 'http://127.0.0.1:1', 'tenancy.dir': '/', ...settings });
  const identity = createIdentity({
    clock,
    timers: clock,
    metrics,
    log,
    config: { ...config.identity, ...config.inbound, anonymous: config.anonymous },
    pepper: pepper === null ? undefined : Buffer.from(pepper),
  });
  const pipeline = chain((name, cause) => {
    throw new Error(`${name} threw`, { cause });
  })
    .use(identity.sanitise)
    .use(identity.identify)
    .compile();
  const self: IdentityWorld = {
    clock,
    identity,
    metrics,
    pipeline,
    lines,
    snapshot: await snapshotOf(files),
    async load(next) {
      const snapshot = await snapshotOf(next, self.snapshot);
      await identity.prepare(snapshot);
      self.snapshot = snapshot;
    },
    async ask(headers, facts) {
      const x = exchangeForTest({ snapshot: self.snapshot, headers: new HeaderList([...headers]), ...facts });
      const reply = (await pipeline.request(x)) as Reply | undefined;
      return { x, reply };
    },
    async who(headers, facts) {
      const { x, reply } = await self.ask(headers, facts);
      return reply?.code ?? (x.tenant?.id as string);
    },
    async count(series) {
      let text = '';
      for await (const chunk of metrics.exposition()) text += chunk;
      const line = text.split('\n').find((each) => each.startsWith(`${series} `));
      return line === undefined ? 0 : Number(line.split(' ').at(-1));
    },
  };
  await identity.prepare(self.snapshot);
  return self;
}

/** What did not change keeps its object, as it does in a running sidecar. */
async function snapshotOf(files: Readonly<Record<string, string>>, before?: Snapshot): Promise<Snapshot> {
  const dir = makeTenancy(files);
  const { snapshot, findings } = await inspectTenancy(dir.dir);
  dir.cleanUp();
  const wrong = findings.filter((each) => each.severity === 'error');
  if (wrong.length > 0) throw new Error(JSON.stringify(wrong));
  const providers = new Map(
    [...snapshot.providers].map(([name, provider]) => {
      const old = before?.providers.get(name);
      return [name, old !== undefined && JSON.stringify(old) === JSON.stringify(provider) ? old : provider];
    }),
  );
  return { ...snapshot, generation: (before?.generation ?? 0) + 1, providers };
}
