/** One sidecar's knowledge of a fleet of which all others said the same of each tenant. For who measures it, not what becomes of it. */
import type { Member } from '../src/gossip/index.ts';
import { FleetRates } from '../src/limits/fleet/fleet-rates.ts';
import { TICK_MS } from '../src/limits/fleet/ticks.ts';
import type { RequestRate, Tenant } from '../src/tenants/index.ts';
import type { SimProcess } from './time.ts';

/** This sidecar has the slot 0, the others 1 to `peers`. */
export function fleetOf(peers: number, clock: SimProcess): FleetRates {
  const fleet = new FleetRates({ clock, partition: 'hold' });
  for (let slot = 0; slot <= peers; slot++) {
    const incarnation = String(slot).padStart(16, '0');
    const address = `10.0.0.${slot}:7946`;
    const member: Member = { slot, state: 'alive', isListed: true, name: `pod-${slot}`, incarnation, address };
    fleet.onMember(member);
  }
  return fleet;
}

/** A tick is done in slices. */
export function tickAll(fleet: FleetRates): void {
  do fleet.tick();
  while (fleet.isBehind);
}

/** Each of the others says that so much was asked for in the last tick, `of` a second's limit. The clock goes on by a tick. */
export function hearAll(
  fleet: FleetRates,
  peers: number,
  tenants: readonly Tenant[],
  clock: SimProcess,
  of: number,
): void {
  const said = rowsOf(tenants, fleetOf(peers, clock), clock, of);
  for (let slot = 1; slot <= peers; slot++)
    for (const { after, upTo, bytes } of said)
      if (!fleet.read(slot, after, upTo, bytes)) throw new Error('a row is refused');
}

/** What one sidecar says of all tenants, in the pieces that gossip carries. */
function rowsOf(
  tenants: readonly Tenant[],
  other: FleetRates,
  clock: SimProcess,
  of: number,
): { after: number; upTo: number; bytes: Uint8Array }[] {
  for (const tenant of tenants) {
    const limit = tenant.allowance.requests as RequestRate;
    other.offer(tenant, limit, limit.perSec * of);
    other.admit(tenant.index, Math.min(limit.burst, limit.perSec * of));
  }
  clock.time.run(TICK_MS);
  tickAll(other);
  if (other.version(0) < 2 * tenants.length) throw new Error('of some tenants nothing is said');
  const pieces: { after: number; upTo: number; bytes: Uint8Array }[] = [];
  const room = new Uint8Array(32 * 1024);
  for (let after = 0; after < other.version(0); ) {
    const { offset, upTo } = other.write(0, after, room, 0, room.length);
    if (offset === 0) throw new Error('nothing fits');
    pieces.push({ after, upTo, bytes: room.slice(0, offset) });
    after = upTo;
  }
  return pieces;
}
