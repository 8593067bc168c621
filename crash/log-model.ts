/**
 * What a log may show, given what was done to it: of each segment the frames that were appended, which of them are synced, in doubt or hit, and what may
 * stand there instead behind a crash.
 */
import type { Damage, Frame } from '../src/wal/index.ts';

export interface Entry {
  readonly id: number;
  readonly offset: number;
  readonly next: number;
  /** A sync that was asked for later has resolved, or an opening has read it. */
  isSynced: boolean;
  /** `doubt`: a sync failed since. `lost`: it may be gone, and its owner knows. */
  fate: 'good' | 'doubt' | 'lost';
  /** A bit of it was flipped. */
  isHit: boolean;
  /** The process ended while it was appended. */
  readonly isHalf: boolean;
}

export interface SegmentModel {
  /** What may stand there behind a crash; the last is what stands there now. */
  versions: Entry[][];
  /** Its process ended while it was written anew. */
  isEither: boolean;
}

/** A frame as it was read. */
export type Read = Pick<Frame, 'segment' | 'offset' | 'next'> & { readonly id: number };

export type Ending = 'kill' | 'crash';

export class LogModel {
  readonly segments = new Map<number, SegmentModel>();
  /** Dropped and not synced since, in order. */
  gone: [number, SegmentModel][] = [];
  /** How many of these, the last ones, may be back behind a crash, and behind a kill. */
  mayBeBack: Record<Ending, number> = { kill: 0, crash: 0 };

  at(number: number): SegmentModel {
    const found = this.segments.get(number);
    if (found !== undefined) return found;
    const made = { versions: [[]], isEither: false };
    this.segments.set(number, made);
    return made;
  }

  now(number: number): Entry[] {
    return this.at(number).versions.at(-1) as Entry[];
  }

  get entries(): Entry[] {
    const dropped = this.gone.map(([, segment]) => segment);
    return [...this.segments.values(), ...dropped].flatMap(({ versions }) => versions.flat());
  }

  /** What is wrong with what was read. */
  judge(
    read: readonly Read[],
    present: readonly number[],
    damage: readonly Damage[],
    ending: Ending,
  ): string | undefined {
    const bySegment = Map.groupBy(read, ({ segment }) => segment);
    const known = new Map(this.segments);
    const back = this.gone.filter(([number]) => present.includes(number));
    if (back.length > this.mayBeBack[ending])
      return `segments ${back.map(([number]) => number)} were dropped and are back`;
    // What is back is what was dropped last; of it a crash may have taken what was never synced.
    const first = this.gone.findIndex(([number]) => number === back[0]?.[0]);
    for (const [number, { versions }] of first === -1 ? [] : this.gone.slice(first))
      if (!present.includes(number) && versions.flat().some(({ isSynced, fate }) => isSynced && fate === 'good'))
        return `segment ${back[0]?.[0]} was dropped and is back, and ${number} behind it is not`;
    for (const [number, segment] of back) known.set(number, segment);
    const seen = new Set<number>();
    let last: Read | undefined;
    for (const frame of read) {
      if (seen.has(frame.id)) return `frame ${frame.id} was read twice`;
      seen.add(frame.id);
      if (
        last !== undefined &&
        (frame.segment < last.segment || (frame.segment === last.segment && frame.offset < last.next))
      )
        return `frame ${frame.id} stands before ${last.id}`;
      if (!known.has(frame.segment)) return `frame ${frame.id} stands in segment ${frame.segment}, which nobody wrote`;
      last = frame;
    }
    for (const [number, segment] of known) {
      const { versions, isEither } = segment;
      const found = bySegment.get(number) ?? [];
      const isAny = isEither || ending === 'crash';
      const isBack = back.some(([each]) => each === number);
      const judged = versions
        .slice(isAny ? 0 : -1)
        .map((version) => judgeSegment(number, version, found, isBack, ending, damage, present, last));
      if (!judged.includes(undefined)) return judged.at(-1);
    }
    return undefined;
  }

  /** From here on what was read is what there is. */
  adopt(read: readonly Read[], present: readonly number[], ending: Ending): void {
    const entries = new Map(this.entries.map((each) => [each.id, each]));
    this.segments.clear();
    this.gone = [];
    this.mayBeBack = { kill: 0, crash: 0 };
    for (const number of present) this.at(number);
    for (const { id, segment, offset, next } of read) {
      const { fate = 'good', isHit = false } = entries.get(id) ?? {};
      // The kernel may hold for written what it has not: who was killed meanwhile told nobody.
      this.now(segment).push({
        id,
        offset,
        next,
        isHit,
        isSynced: true,
        isHalf: false,
        fate: ending === 'crash' || fate === 'good' ? 'good' : 'lost',
      });
    }
  }
}

function judgeSegment(
  number: number,
  version: readonly Entry[],
  found: readonly Read[],
  isBack: boolean,
  ending: Ending,
  damage: readonly Damage[],
  present: readonly number[],
  last: Read | undefined,
): string | undefined {
  let at = 0;
  const missing: Entry[] = [];
  for (const entry of version) {
    const read = found[at];
    if (read?.id !== entry.id) missing.push(entry);
    else if (read.offset !== entry.offset || read.next !== entry.next) return `frame ${entry.id} has moved`;
    else at++;
  }
  if (at < found.length) return `segment ${number} has frame ${(found[at] as Read).id} where it does not belong`;
  if (isBack) return undefined;
  const isTold = damage.some((each) => each.segment === number || isMissing(each, number, present));
  for (const { id, offset, isSynced, fate, isHit, isHalf } of missing) {
    const mayBeGone = isHalf || isHit || fate !== 'good' || (ending === 'crash' && !isSynced);
    if (!mayBeGone) return `frame ${id} of segment ${number}, ${isSynced ? 'synced' : 'appended'}, is gone`;
    if (isTold || isHalf) continue;
    if (isHit && isSynced && fate === 'good') return `frame ${id} of segment ${number} was hit, and nobody was told`;
    const isTail = last === undefined || last.segment < number || (last.segment === number && last.offset < offset);
    if (!isTail) return `frame ${id} of segment ${number} is missing before others, and nobody was told`;
  }
  return undefined;
}

function isMissing({ what, segment }: Damage, number: number, present: readonly number[]): boolean {
  return what === 'missing' && number <= segment && !present.some((each) => each >= number && each <= segment);
}
