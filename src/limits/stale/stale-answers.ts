// hot path
/**
 * The rung `stale`: answers of the application are kept as they pass, and given again to who is over the limit. The only file of the folder
 * that knows of requests; what may be kept and given again is RFC 9111's to say (wire/caching.ts).
 *
 *   request ─ begin ─▶ a copy, where its answer may be kept          over the limit ─ find ─▶ answer, or the next rung
 *   head ─ see ─▶ what it is, or nothing      content ─▶ copy       end ─ keep ─▶ store
 *
 * Only tenants whose plan has the rung come here.
 */
import type { Exchange, Identified, KeptAnswer, Outcome, ResponseHead } from '../../pipeline/index.ts';
import type { HotCounters, Metrics } from '../../telemetry/index.ts';
import {
  ageOf,
  CacheWish,
  FIELDS_OF_304,
  HeaderList,
  type Headers,
  isUnchanged,
  lifeOf,
  mayKeepFor,
  PLACE_FIELDS,
  variationsOf,
} from '../../wire/index.ts';
import type { Answer } from './answer.ts';
import { AnswerCopy, type CopyRoom } from './answer-copy.ts';
import { AnswerStore } from './answer-store.ts';

/** What was kept this lately is not copied again: of what is asked for a thousand times a second, one copy a second is enough. */
const FRESH_COPY_MS = 1000;
/** RFC 9110 §9.2.1. What another method does well may change what is kept. */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
/** The answer of now, whatever it is, stands for the place: an earlier one may not be given any more. */
const SETTLED: ReadonlySet<number> = new Set([
  200, 203, 204, 300, 301, 302, 303, 307, 308, 401, 403, 404, 405, 410, 451,
]);
/** Fields about the way, the framing or one request alone. */
const UNKEPT_FIELDS: ReadonlySet<string> = new Set([
  'age',
  'content-length',
  'x-request-id',
  'server-timing',
  'traceparent',
  'tracestate',
  'traceresponse',
  'ratelimit',
  'ratelimit-policy',
]);
const NO_CONTENT = Buffer.alloc(0);

export class StaleAnswers {
  readonly #store: AnswerStore;
  readonly #room: CopyRoom = { bytes: 0 };
  readonly #lookups: HotCounters;
  readonly #copies: HotCounters;
  /** Whom `#suits` is asked for. */
  #x: Identified | undefined;
  #asked = '';

  constructor(metrics: Metrics, store: AnswerStore = new AnswerStore()) {
    this.#store = store;
    this.#lookups = metrics.counters({
      name: 'reeve_stale_lookups_total',
      help: 'Requests over their limit that came to the rung stale, by whether there was an answer for them.',
      labels: { result: ['hit', 'miss'] },
    });
    this.#copies = metrics.counters({
      name: 'reeve_stale_copies_total',
      help: 'Answers that might be kept for the rung stale; given up are those longer than 64 KiB, and those without room.',
      labels: { result: ['kept', 'given_up'] },
    });
    metrics.gauge({
      name: 'reeve_stale_answers',
      help: 'Answers kept for the rung stale.',
      read: () => store.answers,
    });
    metrics.gauge({ name: 'reeve_stale_bytes', help: 'Memory of these answers.', read: () => store.bytes });
  }

  /** Of one tenant. */
  sizeOf(tenant: string): { readonly answers: number; readonly bytes: number } {
    return this.#store.sizeOf(tenant);
  }

  forget(tenant: string): void {
    this.#store.forget(tenant);
  }

  /** Before the decision: where the answer may be kept, and is not new enough, a copy is begun. */
  begin(x: Identified, now: number): void {
    if (!x.isWhole || !mayKeepFor(x.method, x.headers)) return;
    const place = placeOf(x);
    const known = this.#answerFor(x, place, askedOf(x));
    if (known === undefined || now - known.at >= FRESH_COPY_MS) x.copy = new AnswerCopy(this.#room, place, this.#asked);
  }

  /** For who is over the limit. `staleMsMax`: how long past its freshness, ms. */
  find(x: Identified, staleMsMax: number, now: number): KeptAnswer | undefined {
    const found = x.isWhole ? this.#usable(x, staleMsMax, now) : undefined;
    this.#lookups.add(this.#lookups.index(found === undefined ? 'miss' : 'hit'));
    return found;
  }

  /** The head of what the application answered, before we add to it. */
  see(x: Identified, { status, headers }: ResponseHead, now: number, wallMs: number): void {
    if (!SAFE.has(x.method) && status < 400) this.#store.drop(x.tenant.id, placeOf(x));
    const copy = x.copy as AnswerCopy | undefined;
    if (copy === undefined) return;
    const head = x.grant?.decision === 'degrade' ? undefined : headOf(x, copy, { status, headers }, now, wallMs);
    if (head !== undefined) {
      const length = headers.only('content-length');
      copy.begin(head, typeof length === 'string' ? Number(length) : undefined);
      return;
    }
    copy.giveUp();
    x.copy = undefined;
    if (SETTLED.has(status) && x.grant?.decision !== 'degrade') this.#store.drop(x.tenant.id, copy.place);
  }

  /** The end of an exchange with a copy. `isTenantThere`: it is the one that it was when the exchange began. */
  end(x: Identified, outcome: Outcome, isTenantThere: boolean): void {
    const copy = x.copy as AnswerCopy;
    x.copy = undefined;
    if (outcome.kind !== 'forwarded' || !isTenantThere) return copy.giveUp();
    const answer = copy.end();
    const isKept = answer !== undefined && this.#store.keep(x.tenant.id, copy.place, answer);
    this.#copies.add(this.#copies.index(isKept ? 'kept' : 'given_up'));
  }

  #usable(x: Identified, staleMsMax: number, now: number): KeptAnswer | undefined {
    const wish = new CacheWish(x.method, x.headers);
    const answer = this.#answerFor(x, placeOf(x), askedOf(x));
    if (answer === undefined) return undefined;
    const ageSec = answer.ageSec + (now - answer.at) / 1000;
    return wish.accepts(answer.life, ageSec, staleMsMax / 1000) ? given(answer, x, ageSec) : undefined;
  }

  #answerFor(x: Identified, place: string, asked: string): Answer | undefined {
    this.#x = x;
    this.#asked = asked;
    const found = this.#store.find(x.tenant.id, place, this.#suits);
    this.#x = undefined;
    return found;
  }

  readonly #suits = ({ variations, chosenBy }: Answer): boolean =>
    chosenBy === choiceOf(this.#asked, (this.#x as Identified).headers, variations);
}

