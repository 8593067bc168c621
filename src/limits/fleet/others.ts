/**
 * What the other sidecars say of limits: their rows, and by limit the sums over all whose requests count. A row that comes in changes the
 * sums, so that nothing is added up when a share is taken.
 *
 *   admitted by all others now = Σ admitted + Σ rate × (now − at)        each goes on at the rate of its last row
 */
import type { Clock } from '../../core/index.ts';
import type { Member, Written } from '../../gossip/index.ts';
import { enlarged, enlargedInts } from '../arrays.ts';
import { Attendance, type PartitionPolicy, type Surroundings } from './attendance.ts';
import { type Name, ROWS_MAX, type Row, RowLog } from './row-log.ts';
import type { Electorate } from './strict.ts';

/** No number: there is no room for one more limit. */
export const UNKNOWN = -1;

/** What somebody was reckoned to admit since its last row is taken back when it turns out to be gone, for at most so long, ms: until it is doubted. */
const DOUBT_MS = 2000;

/** One of the others, and what it says of a limit; units and seconds. */
export interface PeerExplanation {
  readonly name: string;
  readonly state: Member['state'];
  readonly demand: number;
  readonly admitted: number;
  readonly ageMs: number;
}

interface Peer {
  readonly member: Member;
  readonly rows: RowLog;
  /** Its numbers to ours. */
  limits: Int32Array;
  isCounted: boolean;
}

export class Others {
  readonly #clock: Clock;
  readonly #numberOf: (name: string) => number;
  readonly #attendance: Attendance;
  /** By member slot. */
  readonly #peers: (Peer | undefined)[] = [];
  #surroundings: Surroundings = { expected: 1, isIsolated: false };
  #members = 1;
  #electorate: Electorate | undefined;
  // By number of a limit.
  #demand: Float64Array = new Float64Array(0);
  #admitted: Float64Array = new Float64Array(0);
  #rate: Float64Array = new Float64Array(0);
  #rateAt: Float64Array = new Float64Array(0);
  /** What was admitted when it was last asked for. */
  #before: Float64Array = new Float64Array(0);
  #heardAt: Float64Array = new Float64Array(0);
  /** By how many of the others it is named. */
  #named: Float64Array = new Float64Array(0);

  /** `numberOf`: our number of a limit, a new one when it is new; `UNKNOWN` when there is no room. */
  constructor(clock: Clock, partition: PartitionPolicy, numberOf: (name: string) => number) {
    this.#clock = clock;
    this.#attendance = new Attendance(partition);
    this.#numberOf = numberOf;
  }

  /** By whom the fleet is known; before it is said nobody is expected. */
  follow(surroundings: Surroundings): void {
    this.#surroundings = surroundings;
  }

  /** Members whose requests count, this sidecar included. */
  get members(): number {
    return this.#members;
  }

  /** What of each limit may be taken by the members that count. */
  get part(): number {
    return this.#attendance.part;
  }

  /** Who may admit something, this sidecar included. */
  get electorate(): Electorate {
    this.#electorate = this.#attendance.electorate(this.#surroundings.expected, this.#electorate, this.#clock.now());
    return this.#electorate;
  }

  /** Room for so many limits. */
  reserve(limits: number): void {
    this.#demand = enlarged(this.#demand, limits);
    this.#admitted = enlarged(this.#admitted, limits);
    this.#rate = enlarged(this.#rate, limits);
    this.#rateAt = enlarged(this.#rateAt, limits);
    this.#before = enlarged(this.#before, limits);
    this.#heardAt = enlarged(this.#heardAt, limits);
    this.#named = enlarged(this.#named, limits);
  }

