/**
 * A fleet's quotas as a collector keeps them: what of them it does not have yet, how far what is spent here goes ahead of it, and what it gives
 * back to those who come after.
 */
import type { Line } from '../quotas/account.ts';
import type { Accounts } from '../quotas/accounts.ts';
import type { CounterStore } from '../quotas/counter-store.ts';
import type { GaugeStore } from '../quotas/gauge-store.ts';
import type { Allowance } from './allowance.ts';
import { Changes } from './changes.ts';
import { Gone } from './gone.ts';
import type { Heirs } from './heirs.ts';
import { type KeptRow, readKept } from './kept-row.ts';
import type { Members } from './members.ts';
import type { OriginLog } from './origin-log.ts';
import { type FleetRow, isSound } from './row.ts';
import type { Shares } from './shares.ts';

export interface KeptQuotasWorld {
  readonly allowance: Allowance;
  readonly counters: CounterStore;
  readonly gauges: GaugeStore;
  readonly own: OriginLog;
  readonly members: Members;
  readonly shares: Shares;
  readonly heirs: Heirs;
  /** In UTC. */
  readonly today: () => number;
  /** Undefined: nothing is served yet. */
  readonly accounts: () => Accounts | undefined;
  /** A row as another sidecar's. */
  readonly take: (row: FleetRow) => void;
  /** Hard quotas that were asked for here are looked at anew, a turn of the loop after the other. */
  readonly reopen: () => void;
}

export class KeptQuotas {
  /** How far what is spent here goes ahead of a collector. */
  readonly allowance: Allowance;
  /** What a collector does not have yet. */
  readonly changes: Changes;
  readonly #o: KeptQuotasWorld;
  readonly #gone: Gone;

  constructor(world: KeptQuotasWorld) {
    this.#o = world;
    this.allowance = world.allowance;
    this.#gone = new Gone(world);
    this.changes = new Changes({
      ...world,
      endOf: (tenant, meter, day) => world.accounts()?.endOf(tenant, meter, day),
    });
  }

  get actor(): string {
    return this.#o.members.self;
  }

  /** It has some part of all limits, or of one, and may spend. */
  get isEndowed(): boolean {
    const { shares } = this.#o;
    if (shares.newest !== undefined && shares.partsOf(shares.newest, this.actor).length > 0) return true;
    return this.#hasLine(({ rights }) => rights > 0);
  }

  /** Whether somebody may still spend what is reserved here. */
  get isSpending(): boolean {
    return this.#hasLine(({ reserved }) => reserved > 0);
  }

  /** What a collector kept of the fleet. What cannot be a row is left out. */
  restore(kept: KeptRow): void {
    const read = readKept(kept);
    if (read?.kind === 'row' && isSound(read.row)) {
      this.#gone.see(read.row);
      this.#o.take(read.row);
    } else if (read?.kind === 'ahead') this.#gone.ahead(read.from, read.tenant, read.meter, read.day, read.units);
    else if (read?.kind === 'life' && read.from !== this.actor) this.#gone.life(read.from, read.day, read.hasLeft);
  }

  /** All of it came: the next turns look at what is open. */
  restored(): void {
    this.#o.reopen();
  }

  /** Counts what lives that are gone may have spent of the line. */
  charge(tenant: string, line: Line): void {
    this.#gone.charge(tenant, line);
  }

  #hasLine(is: (line: Line) => boolean): boolean {
    for (const { line } of this.#o.accounts()?.hard() ?? []) if (is(line)) return true;
    return false;
  }
}
