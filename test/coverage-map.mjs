/** A room is covered by its own tests: test/<room>/x.test.ts covers src/<room>/**. Other tests cover nothing. */
import { globSync } from 'node:fs';

export default (test) => {
  const room = test.split('/')[1];
  return globSync(`src/${room}/**/*.ts`).filter((file) => !file.includes('/generated/'));
};
