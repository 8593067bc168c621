/** Asks the API of a running collector. */
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { json } from 'node:stream/consumers';
import { ReeveError } from '../core/index.ts';

export const COLLECTOR = 'http://127.0.0.1:15011';
const TIMEOUT_MS = 30_000;

export interface CollectorAsking {
  readonly collector: string;
  readonly tokenFile?: string;
}

/** The answer, as it comes. Throws with the remedy when no collector answers, and with the collector's own words when it refuses. */
export async function openCollector(
  { collector, tokenFile }: CollectorAsking,
  path: string,
  query: Readonly<Record<string, string | undefined>> = {},
  method: 'GET' | 'POST' = 'GET',
): Promise<IncomingMessage> {
  const url = urlOf(collector, path);
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
  let answer: IncomingMessage;
  try {
    answer = await send(url, method, tokenFile === undefined ? undefined : tokenIn(tokenFile));
  } catch (cause) {
    if (cause instanceof ReeveError) throw cause;
    throw new ReeveError('unreachable', `no collector answers: ${(cause as NodeJS.ErrnoException).code}`, {
      place: collector,
      remedy: 'start one, or name its API with --collector',
      cause,
    });
  }
  if (answer.headers['server'] !== 'reeve') {
    answer.destroy();
    throw new ReeveError('unreachable', 'what answers there is no collector', {
      place: collector,
      remedy: 'name the API of a collector with --collector',
    });
  }
  if (answer.statusCode === 200) return answer;
  throw await refusedBy(answer, collector);
}

export async function askCollector<T>(...asking: Parameters<typeof openCollector>): Promise<T> {
  return (await json(await openCollector(...asking))) as T;
}

async function refusedBy(answer: IncomingMessage, collector: string): Promise<ReeveError> {
  const { detail, code } = (await json(answer).catch(() => ({}))) as { detail?: string; code?: string };
  const message = detail ?? `the answer was ${answer.statusCode}`;
  if (code === 'bad-parameter') return mistakeOf(message);
  const remedies: Readonly<Record<string, string>> = {
    'credential-missing': 'give a file with one with --token-file',
    'not-found': 'name the API of a collector with --collector; its status port is another',
  };
  const remedy = remedies[code ?? ''];
  return new ReeveError('findings', message, { place: collector, ...(remedy === undefined ? {} : { remedy }) });
}

/** The API names a parameter; here it is a flag, or the argument. */
function mistakeOf(detail: string): ReeveError {
  const colon = detail.indexOf(': ');
  const parameter = detail.slice(0, colon);
  const place = parameter === 'tenant' ? parameter : `--${parameter}`;
  return new ReeveError('usage', detail.slice(colon + 2), { place, remedy: 'see --help' });
}

function urlOf(collector: string, path: string): URL {
  const base = URL.parse(collector);
  if (base !== null && ['http:', 'https:'].includes(base.protocol)) return new URL(path, base);
  throw new ReeveError('usage', `expected a URL, got ${JSON.stringify(collector)}`, {
    place: '--collector',
    remedy: `such as ${COLLECTOR}`,
  });
}

function tokenIn(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new ReeveError('usage', `cannot be read: ${(cause as NodeJS.ErrnoException).code}`, {
      place: `--token-file ${file}`,
    });
  }
}

function send(url: URL, method: string, token: string | undefined): Promise<IncomingMessage> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const options = { method, headers, signal: AbortSignal.timeout(TIMEOUT_MS) };
  return new Promise((resolve, reject) => {
    (url.protocol === 'https:' ? requestHttps : requestHttp)(url, options, resolve).on('error', reject).end();
  });
}
