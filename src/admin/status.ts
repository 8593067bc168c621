/** What kubelet and Prometheus read: /metrics, /livez, /readyz, /startupz. Reachable from the network: of tenants it says names and counts. */
import type { Clock, Timers } from '../core/index.ts';
import { CONTENT_TYPES, type Form, type Metrics } from '../telemetry/index.ts';
import type { Health } from './health.ts';
import { json, type Listener, listen, type Page, problem } from './listener.ts';

export interface StatusOptions {
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly metrics: Metrics;
  /** Series that stand before `metrics` for those who may read them. Default: there are none. */
  readonly guarded?: Guarded;
  readonly health: Health;
}

interface Guarded {
  /** By what they say in `Authorization`. */
  admits(authorization: string | undefined): boolean;
  exposition(form: Form): AsyncIterable<string>;
}

export function openStatus(o: StatusOptions): Promise<Listener> {
  const scrape = boundedScrape(o);
  return listen({ ...o, name: 'status' }, ({ pathname }, { headers }) => {
    if (pathname === '/metrics')
      return scrape(formFor(headers.accept ?? ''), o.guarded?.admits(headers.authorization) === true);
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

/** OpenMetrics for whoever prefers it, as Prometheus does; the text format for everybody else. */
function formFor(accept: string): Form {
  const quality = (type: string): number => {
    const range = accept.split(',').find((each) => each.trim().toLowerCase().startsWith(type));
    return range === undefined ? 0 : Number(/;\s*q=([\d.]+)/i.exec(range)?.[1] ?? 1);
  };
  const wanted = quality('application/openmetrics-text');
  return wanted > 0 && wanted >= quality('text/plain') ? 'openmetrics' : 'text';
}

/** One scrape at a time; who asks during one gets its text, who asks in the pause after it gets the next one's. */
function boundedScrape(o: StatusOptions): (form: Form, isAll: boolean) => Promise<Page> {
  const { metrics, guarded, clock, timers } = o;
  const current = new Map<string, Promise<string>>();
  let last: Promise<unknown> = Promise.resolve();
  let earliest = 0;
  const render = async (form: Form, isAll: boolean): Promise<string> => {
    await last;
    const waitMs = earliest - clock.now();
    if (waitMs > 0) await timers.sleep(waitMs);
    const began = clock.now();
    let text = '';
    // First: the others end the text.
    if (isAll) for await (const chunk of (guarded as Guarded).exposition(form)) text += chunk;
    for await (const chunk of metrics.exposition(form)) text += chunk;
    const ended = clock.now();
    earliest = ended + Math.min((ended - began) * PAUSE_PER_SCRAPE, PAUSE_MS_MAX);
    return text;
  };
  return async (form, isAll) => {
    const key = `${form} ${isAll}`;
    let text = current.get(key);
    if (text === undefined) {
      text = render(form, isAll).finally(() => current.delete(key));
      current.set(key, text);
      // Another form waits for it, however it ends.
      last = text.catch(() => {});
    }
    return { status: 200, contentType: CONTENT_TYPES[form], body: await text };
  };
}