  /** Units a second that the others are asked for. */
  demand(limit: number): number {
    return Math.max(0, this.#demand[limit] as number);
  }

  /** When a row of the limit last came, ms; 0: never. */
  heardAt(limit: number): number {
    return this.#heardAt[limit] as number;
  }

  /** Whether any of the others may still say something of it. */
  isNamed(limit: number): boolean {
    return (this.#named[limit] as number) > 0;
  }

  /** Our number is free: whatever it is given to next begins with nothing. */
  forget(limit: number): void {
    for (const each of [this.#demand, this.#admitted, this.#rate, this.#rateAt, this.#before, this.#heardAt])
      each[limit] = 0;
  }

  /** Units the others admitted since this was last asked. */
  admittedSince(limit: number, now: number): number {
    const admitted =
      (this.#admitted[limit] as number) +
      ((this.#rate[limit] as number) * now - (this.#rateAt[limit] as number)) / 1000;
    const since = admitted - (this.#before[limit] as number);
    this.#before[limit] = admitted;
    return since;
  }

  version(member: number): number {
    return this.#peers[member]?.rows.version ?? 0;
  }

  write(member: number, after: number, bytes: Uint8Array, offset: number, end: number): Written {
    const rows = this.#peers[member]?.rows;
    return rows === undefined ? { offset, upTo: after } : rows.write(after, this.#clock.now(), bytes, offset, end);
  }

  read(member: number, after: number, upTo: number, bytes: Uint8Array): boolean {
    const peer = this.#peers[member];
    if (peer === undefined) return false;
    const now = this.#clock.now();
    const entries = peer.rows.read(after, upTo, now, bytes);
    if (entries === undefined) return false;
    for (const entry of entries) {
      if ('name' in entry) this.#takeName(peer, entry, now);
      else this.#take(peer, entry, now);
    }
    return true;
  }

  onMember(member: Member): void {
    this.#peers[member.slot] ??= { member, rows: new RowLog(), limits: new Int32Array(0), isCounted: false };
    this.#attendance.note(member);
    this.recount();
  }

  onForgotten(slot: number): void {
    const peer = this.#peers[slot];
    if (peer === undefined) return;
    this.#attendance.forget(slot);
    this.#setCounted(peer, false);
    for (let number = 0; number < peer.limits.length; number++) this.#mean(peer, number, UNKNOWN);
    this.#peers[slot] = undefined;
    this.recount();
  }

  /** Who counts can change with anybody's state, and with time: a cut that is held is acted upon after a while. */
  recount(): void {
    const now = this.#clock.now();
    this.#attendance.look(this.#surroundings, now);
    this.#electorate = this.#attendance.electorate(this.#surroundings.expected, this.#electorate, now);
    for (let slot = 1; slot < this.#peers.length; slot++) {
      const peer = this.#peers[slot];
      if (peer !== undefined) this.#setCounted(peer, this.#attendance.isCounted(slot));
    }
  }

  /** Those that were asked for anything of the limit, the most asked first. */
  explain(limit: number): PeerExplanation[] {
    const now = this.#clock.now();
    const peers = this.#peers.flatMap((peer): PeerExplanation[] => {
      const at = peer?.limits.indexOf(limit) ?? UNKNOWN;
      if (peer === undefined || at === UNKNOWN || !peer.rows.has(at)) return [];
      const { member, rows } = peer;
      const { name, state } = member;
      return [{ name, state, demand: rows.demand(at), admitted: rows.rate(at), ageMs: now - rows.at(at) }];
    });
    return peers.sort((one, other) => other.demand - one.demand);
  }

  /** What a member is known to have admitted of a limit, units. */
  admittedBy(member: number, limit: number): number {
    const peer = this.#peers[member];
    const at = peer?.limits.indexOf(limit) ?? UNKNOWN;
    return at === UNKNOWN ? 0 : (peer as Peer).rows.admitted(at);
  }

  #setCounted(peer: Peer, isCounted: boolean): void {
    if (peer.isCounted === isCounted) return;
    const now = this.#clock.now();
    peer.isCounted = isCounted;
    this.#members += isCounted ? 1 : -1;
    for (let number = 0; number < peer.rows.size; number++)
      if (peer.rows.has(number))
        this.#count(peer, number, isCounted ? 1 : -1, Math.max(0, now - peer.rows.at(number) - DOUBT_MS));
  }

  #takeName(peer: Peer, name: Name, now: number): void {
    const { number } = name;
    if (number >= peer.limits.length)
      peer.limits = enlargedInts(peer.limits, Math.min(ROWS_MAX, (number + 1) * 2), UNKNOWN);
    if (peer.isCounted && peer.rows.has(number)) this.#count(peer, number, -1, now - peer.rows.at(number));
    this.#mean(peer, number, name.name === '' ? UNKNOWN : this.#numberOf(name.name));
    peer.rows.putName(name);
  }

  /** A number of a peer's means a limit of ours from now on. */
  #mean(peer: Peer, number: number, limit: number): void {
    const before = peer.limits[number] as number;
    if (before !== UNKNOWN) (this.#named[before] as number)--;
    if (limit !== UNKNOWN) (this.#named[limit] as number)++;
    peer.limits[number] = limit;
  }

  #take(peer: Peer, row: Row, now: number): void {
    const { number } = row;
    const isFirst = !peer.rows.has(number);
    if (!isFirst && peer.isCounted) this.#count(peer, number, -1);
    peer.rows.put(row);
    if (peer.isCounted) this.#count(peer, number, 1, isFirst ? now - row.at : undefined);
    const limit = peer.limits[number] as number;
    if (limit !== UNKNOWN) this.#heardAt[limit] = now;
  }

  /** Adds a row to the sums, or takes it out. `pastMs`: what it admitted until so long after its row is not new; undefined: all is. */
  #count({ rows, limits }: Peer, number: number, sign: 1 | -1, pastMs?: number): void {
    const limit = limits[number] as number;
    if (limit === UNKNOWN) return;
    const rate = rows.rate(number);
    const at = rows.at(number);
    (this.#demand[limit] as number) += sign * rows.demand(number);
    (this.#admitted[limit] as number) += sign * rows.admitted(number);
    (this.#rate[limit] as number) += sign * rate;
    (this.#rateAt[limit] as number) += sign * rate * at;
    if (pastMs !== undefined)
      (this.#before[limit] as number) += sign * (rows.admitted(number) + (rate * pastMs) / 1000);
  }
}
