import type { MonotonicMs } from '../../src/core/index.ts';
import { type Arrival, Exchange } from '../../src/pipeline/index.ts';
import { emptySnapshot } from '../../src/tenants/index.ts';
import { HeaderList } from '../../src/wire/index.ts';

export function exchangeForTest(facts: Partial<Arrival> = {}): Exchange {
  return new Exchange({
    id: 'r1',
    trustClass: 'edge',
    snapshot: emptySnapshot,
    acceptedAt: 0 as MonotonicMs,
    method: 'GET',
    target: '/',
    path: '/',
    host: 'app.example',
    port: 0,
    isWhole: true,
    headers: new HeaderList([]),
    peer: '127.0.0.1',
    route: undefined,
    ...facts,
  });
}
