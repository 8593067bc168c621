/** What the rung `stale` adds to a GET of a tenant that has it: an answer of 1 KiB that is copied and kept, one that was copied lately, one that is given. */
import { systemTimers } from '../../src/core/index.ts';
import { StaleAnswers } from '../../src/limits/stale/stale-answers.ts';
import { Exchange, type Identified } from '../../src/pipeline/index.ts';
import { createMetrics } from '../../src/telemetry/index.ts';
import { emptySnapshot, type Tenant } from '../../src/tenants/index.ts';
import { HeaderList } from '../../src/wire/index.ts';

/** Tenants and places of each. */
const TENANTS = 10;
const PLACES = 100;
const STALE_MS = 60_000;
const WALL = Date.parse('2026-11-26T08:00:00Z');
const CONTENT = Buffer.alloc(1024, 'a');

export function staleWork(): Record<'stale_kept' | 'stale_known' | 'stale_given', () => void> {
  const stale = new StaleAnswers(createMetrics({ timers: systemTimers }));
  const exchanges = Array.from({ length: TENANTS * PLACES }, (_, at) => exchangeOf(at % TENANTS, at));
  let turn = 0;
  // Each place comes again after two seconds: every answer is copied anew.
  let now = 0;
  const next = (): Identified => exchanges[(turn = (turn + 1) % exchanges.length)] as Identified;
  const keep = (): void => {
    now += 2;
    const x = next();
    x.sentAt = now;
    x.headAt = now;
    stale.begin(x, now);
    stale.see(x, { status: 200, headers: answered() }, now, WALL);
    x.copy?.add(CONTENT, 0, CONTENT.length);
    stale.end(x, { kind: 'forwarded', status: 200 }, true);
  };
  for (let i = 0; i < exchanges.length; i++) keep();
  return {
    stale_kept: keep,
    stale_known: () => {
      const x = next();
      stale.begin(x, now);
      x.copy = undefined;
    },
    stale_given: () => {
      if (stale.find(next(), STALE_MS, now) === undefined) throw new Error('it is not there');
    },
  };
}

function exchangeOf(tenant: number, place: number): Identified {
  const x = new Exchange({
    id: 'r',
    trustClass: 'edge',
    snapshot: emptySnapshot,
    acceptedAt: 0 as Exchange['acceptedAt'],
    method: 'GET',
    target: `/orders/${place}`,
    path: `/orders/${place}`,
    host: 'app.example',
    port: 0,
    isWhole: true,
    headers: new HeaderList(['Accept', '*/*', 'Accept-Encoding', 'gzip', 'User-Agent', 'bench', 'Authorization', 'x']),
    peer: '127.0.0.1',
    route: undefined,
  });
  x.tenant = { id: `t${tenant}`, plan: { name: 'p', staleMsMax: STALE_MS } } as Partial<Tenant> as Tenant;
  x.source = 'jwt';
  return x as Identified;
}

function answered(): HeaderList {
  return new HeaderList([
    ...['Cache-Control', 'public, max-age=60', 'Content-Type', 'application/json', 'Content-Length', '1024'],
    ...['Date', 'Thu, 26 Nov 2026 08:00:00 GMT', 'ETag', '"x"', 'Vary', 'Accept-Encoding'],
  ]);
}
