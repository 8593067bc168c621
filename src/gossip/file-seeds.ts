/** Seeds from a file, one address a line, `#` begins a comment: read anew with each look. */
import { readFile } from 'node:fs';
import { parseAddress } from './address.ts';
import { SEEDS_MAX, type Seeds } from './seeds.ts';

export type Read = (path: string, done: (text: string | undefined, cause?: string) => void) => void;

const readText: Read = (path, done) =>
  readFile(path, 'utf8', (error, text) => (error === null ? done(text) : done(undefined, error.message)));

/** A file that cannot be read, names nobody (it may be one that is being written) or has a line that is no address is no answer. */
export function fileSeeds(path: string, isComplete = true, read: Read = readText): Seeds {
  return {
    isComplete,
    asked: [path],
    look: (done) =>
      read(path, (text, cause) => {
        if (text === undefined) return done(undefined, cause);
        const lines = text.split('\n').map((line) => line.replace(/#.*/, '').trim());
        const addresses = lines.filter((line) => line !== '');
        if (addresses.length === 0) return done(undefined, 'the file names nobody');
        // By its number: what stands there may be anything.
        const wrong = lines.findIndex((line) => line !== '' && parseAddress(line) === undefined);
        if (wrong >= 0) return done(undefined, `line ${wrong + 1} is no address`);
        done(addresses.slice(0, SEEDS_MAX));
      }),
  };
}
