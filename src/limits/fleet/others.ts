/**
 * What the other sidecars say of limits: their rows, and by limit the sums over all whose requests count. A row that comes in changes the
 * sums, so that nothing is added up when a share is taken.
 *
 *   admitted by all others now = Σ admitted + Σ rate × (now − at)        each goes on at the rate of its last row
 *
 * Only differences of that are asked for. A row of some hours ago may be thought younger later (`row-table.ts`): what it leaves in the sums then
 * does not change, and so is in none of the differences.
 */
import type { Clock } from '../../core/index.ts';
import type { Member, Written } from '../../gossip/index.ts';
import { enlarged } from '../arrays.ts';
import { Attendance, type PartitionPolicy, type Surroundings } from './attendance.ts';
import { type Name, type Row, RowLog } from './row-log.ts';
import { UNKNOWN } from './row-table.ts';
import type { Electorate } from './strict.ts';

/** What somebody was reckoned to admit since its last row is taken back when it turns out to be gone, for at most so long, ms: until it is doubted. */
const DOUBT_MS = 2000;

/** One of the others, and what it says of a limit; units and seconds. */
export interface PeerExplanation {
  readonly name: string;
  readonly state: Member['state'];
  readonly demand: number;
  /** Its part of the limit, as it is reckoned here: it alone knows what it takes to the last unit. 0: it is not counted any more. */
  readonly share: number;
  readonly admitted: number;
  readonly ageMs: number;
}

/** What part of a limit another has: told by who it is, whether it is counted, and what it is asked for, units a second. */
export type ShareOf = (member: Member, isCounted: boolean, demand: number) => number;

export interface LimitNames {
  /** Our number of a limit, a new one when it is new; `UNKNOWN` when there is no room. */
  take(name: string): number;
  /** Of a limit that has a number. It stays while `isNamed`. */
  nameOf(limit: number): string;
}

interface Peer {
  readonly member: Member;
  readonly rows: RowLog;
  isCounted: boolean;
}

export class Others {
  readonly #clock: Clock;
  readonly #limits: LimitNames;
  readonly #attendance: Attendance;
  /** By member slot. */
  readonly #peers: (Peer | undefined)[] = [];
  /** Rows that were taken, ever. */
  rowsHeard = 0;
  #surroundings: Surroundings = { expected: 1, isIsolated: false, isFound: true };
  #members = 1;
  /** Then limits stand as they are. Looked at several times in a request. */
  isNobody = true;
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

  constructor(clock: Clock, partition: PartitionPolicy, limits: LimitNames) {
    this.#clock = clock;
    this.#attendance = new Attendance(partition);
    this.#limits = limits;
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
    this.#peers[member.slot] ??= { member, rows: new RowLog((limit) => this.#limits.nameOf(limit)), isCounted: false };
    this.#attendance.note(member);
    this.recount();
  }

  onForgotten(slot: number): void {
    const peer = this.#peers[slot];
    if (peer === undefined) return;
    this.#attendance.forget(slot);
    this.#setCounted(peer, false);
    for (let number = 0; number < peer.rows.size; number++) this.#changeNamed(peer.rows.limit(number), -1);
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
    this.isNobody = this.#members === 1 && this.part === 1;
  }

  /** Those that were asked for anything of the limit, the most asked first. */
  explain(limit: number, shareOf: ShareOf): PeerExplanation[] {
    const now = this.#clock.now();
    const peers = this.#peers.flatMap((peer): PeerExplanation[] => {
      const at = peer?.rows.numberOf(limit) ?? UNKNOWN;
      if (peer === undefined || at === UNKNOWN || !peer.rows.has(at)) return [];
      const { member, rows, isCounted } = peer;
      const { name, state } = member;
      const demand = rows.demand(at);
      const share = shareOf(member, isCounted, demand);
      return [{ name, state, demand, share, admitted: rows.rate(at), ageMs: now - rows.at(at) }];
    });
    return peers.sort((one, other) => other.demand - one.demand);
  }

  /** What a member is known to have admitted of a limit, units. */
  admittedBy(member: number, limit: number): number {
    const rows = this.#peers[member]?.rows;
    const at = rows?.numberOf(limit) ?? UNKNOWN;
    return at === UNKNOWN ? 0 : (rows as RowLog).admitted(at);
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
    const { rows, isCounted } = peer;
    const { number } = name;
    if (isCounted && rows.has(number)) this.#count(peer, number, -1, now - rows.at(number));
    const limit = name.name === '' ? UNKNOWN : this.#limits.take(name.name);
    this.#changeNamed(rows.limit(number), -1);
    this.#changeNamed(limit, 1);
    rows.putName(name, limit);
  }

  #changeNamed(limit: number, by: 1 | -1): void {
    if (limit !== UNKNOWN) (this.#named[limit] as number) += by;
  }

  #take(peer: Peer, row: Row, now: number): void {
    const { number } = row;
    this.rowsHeard++;
    const isFirst = !peer.rows.has(number);
    if (!isFirst && peer.isCounted) this.#count(peer, number, -1);
    peer.rows.put(row);
    if (peer.isCounted) this.#count(peer, number, 1, isFirst ? now - peer.rows.at(number) : undefined);
    const limit = peer.rows.limit(number);
    if (limit !== UNKNOWN) this.#heardAt[limit] = now;
  }

  /** Adds a row to the sums, or takes it out. `pastMs`: what it admitted until so long after its row is not new; undefined: all is. */
  #count({ rows }: Peer, number: number, sign: 1 | -1, pastMs?: number): void {
    const limit = rows.limit(number);
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
