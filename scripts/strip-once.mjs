/**
 * Loaded before each test (`node --import`): types are stripped from a source once, not by each of 150 processes. A third of a second a
 * process that loads all of a sidecar. What it gives is byte for byte what Node would make of the file, so coverage is the same; Node's own
 * compile cache would keep it too, but of code from there V8 tells only roughly which branches ran.
 */
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(import.meta.dirname, '..');
const kept = join(root, 'node_modules/.stripped');
mkdirSync(kept, { recursive: true });

registerHooks({
  load(url, context, next) {
    if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context);
    const path = fileURLToPath(url);
    const { mtimeMs, size } = statSync(path);
    const copy = join(kept, `${relative(root, path).replaceAll('/', '+')}-${mtimeMs}-${size}-${process.version}`);
    return { format: 'module', source: read(copy) ?? strip(path, copy), shortCircuit: true };
  },
});

function read(copy) {
  try {
    return readFileSync(copy, 'utf8');
  } catch {
    return undefined;
  }
}

function strip(path, copy) {
  const source = stripTypeScriptTypes(readFileSync(path, 'utf8'));
  // Another process may do the same now: each gives it its name whole.
  writeFileSync(`${copy}.${process.pid}`, source);
  renameSync(`${copy}.${process.pid}`, copy);
  return source;
}
