import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of this package: where its examples and schemas are, whether the sources run or the bundle. */
export function packageRoot(): string {
  let dir = import.meta.dirname;
  while (!existsSync(join(dir, 'package.json'))) dir = dirname(dir);
  return dir;
}
