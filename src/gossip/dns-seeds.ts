/**
 * Seeds by the name of a headless service: its answer names every pod, so who is not in it is gone.
 *
 *   reeve-gossip.shop.svc:7946          A and AAAA, all with this port
 *   _gossip._udp.reeve-gossip.shop.svc  SRV, each with its own
 */
import { lookup, resolveSrv } from 'node:dns';
import { formatAddress, parseAddress } from './address.ts';
import { type Looked, SEEDS_MAX, type Seeds } from './seeds.ts';

/** What was found; undefined: nothing, and why. */
type Found<T> = (found: readonly T[] | undefined, cause?: string) => void;

/** The part of node:dns that is used. */
export interface Resolver {
  /** All addresses of a host, by the system's resolver: search domains count. */
  addresses(host: string, done: Found<string>): void;
  services(name: string, done: Found<{ name: string; port: number }>): void;
}

export const systemResolver: Resolver = {
  addresses: (host, done) =>
    lookup(host, { all: true }, (error, found) =>
      error === null ? done(found.map((each) => each.address)) : done(undefined, error.message),
    ),
  services: (name, done) =>
    resolveSrv(name, (error, found) => (error === null ? done(found) : done(undefined, error.message))),
};

/** `name`: of a host with a port, or one of a service that begins with `_`. Throws a RangeError when it is neither. */
export function dnsSeeds(name: string, resolver: Resolver = systemResolver): Seeds {
  if (name.startsWith('_'))
    return { isComplete: true, asked: [name], look: (done) => lookServices(name, resolver, done) };
  const target = parseAddress(name);
  if (target === undefined) throw new RangeError(`seeds by DNS need host:port or a name of SRV records, got ${name}`);
  return { isComplete: true, asked: [name], look: (done) => lookHost(target.host, target.port, resolver, done) };
}

function lookHost(host: string, port: number, resolver: Resolver, done: Looked): void {
  resolver.addresses(host, (hosts, cause) => {
    if (hosts === undefined) return done(undefined, cause);
    // A service without anybody does not name us either: that is no answer.
    if (hosts.length === 0) return done(undefined, `${host} has no addresses`);
    done(hosts.slice(0, SEEDS_MAX).map((each) => formatAddress(each, port)));
  });
}

/** An answer of which a part is missing is none: who is missing would be taken for gone. */
function lookServices(name: string, resolver: Resolver, done: Looked): void {
  resolver.services(name, (services, cause) => {
    if (services === undefined) return done(undefined, cause);
    if (services.length === 0) return done(undefined, `${name} has no SRV records`);
    const wanted = services.slice(0, SEEDS_MAX);
    const found: string[] = [];
    let left = wanted.length;
    let isWhole = true;
    let lacks: string | undefined;
    for (const service of wanted)
      lookHost(service.name, service.port, resolver, (addresses, why) => {
        found.push(...(addresses ?? []));
        isWhole &&= addresses !== undefined;
        lacks ??= why;
        if (--left > 0) return;
        if (isWhole) done(found.slice(0, SEEDS_MAX).sort());
        else done(undefined, lacks);
      });
  });
}
