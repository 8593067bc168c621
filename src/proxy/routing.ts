// hot path
/** The last stage: which upstream serves the request. */
import type { Admitted, Endpoint, Filter } from '../pipeline/index.ts';
import { APPLICATION } from './upstreams.ts';

/** `upstreams`: those this sidecar knows, name to address. */
export function routing(upstreams: ReadonlyMap<string, string>): Filter<Admitted, { endpoint: Endpoint }> {
  const endpoints = new Map([...upstreams].map(([name, address]) => [name, Object.freeze({ name, address })]));
  return {
    name: 'routing',
    onThrow: 'deny',
    onRequest(x) {
      const name = x.grant.useDegradedRoute ? (x.route?.degradedUpstream ?? APPLICATION) : APPLICATION;
      x.endpoint = endpoints.get(name);
      return x.endpoint === undefined
        ? { code: 'upstream-unknown', detail: 'The upstream of this route is not known here.' }
        : undefined;
    },
  };
}
