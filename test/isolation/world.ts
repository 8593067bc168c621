/**
 * The stages of identity and limits in one chain, as the sidecar builds them, under a clock of the test; and everything that one tenant
 * can see of them, written down as text.
 */
import { systemRandom } from '../../src/core/index.ts';
import { createIdentity, tenantFields } from '../../src/identity/index.ts';
import { createLimits } from '../../src/limits/index.ts';
import {
  chain,
  type Exchange,
  type Outcome,
  type Pipeline,
  type Reply,
  type Verdict,
} from '../../src/pipeline/index.ts';
import { createMetrics, silentLog } from '../../src/telemetry/index.ts';
import { emptySnapshot, inspectTenancy, routeOf, type Snapshot } from '../../src/tenants/index.ts';
import { HeaderList } from '../../src/wire/index.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { configFor } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';
import { PEPPER } from '../helpers/tokens.ts';
import { exchangeForTest } from '../pipeline/exchange-for-test.ts';

export interface Asking {
  readonly headers: readonly string[];
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly peer: string;
  /** Body bytes of the application's answer. */
  readonly bytes: number;
  /** Left open until the end of the run. */
  readonly isHeld: boolean;
}

const SETTINGS = {
  upstream: 'http://127.0.0.1:1',
  'tenancy.dir': '/',
  'identity.sources': 'jwt,apiKey,host,path,header',
  'anonymous.limit': '1/s',
  'anonymous.burst': '5',
};

/** Both runs of a story begin at one moment: clients are told when windows end. Tokens are of this hour. */
const BEGAN = Date.now();

export class IsolationWorld {
  readonly clock = new ManualClock();
  readonly #identity: ReturnType<typeof createIdentity>;
  readonly #limits: ReturnType<typeof createLimits>;
  readonly #pipeline: Pipeline;
  readonly #open: (() => void)[] = [];
  #snapshot: Snapshot = emptySnapshot;

  constructor() {
    const { clock } = this;
    const metrics = createMetrics({ timers: clock });
    const config = configFor(SETTINGS);
    this.#identity = createIdentity({
      clock,
      timers: clock,
      metrics,
      log: silentLog,
      config: { ...config.identity, ...config.inbound, anonymous: config.anonymous },
      pepper: Buffer.from(PEPPER),
    });
    this.#limits = createLimits({ clock, timers: clock, random: systemRandom, log: silentLog, metrics });
    clock.setWall(BEGAN);
    this.#pipeline = chain((name, cause) => {
      throw new Error(`${name} threw`, { cause });
    })
      .use(this.#identity.sanitise)
      .use(this.#identity.identify)
      .use(this.#limits.filter)
      .compile();
  }

  /** Makes a generation current, as a reload does. */
  async use(snapshot: Snapshot): Promise<void> {
    const next = { ...snapshot, generation: this.#snapshot.generation + 1 };
    await this.#identity.prepare(next);
    this.#limits.use(next, this.#snapshot);
    this.#snapshot = next;
  }

  /** Asks; `tell` gets all that the caller and the application behind it see, with the moment they see it. */
  async ask(asking: Asking, tell: (line: string) => void): Promise<void> {
    const { method, path, host, peer } = asking;
    const x = exchangeForTest({
      snapshot: this.#snapshot,
      headers: new HeaderList([...asking.headers]),
      route: routeOf(this.#snapshot, method, path),
      method,
      path,
      host,
      peer,
    });
    const verdict = this.#pipeline.request(x);
    if (!(verdict instanceof Promise)) return this.#answer(x, verdict, asking, tell);
    let isAnswered = false;
    void verdict.then((reply) => {
      isAnswered = true;
      this.#answer(x, reply, asking, tell);
    });
    // A signature takes the loop a few turns; what is delayed by limits waits for the clock of the test.
    while (!isAnswered && x.grant?.decision !== 'shape') await this.clock.yieldLoop();
  }

  /** Ends what was held. */
  end(): void {
    for (const finish of this.#open) finish();
  }

  #answer(x: Exchange, verdict: Verdict, { bytes, isHeld }: Asking, tell: (line: string) => void): void {
    const kept = verdict !== undefined && 'content' in verdict ? verdict : undefined;
    const reply = kept === undefined ? (verdict as Reply | undefined) : undefined;
    const head = {
      status: verdict === undefined ? 200 : (kept?.status ?? 400),
      headers: new HeaderList(
        kept?.fields ?? ['X-Tenant-Secret', 'inside', 'X-Reeve-Usage', 'tokens=1', 'Cache-Control', 'public'],
      ),
    };
    if (verdict === undefined) x.headAt = this.clock.now();
    this.#pipeline.response(x, head);
    // What an application of many tenants says is of one of them.
    const content = kept?.content ?? Buffer.from(`of ${x.tenant?.id} to ${x.host}`);
    x.copy?.add(content, 0, content.length);
    tell(
      JSON.stringify({
        at: this.clock.now(),
        reply,
        kept: kept && [kept.status, kept.content.toString()],
        tenant: x.tenant?.id,
        plan: x.tenant?.plan.name,
        source: x.source,
        grant: x.grant,
        toApplication: [x.headers.raw, ...tenantFields(x.tenant), x.injected],
        toClient: head.headers.raw,
      }),
    );
    const { status } = head;
    const outcome: Outcome =
      reply === undefined
        ? { kind: kept === undefined ? 'forwarded' : 'kept', status }
        : { kind: 'replied', by: 'chain', reply, status, contentBytes: 0 };
    const finish = (): void => {
      x.responseBytes = bytes;
      this.#pipeline.done(x, outcome);
    };
    if (isHeld) this.#open.push(finish);
    else finish();
  }
}

export async function snapshotOf(files: Readonly<Record<string, string>>): Promise<Snapshot> {
  const dir = makeTenancy(files);
  const { snapshot, findings } = await inspectTenancy(dir.dir);
  dir.cleanUp();
  if (findings.some((each) => each.severity === 'error')) throw new Error(JSON.stringify(findings));
  return snapshot;
}
