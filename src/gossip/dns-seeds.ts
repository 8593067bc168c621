/**
 * Seeds by the name of a headless service: its answer names every pod, so who is not in it is gone.
 *
 *   reeve-gossip.shop.svc:7946          A and AAAA, all with this port
 *   _gossip._udp.reeve-gossip.shop.svc  SRV, each with its own
 */
import { lookup, resolveSrv } from 'node:dns';
import { formatAddress, parseAddress } from './address.ts';
import { SEEDS_MAX, type Seeds } from './seeds.ts';

/** The part of node:dns that is used. */
export interface Resolver {
  /** All addresses of a host, by the system's resolver: search domains count. */
  addresses(host: string, done: (hosts: readonly string[] | undefined) => void): void;
  services(name: string, done: (services: readonly { name: string; port: number }[] | undefined) => void): void;
}

export const systemResolver: Resolver = {
  addresses: (host, done) =>
    lookup(host, { all: true }, (error, found) => done(error === null ? found.map((each) => each.address) : undefined)),
  services: (name, done) => resolveSrv(name, (error, found) => done(error === null ? found : undefined)),
};

/** `name`: of a host with a port, or one of a service that begins with `_`. Throws a RangeError when it is neither. */
export function dnsSeeds(name: string, resolver: Resolver = systemResolver): Seeds {
  if (name.startsWith('_')) return { isComplete: true, look: (done) => lookServices(name, resolver, done) };
  const target = parseAddress(name);
  if (target === undefined) throw new RangeError(`seeds by DNS need host:port or a name of SRV records, got ${name}`);
  return { isComplete: true, look: (done) => lookHost(target.host, target.port, resolver, done) };
}

type Done = (addresses: readonly string[] | undefined) => void;

function lookHost(host: string, port: number, resolver: Resolver, done: Done): void {
  resolver.addresses(host, (hosts) => {
    // A service without anybody does not name us either: that is no answer.
    if (hosts === undefined || hosts.length === 0) return done(undefined);
    done(hosts.slice(0, SEEDS_MAX).map((each) => formatAddress(each, port)));
  });
}

/** An answer of which a part is missing is none: who is missing would be taken for gone. */
function lookServices(name: string, resolver: Resolver, done: Done): void {
  resolver.services(name, (services) => {
    if (services === undefined || services.length === 0) return done(undefined);
    const wanted = services.slice(0, SEEDS_MAX);
    const found: string[] = [];
    let left = wanted.length;
    let isWhole = true;
    for (const service of wanted)
      lookHost(service.name, service.port, resolver, (addresses) => {
        found.push(...(addresses ?? []));
        isWhole &&= addresses !== undefined;
        if (--left === 0) done(isWhole ? found.slice(0, SEEDS_MAX).sort() : undefined);
      });
  });
}
