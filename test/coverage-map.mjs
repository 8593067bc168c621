/** A room is covered by its own tests: test/<room>/x.test.ts covers src/<room>/**. Tests of no room cover nothing: tap reads an empty list as everything. */
import { globSync } from 'node:fs';

/** @type {(test: string) => string[] | null} */
export default (test) => {
  const room = test.split('/')[1];
  const files = globSync(`src/${room}/**/*.ts`).filter((file) => !file.includes('/generated/'));
  return files.length > 0 ? files : null;
};
