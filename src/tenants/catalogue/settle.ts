/**
 * Which document speaks for which object. Of several documents of one name the live one wins; where none is live, none of them does:
 * the order of files never settles anything.
 */
import type { LoadedFile } from '../documents/load.ts';
import type { GoodDocument } from '../documents/parse.ts';
import { keyOf } from '../name.ts';
import { type Complaints, placeOf, type Standing } from './complaints.ts';
import type { LiveObject } from './live-object.ts';

/** A good document, and where it stands. */
export interface Wanted extends Standing {
  readonly document: GoodDocument;
}

export interface Settled {
  /** By `Kind/name`. */
  readonly wanted: ReadonlyMap<string, Wanted>;
  /** Keys whose object stays as it is: its document is broken, or rivals ask for it. */
  readonly kept: ReadonlySet<string>;
  /** Files of which documents were left out: any of their objects may stand there. */
  readonly cut: ReadonlySet<string>;
  /** Documents that name nothing for certain. */
  readonly murky: readonly Standing[];
}

export function settle(
  files: readonly LoadedFile[],
  live: ReadonlyMap<string, LiveObject>,
  complaints: Complaints,
): Settled {
  const wanted = new Map<string, Wanted>();
  const rivals = new Map<string, Wanted[]>();
  const kept = new Set<string>();
  const cut = new Set<string>();
  const murky: Standing[] = [];
  for (const file of files) {
    if (file.isCut) cut.add(file.path);
    for (const loaded of file.documents) {
      const { parsed } = loaded;
      if (parsed.isGood) {
        for (const each of parsed.warnings) complaints.placed({ file, loaded }, each, 'warning');
        admit({ document: parsed, file, loaded }, wanted, rivals);
        continue;
      }
      for (const each of parsed.problems) complaints.placed({ file, loaded }, each);
      if (parsed.isNamed) kept.add(keyOf(parsed.kind as string, parsed.name as string));
      else murky.push({ file, loaded });
    }
  }
  for (const [key, all] of rivals) {
    const winner = liveAmong(all, live.get(key));
    if (winner === undefined) {
      wanted.delete(key);
      kept.add(key);
    } else wanted.set(key, winner);
    for (const each of all) if (each !== winner) complain(each, winner ?? otherThan(each, all), complaints);
  }
  return { wanted, kept, cut, murky };
}

function admit(newcomer: Wanted, wanted: Map<string, Wanted>, rivals: Map<string, Wanted[]>): void {
  const { key } = newcomer.document;
  const first = wanted.get(key);
  if (first === undefined) {
    wanted.set(key, newcomer);
    return;
  }
  const all = rivals.get(key);
  if (all === undefined) rivals.set(key, [first, newcomer]);
  else all.push(newcomer);
}

/** The live document itself, or the only one in the file where the live one stood. */
function liveAmong(all: readonly Wanted[], live: LiveObject | undefined): Wanted | undefined {
  const here = all.filter((each) => each.file.path === live?.file);
  return here.find((each) => each.document.json === live?.json) ?? (here.length === 1 ? here[0] : undefined);
}

function otherThan(one: Wanted, all: readonly Wanted[]): Wanted {
  return all.find((each) => each !== one) as Wanted;
}

function complain(loser: Wanted, other: Wanted, complaints: Complaints): void {
  complaints.found(
    loser,
    ['metadata', 'name'],
    `the name is taken by ${placeOf(other)}`,
    'rename or remove one of them',
  );
}
