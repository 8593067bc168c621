/** Clients that write down for themselves which answers they saw whole: the judges of what is in the ledger. */
import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** Between two requests of a client, ms. */
const PAUSE_MS = 2;
/** For answers that must come, ms. */
const SEE_MS_MAX = 60_000;
/** Long names: a spool is full sooner. */
const TENANTS = ['acme', 'globex', 'initech', 'hooli', 'umbrella'].map(
  (name) => `${name}-${'of-a-long-name-'.repeat(3)}1`,
);
export const tenants: readonly string[] = TENANTS;

export class Clients {
  /** Trace ids of requests whose answers were whole, and of all that were sent. */
  readonly seen = new Set<string>();
  readonly sent = new Set<string>();
  /** By port: how many. */
  readonly #seenBy = new Map<number, number>();
  #isOver = false;
  readonly #running: Promise<void>[];

  constructor(ports: readonly number[], clientsEach: number) {
    for (const port of ports) this.#seenBy.set(port, 0);
    this.#running = ports.flatMap((port) => Array.from({ length: clientsEach }, (_, at) => this.#run(port, at)));
  }

  /** Until so many more answers of each sidecar were whole. Rejects when they do not come. */
  async seeMore(count: number): Promise<void> {
    const before = new Map(this.#seenBy);
    const seen = (): number[] => [...this.#seenBy].map(([port, now]) => now - (before.get(port) as number));
    for (const began = performance.now(); Math.min(...seen()) < count; await sleep(PAUSE_MS))
      if (performance.now() - began > SEE_MS_MAX)
        throw new Error(`${seen().join(' and ')} of ${count} answers were whole in ${SEE_MS_MAX} ms`);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
  }

  async #run(port: number, at: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = at; !this.#isOver; i++) {
      const id = randomBytes(16).toString('hex');
      const path = PATHS[i % PATHS.length] as string;
      this.sent.add(id);
      if (await isWhole(agent, port, path, TENANTS[i % TENANTS.length] as string, id)) {
        this.seen.add(id);
        this.#seenBy.set(port, (this.#seenBy.get(port) as number) + 1);
      }
      await sleep(PAUSE_MS);
    }
    agent.destroy();
  }
}

/** What the application answers them with: a length, chunks, nothing, and more than one write takes. */
const PATHS = ['/length', '/chunked', '/empty', '/large'];

function isWhole(agent: Agent, port: number, path: string, tenant: string, id: string): Promise<boolean> {
  return new Promise((resolve) => {
    const headers = { 'x-org': tenant, traceparent: `00-${id}-00f067aa0ba902b7-01` };
    const req = request({ host: '127.0.0.1', port, agent, path, headers, timeout: 10_000 }, (res) => {
      res.on('error', () => resolve(false));
      // Of a cut answer node says `aborted`, and no end.
      res.on('end', () => resolve(res.complete && (res.statusCode ?? 500) < 300)).resume();
    });
    req.on('error', () => resolve(false)).on('timeout', () => req.destroy(new Error('timeout')));
    req.end();
  });
}
