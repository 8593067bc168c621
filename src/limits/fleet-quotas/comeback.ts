/**
 * A life that has the disk of the one before it inherits once it has seen most of the fleet for a while. Others may have come without disks
 * meanwhile, and parted all anew, because nobody knew of the rights that stand on this one: each must hear of the other's before it spends its own,
 * also where the fleet is cut the moment this life starts.
 *
 *   start ─▶ holds its wills ─ most are there for 1.5 s ─▶ tells of parts and wills what nobody did ─ for 3 s in a row ─▶ says its wills
 *
 * It rests upon members that remember: who came without a disk while those that parted were cut off knows of nothing, and is counted all the same.
 */
import type { Claims } from './claims.ts';
import type { Heirs } from './heirs.ts';
import type { Members } from './members.ts';
import { type FleetRow, keyOf, type RowKind } from './row.ts';

/** In which members that see each other have heard what each knows: gossip takes 0.2 s, ms. */
export const SETTLE_MS = 3000;
/** Of these each should be told by somebody. */
const TOLD: ReadonlySet<RowKind> = new Set(['keep', 'share', 'will']);
/** Who waits for longer says so, ms. */
const LONG_MS = 10_000;

export interface ComebackWorld {
  readonly members: Members;
  readonly claims: Claims;
  readonly heirs: Heirs;
  /** Tells a row of somebody who is not there any more. False: there is no room. */
  readonly tell: (row: FleetRow) => boolean;
  /** Tells all that some did who are not, their wills last. */
  readonly adopt: (writers: ReadonlySet<string>) => void;
}

export class Comeback {
  /** Told once where it takes long. */
  onLong: () => void = () => {};
  readonly #o: ComebackWorld;
  #wills: FleetRow[] = [];
  /** Of parts, what was kept of them, and wills: what others told. Bound: the rows there are. */
  readonly #heard = new Set<string>();
  #since: number | undefined;
  #seesMostSince: number | undefined;
  #hasTold = false;
  #saidLong = false;

  constructor(world: ComebackWorld) {
    this.#o = world;
  }

  hold(will: FleetRow): void {
    this.#wills.push(will);
  }

  /** Something is not said yet: what the last life had is nobody's. */
  get isWaiting(): boolean {
    return this.#wills.length > 0;
  }

  /** What the last life had is among it, and not only whose next life this is. */
  get inherits(): boolean {
    return this.#wills.some((each) => this.#o.heirs.handsOn(each));
  }

  /** Another tells it. */
  hear(row: FleetRow): void {
    if (this.isWaiting && !this.#hasTold && TOLD.has(row.kind)) this.#heard.add(keyOf(row));
  }

  look(now: number): void {
    if (!this.isWaiting) return;
    this.#since ??= now;
    if (this.#o.members.isMost) this.#seesMostSince ??= now;
    else this.#seesMostSince = undefined;
    const seesMostMs = this.#o.members.isLone ? SETTLE_MS : now - (this.#seesMostSince ?? now);
    if (seesMostMs >= SETTLE_MS / 2) this.#tellUntold();
    // Where there is no room it is tried again; and nothing is spent of parts that others do not know of.
    if (seesMostMs >= SETTLE_MS && this.#hasTold) this.#wills = this.#wills.filter((each) => !this.#o.claims.put(each));
    if (this.#saidLong || !this.isWaiting || now - this.#since < LONG_MS) return;
    this.#saidLong = true;
    this.onLong();
  }

  /** Who has heard of a part must have heard what was kept of it, and of a will all that its writer did. */
  #tellUntold(): void {
    if (this.#hasTold) return;
    const { claims, tell, adopt } = this.#o;
    const isUntold = (each: FleetRow): boolean => !this.#heard.has(keyOf(each));
    for (const each of claims.rows()) if (each.kind === 'keep' && isUntold(each) && !tell(each)) return;
    for (const each of claims.ofKind('share')) if (isUntold(each) && !tell(each)) return;
    this.#hasTold = true;
    const writers = new Set<string>();
    for (const each of claims.ofKind('will')) if (isUntold(each)) writers.add(each.from);
    adopt(writers);
    this.#heard.clear();
  }
}
