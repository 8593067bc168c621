#!/usr/bin/env node
// The command. Plain JavaScript of an old day, so that an old Node can say what is wrong instead of failing to read it.
const FLOOR = [24, 18, 1];
const parts = process.versions.node.split('.').map(Number);
const isOld =
  parts[0] !== FLOOR[0] ? parts[0] < FLOOR[0] : parts[1] !== FLOOR[1] ? parts[1] < FLOOR[1] : parts[2] < FLOOR[2];
if (isOld) {
  process.stderr.write(
    `reeve needs Node ${FLOOR.join('.')} or later, this is ${process.versions.node} (run it by npm, which brings its own: npm run reeve -- --help)\n`,
  );
  process.exit(2);
}
// Compiled code is kept between starts, in the system's temporary directory; a start costs a third less.
const { enableCompileCache } = await import('node:module');
enableCompileCache();
await import(isBundleFresh() ? '../../dist/main.mjs' : './main.ts');

/** Who edits a source runs the sources until the next `npm run build`; so do tests that count which lines ran. */
function isBundleFresh() {
  const { readdirSync, statSync } = process.getBuiltinModule('node:fs');
  const at = (path) => new URL(`../../${path}`, import.meta.url);
  const built = statSync(at('dist/main.mjs'), { throwIfNoEntry: false })?.mtimeMs;
  if (built === undefined || process.env.NODE_V8_COVERAGE !== undefined) return false;
  const sources = readdirSync(at('src'), { recursive: true }).map((name) => `src/${name}`);
  return [...sources, 'package.json'].every((name) => statSync(at(name)).mtimeMs <= built);
}
