/**
 * The settings of a collector. They are few: each is a flag, a variable and a key of a YAML file, in that order of weight.
 *
 *   # collector.yaml
 *   dir: /var/lib/reeve-collector
 *   grpc: { host: 0.0.0.0, port: 15010 }
 */
import { readFile } from 'node:fs/promises';
import { nearest, parseDurationMs, parseSizeBytes, ReeveError } from '../core/index.ts';

type Kind = 'text' | 'port' | 'size' | 'duration';

export interface CollectorSetting {
  /** In the file. */
  readonly path: string;
  readonly flag: string;
  readonly env: string;
  readonly kind: Kind;
  readonly description: string;
  /** Undefined: none. */
  readonly preset?: string;
}

const setting = (path: string, kind: Kind, description: string, preset?: string): CollectorSetting => {
  const words = path.replaceAll('.', '-').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return {
    path,
    flag: `--${words}`,
    env: `REEVE_COLLECTOR_${words.replaceAll('-', '_').toUpperCase()}`,
    kind,
    description,
    ...(preset === undefined ? {} : { preset }),
  };
};

export const collectorSettings: readonly CollectorSetting[] = [
  setting('dir', 'text', 'where the ledger and the sums are kept', 'reeve-collector'),
  setting('grpc.host', 'text', 'address for sidecars', '127.0.0.1'),
  setting('grpc.port', 'port', 'port for sidecars', '15010'),
  setting('http.host', 'text', 'address of the API', '127.0.0.1'),
  setting('http.port', 'port', 'port of the API', '15011'),
  setting('status.host', 'text', 'address of metrics and health', '0.0.0.0'),
  setting('status.port', 'port', 'port of metrics and health', '15012'),
  setting('tls.certFile', 'text', 'certificate of the gRPC port; with it sidecars must use TLS'),
  setting('tls.keyFile', 'text', 'its key'),
  setting('tls.clientCaFile', 'text', 'sidecars must show a certificate of this authority'),
  setting('tokenFile', 'text', 'tokens of sidecars, one a line; any of them is good'),
  setting('readTokenFile', 'text', 'tokens of readers, one a line; a tenant behind it: only that one'),
  setting('memory.credit', 'size', 'payloads of all streams at once', '512MiB'),
  setting('memory.query', 'size', 'memory of questions', '1GiB'),
  setting('seal.grace', 'duration', 'after an hour, for what is on its way', '1min'),
  setting('seal.patience', 'duration', 'after an hour, for spools that are away', '15min'),
  setting('keep.ledger', 'duration', 'how long the ledger is kept', '400d'),
  setting('keep.minutes', 'duration', 'how long sums by the minute are kept', '7d'),
  setting('keep.hours', 'duration', 'how long sums by the hour are kept', '400d'),
  setting('log.level', 'text', 'debug, info, warn or error', 'info'),
];

/** By path. Numbers are ports, bytes and ms. */
export type CollectorValues = ReadonlyMap<string, string | number>;

/** `options`: what commander read, by camel-case flag name. Rejects with a ReeveError of usage. */
export async function collectorValues(
  file: string | undefined,
  options: Readonly<Record<string, unknown>>,
  env: NodeJS.ProcessEnv,
): Promise<CollectorValues> {
  const inFile = file === undefined ? new Map<string, string>() : await readSettings(file);
  const values = new Map<string, string | number>();
  for (const each of collectorSettings) {
    const given = givenIn(each, file, inFile, options, env);
    if (given !== undefined) values.set(each.path, readValue(each.kind, given.text, given.place));
  }
  for (const [one, other] of [
    ['tls.certFile', 'tls.keyFile'],
    ['tls.keyFile', 'tls.certFile'],
    ['tls.clientCaFile', 'tls.certFile'],
  ] as const)
    if (values.has(one) && !values.has(other))
      throw new ReeveError('usage', `needs ${other} too`, { place: one, remedy: 'give certificate and key' });
  return values;
}

function givenIn(
  { flag, path, env: variable, preset }: CollectorSetting,
  file: string | undefined,
  inFile: ReadonlyMap<string, string>,
  options: Readonly<Record<string, unknown>>,
  env: NodeJS.ProcessEnv,
): { readonly text: string; readonly place: string } | undefined {
  const option = options[flag.slice(2).replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())];
  if (option !== undefined) return { text: String(option), place: flag };
  const [ofEnv, ofFile] = [env[variable], inFile.get(path)];
  if (ofEnv !== undefined) return { text: ofEnv, place: variable };
  if (ofFile !== undefined) return { text: ofFile, place: `${file} ${path}` };
  return preset === undefined ? undefined : { text: preset, place: path };
}

async function readSettings(file: string): Promise<Map<string, string>> {
  let document: unknown;
  // A command that reads no YAML does not load it.
  const { parseYaml } = await import('./yaml.ts');
  try {
    document = parseYaml(await readFile(file, 'utf8'));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    // What the parser says; of what the system says the code is enough.
    const why = code !== undefined && 'syscall' in (cause as object) ? code : message.split('\n')[0];
    throw new ReeveError('usage', `cannot be read: ${why}`, {
      place: file,
      remedy: 'see docs/collector.md',
      cause,
    });
  }
  const found = new Map<string, string>();
  flatten(document, '', found, file);
  return found;
}

function flatten(value: unknown, path: string, found: Map<string, string>, file: string): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    for (const [key, each] of Object.entries(value)) flatten(each, path === '' ? key : `${path}.${key}`, found, file);
    return;
  }
  const known = collectorSettings.map((each) => each.path);
  if (path === '' && value === null) return;
  if (path === '' || Array.isArray(value))
    throw new ReeveError('usage', `expected ${path === '' ? 'keys with values' : 'one value, no list'}`, {
      place: path === '' ? file : `${file} ${path}`,
      remedy: 'see docs/collector.md',
    });
  if (!known.includes(path)) {
    const near = nearest(path, known);
    throw new ReeveError('usage', 'there is no such setting', {
      place: `${file} ${path}`,
      remedy: near === undefined ? '`reeve collector --help` names them' : `did you mean ${near}?`,
    });
  }
  found.set(path, String(value));
}

const LEVELS = ['debug', 'info', 'warn', 'error'];

function readValue(kind: Kind, text: string, place: string): string | number {
  if (kind === 'text') {
    if (!place.toLowerCase().endsWith('level') || LEVELS.includes(text)) return text;
    throw new ReeveError('usage', `expected ${LEVELS.join(', ')}, got ${JSON.stringify(text)}`, { place });
  }
  const value = kind === 'port' ? portOf(text) : kind === 'size' ? parseSizeBytes(text) : parseDurationMs(text);
  if (value !== undefined) return value;
  const example = { port: 'a port, 0 to 65535', size: 'a size such as 512MiB', duration: 'a time such as 15min' }[kind];
  throw new ReeveError('usage', `expected ${example}, got ${JSON.stringify(text)}`, { place });
}

function portOf(text: string): number | undefined {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined;
}
