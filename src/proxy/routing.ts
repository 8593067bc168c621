// hot path
/** The last stage: which upstream serves the request. */
import type { Admitted, Endpoint, Filter } from '../pipeline/index.ts';
import { APPLICATION } from './upstreams.ts';

/** `names`: the upstreams this sidecar knows. */
export function routing(names: ReadonlySet<string>): Filter<Admitted, { endpoint: Endpoint }> {
  const endpoints = new Map([...names].map((name) => [name, Object.freeze({ name })]));
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
