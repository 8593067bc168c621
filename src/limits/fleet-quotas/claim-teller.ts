/**
 * Tells what this sidecar says of rights, in the order of kinds (row.ts): what stands behind something that has no room waits with it. Nothing is told
 * that is not on disk: who gave something and forgot it would spend it as well.
 *
 *   claims ─ on disk up to a version ─▶ own log of gossip
 *
 * Bound: rows of claims.
 */
import type { Claims } from './claims.ts';
import type { OnDisk } from './on-disk.ts';
import type { OriginLog } from './origin-log.ts';
import { type FleetRow, KINDS } from './row.ts';

export class ClaimTeller {
  readonly #claims: Claims;
  readonly #onDisk: OnDisk;
  readonly #own: OriginLog;
  /** Those for which there was no room. */
  #waiting: FleetRow[] = [];

  constructor(claims: Claims, onDisk: OnDisk, own: OriginLog) {
    this.#claims = claims;
    this.#onDisk = onDisk;
    this.#own = own;
  }

  /** Rows that wait for room. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** False: some still wait for the disk. */
  tell(): boolean {
    const rows = [...this.#waiting, ...this.#claims.takeChanged(this.#onDisk.upTo)];
    const isAll = !this.#claims.hasChanged;
    if (!isAll) this.#onDisk.onPress();
    if (rows.length === 0) return isAll;
    rows.sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
    const told = rows.findIndex((each) => !this.#own.put(each));
    this.#waiting = told === -1 ? [] : rows.slice(told);
    return isAll;
  }

  /** The same until the disk has all of it. Where it does not answer that is never: whoever waits has a bound. */
  async tellAll(): Promise<void> {
    while (!this.tell()) await this.#onDisk.written();
  }
}
