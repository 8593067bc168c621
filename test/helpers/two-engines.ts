/**
 * A sidecar of each engine, before recorders that answer alike: the same bytes go to both, and what the applications executed and the
 * clients were answered is compared, but for dates, ids, connection fields and the place of Content-Length.
 */
import { becomes } from './processes.ts';
import { exchangeRaw, type RawResponse, type RawResult } from './raw-client.ts';
import { OK, type Recorded, type Recorder, recorder } from './recorder.ts';
import { type Ending, sidecarForTest } from './sidecar.ts';
import { tokenFor } from './tokens.ts';
import { diceOf, requestCase } from './wire-mutations.ts';

const NL = '\r\n';
const WAIT_MS = 150;
const PATIENT_MS = 1500;
const TRIES = 3;

/** The credential of a tenant that both know. */
export const AUTH: string = `Authorization: Bearer ${tokenFor('org_acme')}`;

/** Requests made from the grammar and damaged, with the credential: case `index` of `seed`. No HEAD among them: behind its answer nobody could tell where the next begins. */
export function signedCase(seed: number, index: number): string {
  const text = requestCase(diceOf(seed, index)).toString('latin1');
  return text.replaceAll('HEAD ', 'LOCK ').replaceAll(` HTTP/1.1${NL}`, ` HTTP/1.1${NL}${AUTH}${NL}`);
}

interface Answered {
  readonly end: RawResult['end'];
  readonly answers: readonly string[];
}

interface Seen {
  /** Of each sequence, in their order. */
  readonly connections: readonly Answered[];
  readonly requests: readonly string[];
  readonly faults: readonly string[];
}

export interface Difference {
  readonly bytes: string;
  readonly fast: Seen;
  readonly general: Seen;
}

interface Side {
  readonly upstream: Recorder;
  readonly ports: { readonly inbound: number; readonly admin: number };
}

export class TwoEngines {
  /** Of the applications. */
  answer: (request: Recorded) => string = () => OK;
  /** Byte sequences asked, and requests that came of them to each application. */
  asked = 0;
  executed = 0;
  readonly #sides: readonly Side[];

  static async start(t: Ending): Promise<TwoEngines> {
    let self: TwoEngines | undefined;
    const sides = ['true', 'false'].map(async (fastPath): Promise<Side> => {
      const upstream = await recorder(t, (request) => self?.answer(request));
      const settings = {
        'wire.fastPath': fastPath,
        'anonymous.limit': '1000000/s',
        'wire.responseTimeout': '2s',
        'wire.bodyBytesMax': '80kB',
      };
      const { ports } = await sidecarForTest(t, upstream.url, { settings });
      return { upstream, ports };
    });
    self = new TwoEngines(await Promise.all(sides));
    return self;
  }

  private constructor(sides: readonly Side[]) {
    this.#sides = sides;
  }

