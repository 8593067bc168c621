/**
 * What was asked about and never reported, such as a tenant misspelt: without a word it looks as if nothing was used. Asked only when an
 * answer has no rows. A token of one tenant is answered by the collector as for everything else, so no name of another is in it.
 */
import { nearest, ReeveError } from '../../core/index.ts';
import { askCollector, type CollectorAsking } from '../ask-collector.ts';

/** By what an answer was narrowed down; undefined: not by that. */
export interface Narrowed {
  readonly tenant?: string | undefined;
  readonly meter?: string | undefined;
  readonly service?: string | undefined;
  readonly route?: string | undefined;
  readonly operation?: string | undefined;
}

type Word = keyof Narrowed;
type Rows = { readonly rows: readonly Readonly<Record<string, unknown>>[] };

/** In the whole time that the collector keeps. */
const EVER = { from: '1970-01-01' };

/** Throws a ReeveError that names each of them, with what was meant; nobody is blamed for being quiet, nor when nothing was ever reported. */
export async function refuseUnknownNames(asking: CollectorAsking, narrowed: Narrowed): Promise<void> {
  const complaints: string[] = [];
  for (const [word, name] of Object.entries(narrowed) as [Word, string | undefined][])
    if (name !== undefined && !(await wasReported(asking, word, name)))
      complaints.push(...(await complaintOf(asking, word, name)));
  if (complaints.length > 0) throw new ReeveError('findings', complaints.join('\n'));
}

async function wasReported(asking: CollectorAsking, word: Word, name: string): Promise<boolean> {
  const query = word === 'meter' ? { meter: name } : { [word]: name, meter: 'requests' };
  return (await askCollector<Rows>(asking, '/v1/usage', { ...EVER, ...query })).rows.length > 0;
}

async function complaintOf(asking: CollectorAsking, word: Word, name: string): Promise<string[]> {
  const known = await namesOf(asking, word);
  if (known?.length === 0) return [];
  const near = known && nearest(name, known);
  const remedy =
    near !== undefined
      ? `did you mean ${near}?`
      : `\`reeve usage${word === 'meter' ? '' : ` --by ${word}`}\` names those of a time`;
  const complaint = new ReeveError('findings', `nothing was ever reported of ${word} ${JSON.stringify(name)}`, {
    remedy,
  });
  return [String(complaint)];
}

/** Undefined: there are more than an answer has rows. */
async function namesOf(asking: CollectorAsking, word: Word): Promise<string[] | undefined> {
  const query = word === 'meter' ? {} : { by: word, meter: 'requests' };
  try {
    const { rows } = await askCollector<Rows>(asking, '/v1/usage', { ...EVER, ...query });
    return rows.map((row) => String(row[word]));
  } catch (cause) {
    if (cause instanceof ReeveError && cause.code === 'findings') return undefined;
    throw cause;
  }
}
