import fc from 'fast-check';
import t from 'tap';
import type { Route } from '../../src/tenants/index.ts';
import { sortRoutes } from '../../src/tenants/snapshot/builder.ts';
import { RouteIndex } from '../../src/tenants/snapshot/route-index.ts';

const SEED = 42;

const routeFor = (name: string, kind: 'exact' | 'prefix', text: string, methods?: readonly string[]): Route => ({
  name,
  index: 0,
  path: { kind, text },
  methods: methods && new Set(methods),
  cost: 1,
  isCritical: false,
  rate: undefined,
  degradedUpstream: undefined,
  timeoutMs: undefined,
  bodyBytesMax: undefined,
  source: 'r.yaml',
});

/** What the index must answer: the first of the sorted routes that matches. */
function scan(routes: readonly Route[], method: string, path: string): Route | undefined {
  return routes.find(
    (each) =>
      (each.methods?.has(method) ?? true) &&
      (each.path.kind === 'exact' ? path === each.path.text : path.startsWith(each.path.text)),
  );
}

t.test('the index finds what a scan of the sorted routes finds', (t) => {
  const path = fc
    .array(fc.constantFrom('', 'a', 'b', 'aa', '*', '__proto__'), { maxLength: 4 })
    .map((segments) => `/${segments.join('/')}`);
  const methods = fc.option(fc.subarray(['GET', 'POST', 'PUT'], { minLength: 1 }), { nil: undefined });
  const one = fc.record({ isExact: fc.boolean(), path, methods });
  const ask = fc.record({
    method: fc.constantFrom('GET', 'POST', 'HEAD'),
    path: fc.oneof(path, fc.constantFrom('*', '')),
  });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 12 }), fc.array(ask, { minLength: 10, maxLength: 30 }), (all, asks) => {
      const routes = sortRoutes(
        all.map((each, at) =>
          each.isExact
            ? routeFor(`r${at}`, 'exact', each.path, each.methods)
            : routeFor(`r${at}`, 'prefix', `${each.path.replace(/\/$/, '')}/`, each.methods),
        ),
      );
      const index = new RouteIndex(routes);
      return asks.every((each) => index.find(each.method, each.path) === scan(routes, each.method, each.path));
    }),
    { seed: SEED, numRuns: 3000 },
  );
  t.pass(`seed ${SEED}`);
  t.end();
});

t.test('a request costs the same with 1,000 routes as with 10', (t) => {
  const took = (count: number): number => {
    const routes = sortRoutes(
      Array.from({ length: count }, (_, at) =>
        routeFor(`r${at}`, at % 2 === 0 ? 'exact' : 'prefix', at % 2 === 0 ? `/e${at}/x` : `/p${at}/`, ['GET']),
      ),
    );
    const index = new RouteIndex(routes);
    const paths = Array.from({ length: 100 }, (_, at) => `/none${at}/of/these`);
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 10; round++) {
      const began = performance.now();
      for (let i = 0; i < 200; i++) for (const path of paths) index.find('GET', path);
      best = Math.min(best, performance.now() - began);
    }
    return best / 20_000;
  };
  took(10);
  const [few, many] = [took(10), took(1000)];
  t.ok(many < few * 10 + 0.0005, `${(few * 1e6).toFixed(0)} and ${(many * 1e6).toFixed(0)} ns`);
  t.end();
});
