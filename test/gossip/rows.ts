/** A delegate for tests: each origin sets keys to values, one a version, and remembers everything it ever said. */
import type { Delegate, Member, Written } from '../../src/gossip/index.ts';

export interface Row {
  readonly version: number;
  readonly key: number;
  readonly value: number;
}

/** `version 4 | key 1 | value 4` */
const ROW_BYTES = 9;

export class Rows implements Delegate {
  /** What this process said itself, by version. */
  readonly said: Row[] = [];
  readonly events: { slot: number; state: string; incarnation: string; isListed: boolean | undefined }[] = [];
  readonly forgotten: number[] = [];
  isRefusing = false;
  readonly cold?: Rows;
  readonly #held = new Map<number, { version: number; rows: Map<number, Row> }>();

  constructor(cold?: Rows) {
    if (cold !== undefined) this.cold = cold;
  }

  say(key: number, value: number): void {
    const row = { version: this.said.length + 1, key, value };
    this.said.push(row);
    this.#put(0, row);
  }

  /** Values by key, of an origin. */
  values(slot: number): Record<number, number> {
    return Object.fromEntries([...(this.#held.get(slot)?.rows.values() ?? [])].map(({ key, value }) => [key, value]));
  }

  held(slot: number): Row[] {
    return [...(this.#held.get(slot)?.rows.values() ?? [])];
  }

  version(slot: number): number {
    return this.#held.get(slot)?.version ?? 0;
  }

  write(slot: number, after: number, bytes: Uint8Array, offset: number, end: number): Written {
    const rows = [...(this.#held.get(slot)?.rows.values() ?? [])].filter((row) => row.version > after);
    rows.sort((a, b) => a.version - b.version);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    let at = offset;
    let upTo = after;
    for (const { version, key, value } of rows) {
      if (at + ROW_BYTES > end) break;
      view.setUint32(at, version);
      view.setUint8(at + 4, key);
      view.setUint32(at + 5, value);
      at += ROW_BYTES;
      upTo = version;
    }
    return { offset: at, upTo };
  }

  read(slot: number, after: number, upTo: number, bytes: Uint8Array): boolean {
    if (this.isRefusing || after > this.version(slot) || bytes.length % ROW_BYTES !== 0) return false;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let at = 0; at < bytes.length; at += ROW_BYTES)
      this.#put(slot, { version: view.getUint32(at), key: view.getUint8(at + 4), value: view.getUint32(at + 5) });
    (this.#held.get(slot) as { version: number }).version = upTo;
    return true;
  }

  onMember({ slot, state, incarnation, isListed }: Member): void {
    this.events.push({ slot, state, incarnation, isListed });
  }

  onForgotten(slot: number): void {
    this.#held.delete(slot);
    this.forgotten.push(slot);
  }

  #put(slot: number, row: Row): void {
    const held = this.#held.get(slot) ?? { version: 0, rows: new Map<number, Row>() };
    this.#held.set(slot, held);
    if (row.version <= (held.rows.get(row.key)?.version ?? 0)) return;
    held.rows.set(row.key, row);
    held.version = Math.max(held.version, row.version);
  }
}

/**
 * What is wrong with rows held at a version; undefined: nothing. Each was said, and of a key that was not set again later the last one is there.
 * (A row that was replaced later than the version may be missing: it is not carried any more.)
 */
export function untruthOf(held: readonly Row[], version: number, said: readonly Row[]): string | undefined {
  const lie = held.find((row) => JSON.stringify(said[row.version - 1]) !== JSON.stringify(row));
  if (lie !== undefined) return `${JSON.stringify(lie)} was never said`;
  const last = new Map(said.map((row) => [row.key, row]));
  const missing = [...last.values()].find(
    (row) => row.version <= version && !held.some((each) => each.version === row.version),
  );
  return missing === undefined ? undefined : `${JSON.stringify(missing)} is missing at ${version}`;
}
