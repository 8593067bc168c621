/** Sidecars that share quotas, on one clock; they hear of each other when told to. */
import type { Member, MemberState } from '../../../src/gossip/index.ts';
import { FleetQuotas, QUOTA_TICK_MS } from '../../../src/limits/fleet-quotas/fleet-quotas.ts';
import type { FleetRow } from '../../../src/limits/fleet-quotas/row.ts';
import type { Account, Line } from '../../../src/limits/quotas/account.ts';
import { QuotaCounts } from '../../../src/limits/quotas/quota-counts.ts';
import { Quotas } from '../../../src/limits/quotas/quotas.ts';
import { Zones } from '../../../src/limits/quotas/zones.ts';
import type { Identified } from '../../../src/pipeline/index.ts';
import { createLog, createMetrics } from '../../../src/telemetry/index.ts';
import type { Snapshot, Tenant } from '../../../src/tenants/index.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { exchangeForTest } from '../../pipeline/exchange-for-test.ts';
import { plan, snapshotOf, tenant } from '../world.ts';

export interface Sidecar {
  readonly at: number;
  readonly actor: string;
  readonly fleet: FleetQuotas;
  readonly quotas: Quotas;
  readonly lines: Record<string, unknown>[];
  state: MemberState;
  isForgotten: boolean;
  /** Groups hear each other. */
  side: number;
}

const zones = new Zones();
const bytes = new Uint8Array(1 << 20);
export const actorOf = (at: number): string => (at + 1).toString(16).padStart(16, '0');

/** Takes all steps. */
export function drain(work: Iterable<void>): void {
  for (const _ of work);
}

export class Fleet {
  readonly clock = new ManualClock();
  readonly sidecars: Sidecar[] = [];
  snapshot: Snapshot;
  /** Members that the seeds name; undefined: those there are. */
  expected: number | undefined;
  isIsolated = false;
  /** The seeds answer. */
  isFound = true;
  admitted = 0;

  constructor(snapshot: Snapshot) {
    this.snapshot = snapshot;
    this.clock.setWall('2026-11-26T12:00:00Z');
  }

  static async of(quotas: object, count: number, tenants = tenant('acme') + tenant('globex')): Promise<Fleet> {
    const fleet = new Fleet(await snapshotOf(plan('free', { quotas }), tenants));
    for (let i = 0; i < count; i++) fleet.add();
    return fleet;
  }

  add(claimsMax?: number, seriesMax?: number): Sidecar {
    const at = this.sidecars.length;
    const actor = actorOf(at);
    const { clock } = this;
    const lines: Record<string, unknown>[] = [];
    const log = createLog({ clock, level: 'info', write: (line) => void lines.push(JSON.parse(line) as never) });
    const fleet = new FleetQuotas({
      ...{ actor, clock },
      ...(claimsMax === undefined ? {} : { claimsMax }),
      ...(seriesMax === undefined ? {} : { seriesMax }),
    });
    const counts = new QuotaCounts({
      ...{ clock, log, metrics: createMetrics({ timers: clock }) },
      ...{ series: () => 0, isWriting: () => true },
    });
    const { counters, gauges } = fleet;
    const quotas = new Quotas({ counters, gauges, zones, counts, fleet, clock, timers: clock });
    fleet.serve(quotas.accounts);
    quotas.accounts.use(this.snapshot);
    const sidecar: Sidecar = { at, actor, fleet, quotas, lines, state: 'alive', isForgotten: false, side: 0 };
    this.sidecars.push(sidecar);
    const all = this;
    fleet.follow({
      get expected() {
        return all.expected ?? all.there.length;
      },
      get isIsolated() {
        return all.isIsolated;
      },
      get isFound() {
        return all.isFound;
      },
    });
    for (const other of this.sidecars.filter((each) => !each.isForgotten)) {
      fleet.onMember(this.member(sidecar, other));
      if (other !== sidecar) other.fleet.onMember(this.member(other, sidecar));
    }
    fleet.know('disk');
    fleet.know('others');
    return sidecar;
  }

  get there(): Sidecar[] {
    return this.sidecars.filter(({ state }) => state === 'alive');
  }

  slot(of: Sidecar, other: Sidecar): number {
    return of === other ? 0 : other.at < of.at ? other.at + 1 : other.at;
  }

  member(of: Sidecar, other: Sidecar, state: MemberState = other.state): Member {
    const { at, actor } = other;
    return {
      ...{ slot: this.slot(of, other), state, isListed: true, name: `pod-${at}`, incarnation: actor },
      address: `10.0.0.${at}:7946`,
    };
  }

  /** `to` hears all that `from` holds. */
  hear(to: Sidecar, from: Sidecar): void {
    for (const origin of this.sidecars) {
      if (origin === to || origin.isForgotten) continue;
      const after = to.fleet.lane.version(this.slot(to, origin));
      const { offset, upTo } = from.fleet.lane.write(this.slot(from, origin), after, bytes, 0, bytes.length);
      if (offset > 0) to.fleet.lane.read(this.slot(to, origin), after, upTo, bytes.subarray(0, offset));
    }
  }

  /** Time passes, in which those of a side hear of each other. */
  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += QUOTA_TICK_MS) {
      this.clock.advance(QUOTA_TICK_MS);
      for (const each of this.there) each.fleet.tick();
      this.talk();
    }
  }

  talk(): void {
    for (const to of this.there)
      for (const from of this.there) if (to !== from && to.side === from.side) this.hear(to, from);
  }

  /** It is not there any more; the others know. */
  end(sidecar: Sidecar, state: MemberState): void {
    sidecar.state = state;
    for (const each of this.there) each.fleet.onMember(this.member(each, sidecar));
  }

  leave(sidecar: Sidecar): void {
    sidecar.fleet.leave();
    for (const each of this.there) if (each !== sidecar && each.side === sidecar.side) this.hear(each, sidecar);
    this.end(sidecar, 'left');
  }

  forget(sidecar: Sidecar): void {
    sidecar.isForgotten = true;
    for (const each of this.there) each.fleet.onForgotten(this.slot(each, sidecar));
  }

  account(sidecar: Sidecar, name = 'acme'): Account {
    const tenant = this.snapshot.tenants.get(name) as Tenant;
    return sidecar.quotas.accounts.of(tenant, this.clock.now()) as Account;
  }

  line(sidecar: Sidecar, meter: string, name = 'acme'): Line {
    return this.account(sidecar, name).lineOf(meter) as Line;
  }

  /** Asks so often at one; how many were admitted. */
  ask(sidecar: Sidecar, times: number, name = 'acme'): number {
    let admitted = 0;
    for (let i = 0; i < times; i++) {
      const x = exchangeForTest() as Identified;
      x.tenant = this.snapshot.tenants.get(name) as Tenant;
      const account = this.account(sidecar, name);
      if (sidecar.quotas.check(account, x, this.clock.now(), true) !== undefined) continue;
      sidecar.quotas.take(account, x, this.clock.now());
      admitted++;
    }
    this.admitted += admitted;
    return admitted;
  }

  /** Says what is not so. */
  forge(by: Sidecar, ...rows: readonly FleetRow[]): void {
    const { claims } = by.fleet;
    const real = claims.takeChanged;
    claims.takeChanged = () => [...rows];
    by.fleet.tick();
    claims.takeChanged = real;
    this.talk();
  }

  /** Crossings in the logs of all. */
  get events(): string[] {
    return this.sidecars.flatMap(({ lines, at }) =>
      lines
        .filter(({ event }) => event === 'quota.crossed')
        .map((line) => `${at} ${line['tenant.id']} ${line['meter']} ${line['at']}`),
    );
  }
}
