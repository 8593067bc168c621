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
  if (process.env.NODE_V8_COVERAGE !== undefined) return false;
  const { readdirSync, statSync } = process.getBuiltinModule('node:fs');
  const root = process.getBuiltinModule('node:path').join(import.meta.dirname, '../..');
  const built = statSync(`${root}/dist/main.mjs`, { throwIfNoEntry: false })?.mtimeMs;
  // A link of an editor that leads nowhere is no source.
  const isOlder = (path) => !(statSync(path, { throwIfNoEntry: false })?.mtimeMs > built);
  // Not by `recursive`: the paths it joins are compiled twice by then, and the compiler's 7 MB would be resident in each sidecar.
  const areOlder = (folder) =>
    isOlder(folder) &&
    readdirSync(folder, { withFileTypes: true }).every((entry) =>
      entry.isDirectory() ? areOlder(`${folder}/${entry.name}`) : isOlder(`${folder}/${entry.name}`),
    );
  return (
    built !== undefined &&
    ['package.json', 'package-lock.json', 'scripts/build.ts'].every((name) => isOlder(`${root}/${name}`)) &&
    areOlder(`${root}/src`)
  );
}
