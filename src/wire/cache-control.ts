/**
 * The directives of Cache-Control (RFC 9111 §5.2): names in any case, arguments as a token or in quotes, in one field or several.
 *
 *   Public, max-age="60", no-cache="X-A, X-B"  ─▶  public ─ '', max-age ─ '60', no-cache ─ 'X-A, X-B'
 */
import type { Headers } from './headers.ts';

export class Directives {
  readonly #arguments = new Map<string, string>();

  constructor(headers: Pick<Headers, 'all'>) {
    // Fields of one name are one list (RFC 9110 §5.3).
    const text = headers.all('cache-control').join(',');
    let from = 0;
    while (from < text.length) {
      const to = endOfMember(text, from);
      this.#add(text.slice(from, to));
      from = to + 1;
    }
  }

  get isEmpty(): boolean {
    return this.#arguments.size === 0;
  }

  has(name: string): boolean {
    return this.#arguments.has(name);
  }

  /** Whether it stands there without an argument. */
  isBare(name: string): boolean {
    return this.#arguments.get(name) === '';
  }

  /** Undefined where it is not there; what is no number of seconds is 0, the cautious reading of each (RFC 9111 §4.2.1). */
  seconds(name: string): number | undefined {
    const text = this.#arguments.get(name);
    if (text === undefined) return undefined;
    return /^\d+$/.test(text) ? Math.min(Number(text), SECONDS_MAX) : 0;
  }

  #add(member: string): void {
    const equals = member.indexOf('=');
    const name = (equals === -1 ? member : member.slice(0, equals)).trim().toLowerCase();
    // The first of its name counts (RFC 9111 §4.2.1).
    if (name === '' || this.#arguments.has(name)) return;
    this.#arguments.set(name, equals === -1 ? '' : unquoted(member.slice(equals + 1).trim()));
  }
}

/** RFC 9111 §1.2.2: what is more is this much, 68 years. */
const SECONDS_MAX = 2 ** 31;
const QUOTE = 34;
const BACKSLASH = 92;
const COMMA = 44;

/** A comma in quotes ends nothing (RFC 9110 §5.6.4); quotes that nobody closes reach to the end. */
function endOfMember(text: string, from: number): number {
  let isQuoted = false;
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) isQuoted = !isQuoted;
    else if (isQuoted && code === BACKSLASH) at++;
    else if (!isQuoted && code === COMMA) return at;
  }
  return text.length;
}

function unquoted(text: string): string {
  return text.startsWith('"') ? text.slice(1, text.endsWith('"') ? -1 : undefined).replaceAll(/\\(.)/g, '$1') : text;
}
