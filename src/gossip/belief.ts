/**
 * What is said of a member, and which of two sayings holds.
 *
 *   alive 0 < suspect 0 < dead 0 < left 0 < alive 1 < suspect 1 < …        the number rises only when the member itself refutes
 *
 * The larger holds, whoever said it and in whichever order it came: a join of a total order is commutative, associative and idempotent. The rules
 * are SWIM's (Das, Gupta, Motivala 2002, §4.2), but a dead member may refute too: a pause of a few seconds ends no process.
 */
import type { Reader, Writer } from '../core/index.ts';
import type { MemberState } from './member.ts';

export interface Standing {
  readonly state: MemberState;
  /** How often the member refuted what was said of it: larger is later. */
  readonly refutation: number;
}

export interface Identity {
  readonly incarnation: string;
  readonly name: string;
  readonly address: string;
}

export interface Belief extends Identity, Standing {
  /** Tag of who suspects it; 0: not suspected. */
  readonly accuser: number;
  /** How long it has been dead or left, ms: the tombstone ages on its way, and so is forgotten everywhere at about one time. */
  readonly agoMs: number;
}

const STATES: readonly MemberState[] = ['alive', 'suspect', 'dead', 'left'];
const RANK: Readonly<Record<MemberState, number>> = { alive: 0, suspect: 1, dead: 2, left: 3 };

/** Names are for people: longer ones are cut. A pod uid has 36 bytes. */
export const NAME_BYTES_MAX = 64;
/** `[IPv6]:port` has 47 bytes at most, a host name of a cluster rarely more than 100. */
export const ADDRESS_BYTES_MAX = 128;
const AGO_UNIT_MS = 100;
/** State, refutation and accuser or age. */
const STANDING_BYTES_MAX = 1 + 8 + 8;

export function isNewer(a: Standing, b: Standing): boolean {
  return a.refutation > b.refutation || (a.refutation === b.refutation && RANK[a.state] > RANK[b.state]);
}

/** The first four bytes of an incarnation: enough to tell members apart in a digest, where every byte counts. */
export function tagOf(incarnation: string): number {
  return Number.parseInt(incarnation.slice(0, 8), 16);
}

/** `incarnation 8 | length 1, name | length 1, address`, encoded once a member. */
export function identityBytes({ incarnation, name, address }: Identity): Buffer {
  const texts = [Buffer.from(name).subarray(0, NAME_BYTES_MAX), Buffer.from(address)];
  return Buffer.concat([
    Buffer.from(incarnation, 'hex'),
    ...texts.flatMap((each) => [Buffer.from([each.length]), each]),
  ]);
}

/** False, and nothing is written, when it does not fit. */
export function writeRecord(
  writer: Writer,
  identity: Uint8Array,
  { state, refutation }: Standing,
  accuser: number,
  agoMs: number,
): boolean {
  if (writer.room < identity.length + STANDING_BYTES_MAX) return false;
  writer.raw(identity);
  writer.u8(RANK[state]);
  writer.varint(refutation);
  if (state === 'suspect') writer.u32(accuser);
  if (state === 'dead' || state === 'left') writer.varint(Math.round(agoMs / AGO_UNIT_MS));
  return true;
}

/** Undefined when it is malformed; the reader is broken then. */
export function readRecord(reader: Reader): Belief | undefined {
  const incarnation = reader.hex(8);
  const name = readText(reader, NAME_BYTES_MAX);
  const address = readText(reader, ADDRESS_BYTES_MAX);
  const state = STATES[reader.u8()];
  const refutation = reader.varint();
  const accuser = state === 'suspect' ? reader.u32() : 0;
  const agoMs = state === 'dead' || state === 'left' ? reader.varint() * AGO_UNIT_MS : 0;
  if (state === undefined || !address.includes(':')) reader.isBroken = true;
  if (reader.isBroken) return undefined;
  return { incarnation, name, address, state: state as MemberState, refutation, accuser, agoMs };
}

function readText(reader: Reader, bytesMax: number): string {
  const length = reader.u8();
  if (length > bytesMax) reader.isBroken = true;
  return reader.raw(length).toString();
}
