// hot path
/** What passages and tunnels share at their beginning: a sound head becomes an exchange, and an admitted exchange the head that goes up. */
import type { IncomingMessage } from 'node:http';
import { tenantFields } from '../identity/index.ts';
import { Exchange } from '../pipeline/index.ts';
import { routeOf } from '../tenants/index.ts';
import {
  foldName,
  gate,
  type HeaderList,
  listMembers,
  mayTrail,
  type Passed,
  type Refused,
  stripHopByHop,
} from '../wire/index.ts';
import { continueTrace, forwardedFields, hopMember, requestId } from './forwarded.ts';
import type { ProxyWorld } from './world.ts';

/** The gate, by the bounds of this listener. */
export function judge(world: ProxyWorld, req: IncomingMessage, headers: HeaderList): Passed | Refused {
  const { headersMax, headBytesMax, targetBytesMax } = world.config.wire;
  return gate(
    { method: req.method as string, target: req.url as string, version: req.httpVersion, headers },
    { headersMax, headBytesMax, targetBytesMax, isProtectedName: world.isProtectedName },
  );
}

/** Strips what is about this connection only, and opens the exchange with the snapshot of now. `isWhole`: nothing follows the head. */
export function arrive(
  world: ProxyWorld,
  req: IncomingMessage,
  passed: Passed,
  headers: HeaderList,
  isWhole: boolean,
): Exchange {
  const { config, clock, random } = world;
  const method = req.method as string;
  const endToEnd = endToEndFields(world, passed, headers);
  stripHopByHop(headers);
  headers.removeWhere((name) => isRewritten(name, passed));
  for (let i = 0; i < endToEnd.length; i += 2) headers.append(endToEnd[i] as string, endToEnd[i + 1] as string);
  const snapshot = world.snapshot();
  return new Exchange({
    id: requestId(headers, random),
    trustClass: config.inbound.class,
    snapshot,
    acceptedAt: clock.now(),
    method,
    target: passed.target,
    path: passed.path,
    host: passed.host,
    port: passed.port,
    isWhole,
    headers,
    peer: req.socket.remoteAddress ?? '',
    route: routeOf(snapshot, method, passed.path),
  });
}

/** The head for the next hop, Host first; what only we may say comes last. */
export function headUp(world: ProxyWorld, req: IncomingMessage, passed: Passed, x: Exchange): string[] {
  const { config, random, isTrustedProxy } = world;
  const { authority } = passed;
  x.traceId = continueTrace(x.headers, x.trustClass, random, hopMember(config, x)).traceId;
  forwardedFields(x.headers, { address: x.peer, isTrusted: isTrustedProxy(x.peer), host: authority });
  if (config.wire.via) x.headers.append('Via', `${req.httpVersion} ${config.name}`);
  return [
    'Host',
    authority === undefined || authority === '' ? 'localhost' : authority,
    ...x.headers.raw,
    ...tenantFields(x.tenant),
    ...x.injected,
  ];
}

/** The two hop-by-hop fields that matter end to end: the client reads trailers, the body will have some. */
function endToEndFields({ isProtectedName }: ProxyWorld, { framing }: Passed, headers: HeaderList): string[] {
  const fields: string[] = [];
  if (
    headers.has('te') &&
    listMembers(headers.all('te')).some((each) => each === 'trailers' || each.startsWith('trailers;'))
  )
    fields.push('TE', 'trailers');
  if (framing.kind === 'chunked' && headers.has('trailer')) {
    const announced = listMembers(headers.all('trailer')).filter((name) => mayTrail(name) && !isProtectedName(name));
    if (announced.length > 0) fields.push('Trailer', announced.join(', '));
  }
  return fields;
}

/** Fields that are written anew, and names that some servers would fold into them: `Content_Length` is CONTENT_LENGTH to CGI and WSGI. */
function isRewritten(name: string, { framing }: Passed): boolean {
  if (name === 'content-length') return framing.kind !== 'length';
  if (name === 'host' || name === 'expect') return true;
  const folded = foldName(name);
  return folded !== name && (folded === 'content-length' || folded === 'transfer-encoding');
}
