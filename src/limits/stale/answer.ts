/** An answer of the application as it is kept: nothing of it is anybody's but the store's. */
import type { HeaderList, Life } from '../../wire/index.ts';

export interface Answer {
  readonly status: number;
  /** Without framing, Age and what was written for one request alone. */
  readonly fields: HeaderList;
  readonly content: Buffer;
  /** Names of request fields, and what they were: only a request that says the same gets it. */
  readonly variations: readonly string[];
  readonly chosenBy: string;
  readonly life: Life;
  /** How old it was when it was kept, seconds, and when that was, ms. */
  readonly ageSec: number;
  readonly at: number;
  /** From then on it is of no use to anybody, ms. */
  readonly until: number;
}

/** Objects, arrays and map entries of one answer, measured with 100,000 of them: 0.9 kB. */
const ANSWER_BYTES = 1024;

/** What it takes of the memory there is, bytes. */
export function bytesOf({ fields, content, chosenBy }: Answer, place: string): number {
  let bytes = ANSWER_BYTES + content.length + chosenBy.length + place.length;
  // Each name twice: as it came, and in lower case.
  for (let i = 0; i < fields.raw.length; i += 2)
    bytes += 2 * (fields.raw[i] as string).length + (fields.raw[i + 1] as string).length;
  return bytes;
}
