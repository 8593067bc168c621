/** What kubelet and Prometheus read: /metrics, /livez, /readyz, /startupz. Reachable from the network, so it says nothing of tenants. */
import type { Metrics } from '../telemetry/index.ts';
import type { Health } from './health.ts';
import { json, type Listener, listen, type Page, problem } from './listener.ts';

export function openStatus(o: { host: string; port: number; metrics: Metrics; health: Health }): Promise<Listener> {
  const scrape = oneAtATime(o.metrics);
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

/** Two Prometheus servers may scrape at once; the second gets what the first is given. */
function oneAtATime(metrics: Metrics): () => Promise<Page> {
  let current: Promise<string> | undefined;
  const render = async (): Promise<string> => {
    let text = '';
    for await (const chunk of metrics.exposition()) text += chunk;
    return text;
  };
  return async () => {
    current ??= render().finally(() => {
      current = undefined;
    });
    return { status: 200, contentType: metrics.contentType, body: await current };
  };
}
