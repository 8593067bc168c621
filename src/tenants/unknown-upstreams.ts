/**
 * Routes whose degraded upstream the sidecar does not have. The tenancy alone cannot know: the upstreams stand in the boot file. Without
 * this nobody would find the slip before traffic degrades.
 */
import { nearest } from '../core/index.ts';
import { readDirectory } from './documents/read-directory.ts';
import { lineAt, splitDocuments } from './documents/split.ts';
import type { Finding, Snapshot } from './model.ts';

const PATH = ['spec', 'degraded', 'upstream'];

/** A warning for each, at its place in the files of `dir` as they are now; `names`: the upstreams of the sidecar. */
export async function unknownUpstreams(
  dir: string,
  { routes }: Pick<Snapshot, 'routes'>,
  names: ReadonlySet<string>,
): Promise<Finding[]> {
  const unknown = new Map<string, string>();
  for (const { name, degradedUpstream } of routes)
    if (degradedUpstream !== undefined && !names.has(degradedUpstream)) unknown.set(name, degradedUpstream);
  // The files are read again only for a slip: who has none pays nothing.
  const places = unknown.size === 0 ? new Map<string, Place>() : await placesOf(dir, unknown);
  return [...unknown].map(([name, upstream]) => {
    const near = nearest(upstream, names);
    return {
      severity: 'warning',
      ...(places.get(name) ?? { file: dir, line: 0, column: 0 }),
      kind: 'Route',
      name,
      path: PATH.join('.'),
      message: `the sidecar has no upstream ${JSON.stringify(upstream)}: degraded requests would get 502`,
      remedy: near === undefined ? `add it to spec.upstreams of the boot file` : `did you mean ${near}?`,
    };
  });
}

type Place = Pick<Finding, 'file' | 'line' | 'column'>;

async function placesOf(dir: string, unknown: ReadonlyMap<string, string>): Promise<Map<string, Place>> {
  const places = new Map<string, Place>();
  const read = await readDirectory(dir);
  if ('unreadable' in read) return places;
  const { readText } = await import('./documents/parse.ts');
  const upstreams = [...new Set(unknown.values())];
  for (const { path: file, text } of read.files) {
    if (!upstreams.some((each) => text.includes(each))) continue;
    for (const document of splitDocuments(text)) {
      const parsed = readText(document.text);
      if ('isGood' in parsed) continue;
      const { kind, metadata } = (parsed.value ?? {}) as { kind?: unknown; metadata?: { name?: unknown } };
      const name = metadata?.name;
      if (kind !== 'Route' || typeof name !== 'string' || !unknown.has(name)) continue;
      const { line, column } = parsed.place({ path: PATH, isKey: false, message: '', remedy: undefined });
      places.set(name, { file, line: lineAt(text, document.offset) - 1 + line, column });
    }
  }
  return places;
}
