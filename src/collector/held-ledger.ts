/** A ledger as long as its directory is ours: what another process took is neither written nor acknowledged. */
import type { Claim, Place } from '../wal/index.ts';
import type { Entry } from './entry.ts';
import type { Committed, Ledger } from './ledger.ts';

export class HeldLedger implements Ledger {
  readonly #ledger: Ledger;
  readonly #claim: Pick<Claim, 'assertHeld'>;

  constructor(ledger: Ledger, claim: Pick<Claim, 'assertHeld'>) {
    this.#ledger = ledger;
    this.#claim = claim;
  }

  get highWater(): Place {
    return this.#ledger.highWater;
  }

  get bytes(): number {
    return this.#ledger.bytes;
  }

  append(entry: Entry): void {
    this.#claim.assertHeld();
    this.#ledger.append(entry);
  }

  /** Asked behind the sync: it may have waited for long. */
  async commit(): Promise<void> {
    await this.#ledger.commit();
    this.#claim.assertHeld();
  }

  probe(): void {
    this.#claim.assertHeld();
    this.#ledger.probe();
  }

  scan(from: Place | undefined): Iterable<Committed> {
    return this.#ledger.scan(from);
  }

  drop(place: Place, beforeMs: number): void {
    this.#claim.assertHeld();
    this.#ledger.drop(place, beforeMs);
  }

  close(): void {
    this.#ledger.close();
  }
}
