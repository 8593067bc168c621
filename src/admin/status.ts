/** What kubelet and Prometheus read: /metrics, /livez, /readyz, /startupz. Reachable from the network, so it says nothing of tenants. */
import type { Clock, Timers } from '../core/index.ts';
import type { Metrics } from '../telemetry/index.ts';
import type { Health } from './health.ts';
import { json, type Listener, listen, type Page, problem } from './listener.ts';

export interface StatusOptions {
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly metrics: Metrics;
  readonly health: Health;
}

export function openStatus(o: StatusOptions): Promise<Listener> {
  const scrape = boundedScrape(o);
  return listen({ ...o, flag: '--status-port' }, ({ pathname }) => {
    if (pathname === '/metrics') return scrape();
    if (pathname === '/livez') return verdict(o.health.live());
    if (pathname === '/readyz') return verdict(o.health.ready());
    if (pathname === '/startupz') return verdict(o.health.started());
    return problem(404, 'not-found', 'Here are /metrics, /livez, /readyz and /startupz.');
  });
}

function verdict(reasons: readonly string[]): Page {
  return json({ status: reasons.length === 0 ? 'ok' : 'not ok', reasons }, reasons.length === 0 ? 200 : 503);
}

/** Four pauses to one scrape: all scrapes together take at most a fifth of the loop, however many ask. */
const PAUSE_PER_SCRAPE = 4;
/** A scrape that took long because the loop was busy must not keep a Prometheus waiting for long, ms. */
const PAUSE_MS_MAX = 1000;

/** One scrape at a time; who asks during one gets its text, who asks in the pause after it gets the next one's. */
function boundedScrape({ metrics, clock, timers }: StatusOptions): () => Promise<Page> {
  let current: Promise<string> | undefined;
  let earliest = 0;
  const render = async (): Promise<string> => {
    const waitMs = earliest - clock.now();
    if (waitMs > 0) await timers.sleep(waitMs);
    const began = clock.now();
    let text = '';
    for await (const chunk of metrics.exposition()) text += chunk;
    const ended = clock.now();
    earliest = ended + Math.min((ended - began) * PAUSE_PER_SCRAPE, PAUSE_MS_MAX);
    return text;
  };
  return async () => {
    current ??= render().finally(() => {
      current = undefined;
    });
    return { status: 200, contentType: metrics.contentType, body: await current };
  };
}