  /**
   * Each sequence on a connection of its own, `atOnce` of them together. What differs in a crowd is asked again with patience, in
   * halves down to itself: a busy machine is no difference.
   */
  async differences(all: readonly string[], atOnce: number): Promise<Difference[]> {
    const found: Difference[] = [];
    for (let at = 0; at < all.length; at += atOnce) {
      const some = all.slice(at, at + atOnce);
      this.asked += some.length;
      const seen = await this.#both(some, WAIT_MS);
      this.executed += seen[0].requests.length;
      if (!isSame(some, seen)) found.push(...(await this.#differing(some)));
    }
    return found;
  }

  async #differing(some: readonly string[]): Promise<Difference[]> {
    let seen = await this.#both(some, PATIENT_MS);
    for (let tries = 1; tries < TRIES && some.length === 1 && !isSame(some, seen); tries++)
      seen = await this.#both(some, PATIENT_MS);
    if (isSame(some, seen)) return [];
    if (some.length === 1) return [{ bytes: some[0] as string, fast: seen[0], general: seen[1] }];
    const half = some.length >> 1;
    return [...(await this.#differing(some.slice(0, half))), ...(await this.#differing(some.slice(half)))];
  }

  #both(all: readonly string[], waitMs: number): Promise<[Seen, Seen]> {
    return Promise.all(this.#sides.map((side) => seenBy(side, all, waitMs))) as Promise<[Seen, Seen]>;
  }
}

/** node judges a framing field byte by byte, our reader the whole line: as long as that is not there it waits. */
function isJudgedEarly(sent: string): boolean {
  return /(^|\n)(content-length|transfer-encoding)[^\n]*$/i.test(sent);
}

async function seenBy(side: Side, all: readonly string[], waitMs: number): Promise<Seen> {
  await becomes(() => isQuiet(side));
  side.upstream.clear();
  const connections = await Promise.all(all.map((bytes) => ask(side, bytes, waitMs)));
  return { connections, requests: side.upstream.requests.map(said).sort(), faults: [...side.upstream.faults] };
}

/** Whoever gave up waiting has left, and what it asked for is no longer on its way. */
async function isQuiet({ ports }: Side): Promise<boolean> {
  const traffic = await (await fetch(`http://127.0.0.1:${ports.admin}/v1/traffic`)).text();
  return /"connections": ?0,\s*"inFlight": ?0/.test(traffic);
}

async function ask({ ports }: Side, bytes: string, waitMs: number): Promise<Answered> {
  const method = /^HEAD /.test(bytes) ? 'HEAD' : 'GET';
  const { responses, end } = await exchangeRaw(ports.inbound, bytes, { waitMs, method });
  return { end, answers: responses.map((each) => withoutIds(JSON.stringify(answered(each)))) };
}

function isSame(sent: readonly string[], [fast, general]: readonly [Seen, Seen]): boolean {
  return (
    JSON.stringify([fast.requests, fast.faults]) === JSON.stringify([general.requests, general.faults]) &&
    fast.connections.every((each, at) => isAnsweredAlike(each, general.connections[at] as Answered, sent[at] as string))
  );
}

/** A reset overtakes what was written before it (RFC 9112 §9.6): then one may have seen less than the other. */
function isAnsweredAlike(fast: Answered, general: Answered, sent: string): boolean {
  // node takes this for the beginning of HTTP/2, and ends the connection with a word or without.
  if (sent.includes('PRI ')) return true;
  if (fast.end !== general.end) return fast.end === 'open' && isJudgedEarly(sent);
  const seen = fast.end === 'reset' ? Math.min(fast.answers.length, general.answers.length) : Number.POSITIVE_INFINITY;
  return JSON.stringify(fast.answers.slice(0, seen)) === JSON.stringify(general.answers.slice(0, seen));
}

/** Ids are made anew for each request. */
function withoutIds(text: string): string {
  return text
    .replaceAll(AUTH.slice(AUTH.indexOf('Bearer')), 'token')
    .replaceAll(/00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]/g, 'trace')
    .replaceAll(/\b[0-9a-f]{32}\b/g, 'id');
}

function said({ method, target, fields, framing, body, trailers }: Recorded): string {
  // undici writes its own Host, in lower case; where Content-Length stands is the engine's own affair.
  const own = fields
    .filter(([name]) => !/^(connection|keep-alive|content-length)$/i.test(name))
    .map(([name, value]) => [name === 'host' ? 'Host' : name, value]);
  // Of methods without content undici leaves out a length of 0.
  const content = body === '' && framing === 'length' ? 'none' : framing;
  return withoutIds(JSON.stringify([method, target, own, content, body.length, trailers]));
}

/** Without what engines may say differently. node:http makes the head of a 103 in an order of its own. */
function answered({ status, headText, body, isWhole }: RawResponse): unknown[] {
  const lines = headText.split(NL).slice(1);
  const framing = lines.filter((each) => /^(content-length|transfer-encoding):/i.test(each));
  const fields = lines.filter((each) => !/^(date|connection|keep-alive|content-length|transfer-encoding):/i.test(each));
  return [status, status === 103 ? fields.length : fields, framing, isWhole, body];
}
