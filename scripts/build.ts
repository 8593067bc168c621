/**
 * `npm run build`: the program as one bundle in dist/, which src/cli/reeve.mjs runs when it is as new as the sources. A start reads
 * ten files instead of four hundred, and loads of Node what is used.
 */
import { readFileSync, rmSync, utimesSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { build, type Plugin, transform } from 'esbuild';

const root = join(import.meta.dirname, '..');
const target = 'node24';

/**
 * Node's own modules, by `process.getBuiltinModule`. An import statement would evaluate every getter of the module's exports: that of
 * node:http alone loads Node's fetch, 40 ms and 13 MiB that nothing here uses.
 */
const builtins: Plugin = {
  name: 'builtins',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[\w:/]+$/ }, ({ path, kind }) =>
      isBuiltin(path) ? { path, namespace: kind === 'require-call' ? 'builtin-cjs' : 'builtin-esm' } : undefined,
    );
    // Pure: what nobody uses is not loaded.
    const get = (path: string): string => `/* @__PURE__ */ process.getBuiltinModule(${JSON.stringify(path)})`;
    onLoad({ filter: /./, namespace: 'builtin-cjs' }, ({ path }) => ({ contents: `module.exports = ${get(path)}` }));
    onLoad({ filter: /./, namespace: 'builtin-esm' }, ({ path }) => {
      const names = Object.keys(process.getBuiltinModule(path) as object).filter((name) => name !== 'default');
      const exported = names.map((name) => `export const ${name} = /* @__PURE__ */ take('${name}');`);
      return {
        contents: [
          `const builtin = ${get(path)};`,
          'const take = (name) => builtin[name];',
          'export default builtin;',
          ...exported,
        ].join('\n'),
      };
    });
  },
};

/**
 * Sources without their comments: V8 keeps the text of all it runs, at two bytes a character where one is not of Latin-1, as comments have
 * them. And threads are started by `new URL('./name.ts', import.meta.url)`; in the bundle each is an entry beside the others.
 */
const sources: Plugin = {
  name: 'sources',
  setup({ onLoad }) {
    onLoad({ filter: /\.[cm]?[jt]s$/ }, async ({ path }) => {
      const text = readFileSync(path, 'utf8').replaceAll(
        /(new URL\('\.\/[\w-]+)\.ts', import\.meta\.url\)/g,
        "$1.mjs', import.meta.url)",
      );
      const loader = path.endsWith('ts') ? 'ts' : 'js';
      const { code } = await transform(text, { loader, minifyWhitespace: true, legalComments: 'none', target });
      return { contents: code, loader: 'js' };
    });
  },
};

/** What runs by itself: the command, and each thread with its first module. Nothing is shared between them, so that each is few files and holds only what it uses. */
const programs: readonly Readonly<Record<string, string>>[] = [
  { main: 'src/cli/main.ts' },
  { 'thread-entry': 'src/tenants/thread-entry.ts' },
  { 'loader-worker': 'src/tenants/loader-worker.ts' },
  { 'parse-worker': 'src/tenants/documents/parse-worker.ts' },
  { 'rollup-worker': 'src/collector/duck/rollup-worker.ts' },
];

const began = new Date();
rmSync(join(root, 'dist'), { recursive: true, force: true });
await Promise.all(
  programs.map((entryPoints) =>
    build({
      absWorkingDir: root,
      entryPoints,
      outdir: 'dist',
      outExtension: { '.js': '.mjs' },
      bundle: true,
      splitting: true,
      platform: 'node',
      format: 'esm',
      target,
      legalComments: 'none',
      // Native code, read from node_modules: by the collector alone, and by who gives memory back.
      external: ['@duckdb/node-api', 'koffi'],
      plugins: [builtins, sources],
      logLevel: 'warning',
    }),
  ),
);
// What is saved during the build is newer than what it read.
utimesSync(join(root, 'dist/main.mjs'), began, began);