/** Host, port and target: with the tenant, what an answer is found by. */
function placeOf({ host, port, target }: Exchange): string {
  return `${host}:${port}${target}`;
}

/** What else the application is told of the place, and of the tenant's plan: each is another answer. */
function askedOf({ tenant, headers }: Identified): string {
  let asked: string = tenant.plan.name;
  for (const name of PLACE_FIELDS) if (headers.has(name)) asked += `\n${name}=${headers.all(name).join()}`;
  return asked;
}

/** What the request says in the fields that the answer varies with. No value has a line's end in it. */
function choiceOf(asked: string, headers: Headers, variations: readonly string[]): string {
  let choice = asked;
  for (const name of variations) choice += headers.has(name) ? `\n=${headers.all(name).join()}` : '\n';
  return choice;
}

/**
 * Who is behind a request, beside its tenant: whoever sends a credential that the application sees, or comes by one that names somebody. RFC 9111
 * §3.5 speaks of Authorization alone; a cookie or a key is no less a user's.
 */
function isPersonal({ source, headers }: Exchange): boolean {
  return (source !== 'host' && source !== 'path') || headers.has('authorization') || headers.has('cookie');
}

/** What is to be kept of an answer beside its content; undefined when it is not. */
function headOf(
  x: Identified,
  { asked }: AnswerCopy,
  { status, headers }: ResponseHead,
  now: number,
  wallMs: number,
): Omit<Answer, 'content'> | undefined {
  const life = lifeOf(status, headers, isPersonal(x));
  const variations = life && variationsOf(headers);
  // Told otherwise than others are told: what it then says is not for them.
  if (variations === undefined || life === undefined || tellsMore(x, variations)) return undefined;
  const ageSec = ageOf(headers, wallMs, (x.headAt - (x.sentAt || x.admittedAt)) / 1000);
  const restSec = life.freshSec + Math.min(life.staleSec, x.tenant.plan.staleMsMax / 1000) - ageSec;
  if (restSec <= 0) return undefined;
  const fields = new HeaderList([...headers.raw]);
  fields.removeWhere((name) => UNKEPT_FIELDS.has(name));
  // RFC 9110 §6.6.1: who keeps it says when it came.
  if (!fields.has('date')) fields.append('Date', new Date(wallMs).toUTCString());
  const chosenBy = choiceOf(asked, x.headers, variations);
  return { status, fields, variations, chosenBy, life, ageSec, at: now, until: now + restSec * 1000 };
}

/** Whether the answer varies with a field that a stage of ours told the application. */
function tellsMore({ injected }: Exchange, variations: readonly string[]): boolean {
  return variations.length > 0 && injected.some((name, at) => at % 2 === 0 && variations.includes(name));
}

/** As it leaves; Cache-Status is RFC 9211's. */
function given({ status, fields, content, life }: Answer, x: Exchange, ageSec: number): KeptAnswer {
  const isSame = status === 200 && isUnchanged(x.headers, fields);
  const copy = new HeaderList([...fields.raw]);
  if (isSame) copy.removeWhere((name) => !FIELDS_OF_304.has(name));
  copy.append('Age', String(Math.floor(ageSec)));
  copy.append('Cache-Status', `reeve; hit; ttl=${Math.floor(life.freshSec - ageSec)}`);
  return isSame ? { status: 304, fields: copy.raw, content: NO_CONTENT } : { status, fields: copy.raw, content };
}
