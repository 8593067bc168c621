/** Seeds from a file, one address a line, `#` begins a comment: read anew with each look. */
import { readFile } from 'node:fs';
import { parseAddress } from './address.ts';
import { SEEDS_MAX, type Seeds } from './seeds.ts';

export type Read = (path: string, done: (text: string | undefined) => void) => void;

const readText: Read = (path, done) => readFile(path, 'utf8', (error, text) => done(error === null ? text : undefined));

/** A file that cannot be read, names nobody (it may be one that is being written) or has a line that is no address is no answer. */
export function fileSeeds(path: string, isComplete = true, read: Read = readText): Seeds {
  return {
    isComplete,
    look: (done) =>
      read(path, (text) => {
        const lines = (text ?? '').split('\n').map((line) => line.replace(/#.*/, '').trim());
        const addresses = lines.filter((line) => line !== '');
        const isSound = addresses.length > 0 && addresses.every((each) => parseAddress(each) !== undefined);
        done(isSound ? addresses.slice(0, SEEDS_MAX) : undefined);
      }),
  };
}
