/**
 * Messages as they might arrive: generated from the grammar, then damaged. The damage is that which has made servers disagree: a byte
 * gone, changed or put in; a field line twice or elsewhere; a message cut, or joined to another. Case n of a seed is always the same.
 */

/** A small generator of our own (mulberry32): 5,000,000 cases would wait for a larger one. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to below `sides`. */
  below(sides: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides;
  }

  /** True once in `sides`. */
  once(sides: number): boolean {
    return this.below(sides) === 0;
  }

  of<T>(all: readonly T[]): T {
    return all[this.below(all.length)] as T;
  }
}

/** The dice of case `index` of `seed`. */
export function diceOf(seed: number, index: number): Dice {
  return new Dice(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
}

const METHODS = 'GET POST PUT DELETE PATCH HEAD OPTIONS PROPFIND QUERY M-SEARCH TRACE get PRI'.split(' ');
const TARGETS = [
  ...['/', '/a', '/a/b?c=d', '/?', '//x/y', '/%00%zz', '/a?b?c', '/[x]{y}|z', '/\\..', '/a;b', '/;', '/"<>^`'],
  ...['*', 'http://b.example/x', 'https://b?q', 'b:80', 'x', '/#f', '/a b', '/\xe9', ''],
];
const HOSTS = [
  'a.example',
  'A.example:8080',
  '10.0.0.1:80',
  'a_b',
  'a.',
  '[::1]:80',
  '',
  'a:',
  'a:99999',
  'a,b',
  'u@a',
  'a/b',
];
/** Sound ones come more often than the others, or little would be boring. */
const FIELDS = [
  ...['Accept: */*', 'X-Id: 1', 'x_y: 2', 'Cookie: a=b; c=d', 'Via: 1.1 x', 'A:', 'A: ', 'A:b', 'User-Agent: x (y; z)'],
  ...[
    'Authorization: Bearer abc.def-_',
    'X-Tenant-Id: acme',
    'Traceparent: 00-1-2-01',
    'B: \xe9\xff',
    'C: a\tb',
    '__proto__: x',
  ],
  ...['Accept: */*', 'X-Id: 1', 'Cookie: a=b; c=d', 'Connection: keep-alive', 'Connection: close', 'Content-Type: a/b'],
  ...[
    'Connection: Keep-Alive, x-id',
    'Connection: upgrade',
    'Connection: close, te',
    'Connection:',
    'Keep-Alive: timeout=5',
  ],
  ...[
    'D:  a',
    'D:\ta',
    'D: a ',
    'D: a\t',
    'D: a\r\n b',
    'E : a',
    ' F: a',
    'G',
    ': h',
    'I\0: j',
    'K: \0',
    'L: \x7f',
    'M: a\nN: b',
  ],
  ...[
    'Upgrade: websocket',
    'Expect: 100-continue',
    'TE: trailers',
    'Trailer: x',
    'Proxy-Connection: close',
    'HTTP2-Settings: a',
  ],
];
const FRAMINGS = [
  ...[
    'Content-Length: 5',
    'Content-Length: 0',
    'content-length:5',
    'Content-Length: 05',
    'Content-Length: 3',
    'Content-Length: 7',
  ],
  ...[
    'Content-Length: +5',
    'Content-Length: 5, 5',
    'Content-Length: 5 ',
    'Content-Length : 5',
    'Content_Length: 5',
    'Content-Length:',
  ],
  ...['Content-Length: 99999999999999999999', 'Content-Length: 0x5', 'Content-Length: 999999999999999'],
  ...[
    'Transfer-Encoding: chunked',
    'transfer-encoding:CHUNKED',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: gzip, chunked',
  ],
  ...[
    'Transfer-Encoding: ,chunked',
    'Transfer-Encoding: identity',
    'Transfer-Encoding: chunked ',
    'Transfer-Encoding:\tchunked',
  ],
];
const CHUNKED_BODIES = [
  ...[
    '5\r\nhello\r\n0\r\n\r\n',
    '0\r\n\r\n',
    'a\r\n0123456789\r\n00\r\n\r\n',
    '1;a=b\r\nx\r\n0;c\r\n\r\n',
    '3\r\n\r\n\r\r\n0\r\n\r\n',
  ],
  ...[
    '1\r\nx\r\n0\r\nX-Sum: 1\r\nY:2\r\n\r\n',
    '1;a="b"\r\nx\r\n0\r\n\r\n',
    '1 \r\nx\r\n0\r\n\r\n',
    '0x1\r\nx\r\n0\r\n\r\n',
    '1\nx\n0\n\n',
  ],
  ...[
    'F\r\n0123456789abcde\r\n0\r\n\r\n',
    '1\r\nx\r\n1\r\ny\r\n0\r\n\r\n',
    '0\r\nA: b\r\n c\r\n\r\n',
    '1;\r\nx\r\n0\r\n\r\n',
    '2\r\nx\r\n0\r\n\r\n',
  ],
];
const STATUSES = [
  '200 OK',
  '201 Made',
  '204 No Content',
  '304 Not Modified',
  '404 x',
  '500',
  '503 ',
  '205 Reset',
  '299 \xe9',
  '100 Continue',
  '103 Early Hints',
  '101 x',
  '099 x',
  '600 x',
  '20 x',
];
/** What is put in or put in place of a byte: what ends, folds, hides or splits. */
const BYTES = [
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  ' ',
  '\t',
  ':',
  '\0',
  '\x0b',
  '\x7f',
  '\xa0',
  '\xff',
  ',',
  ';',
  '#',
  '/',
  '?',
  '_',
  '0',
  '1',
  'x',
  'chunked',
  'close',
  '\r\n ',
];

/** One request, or several on one connection; damaged three times out of four. */
export function requestCase(dice: Dice): Buffer {
  let text = request(dice);
  while (dice.once(3)) text += request(dice);
  return damaged(text, dice, request);
}

/** One response, with whatever came before and behind it. */
export function responseCase(dice: Dice): Buffer {
  let text = response(dice);
  if (dice.once(6)) text = `HTTP/1.1 ${dice.of(['100 Continue', '103 Early Hints'])}\r\nLink: </a>\r\n\r\n${text}`;
  if (dice.once(6)) text += response(dice);
  return damaged(text, dice, response);
}

function request(dice: Dice): string {
  const isPlain = !dice.once(3);
  const lines = [`Host: ${isPlain ? dice.of(HOSTS.slice(0, 4)) : dice.of(HOSTS)}`];
  for (let fields = dice.below(6); fields > 0; fields--) lines.push(dice.of(isPlain ? FIELDS.slice(0, 21) : FIELDS));
  let method = dice.of(isPlain ? METHODS.slice(0, 10) : METHODS);
  let body = '';
  if (dice.once(2)) {
    if (isPlain) method = dice.of(['POST', 'PUT', 'PATCH']);
    const framing = dice.of(isPlain ? FRAMINGS.slice(0, 4) : FRAMINGS);
    lines.push(framing);
    body =
      framing.includes('hunked') || framing.includes('HUNK')
        ? dice.of(CHUNKED_BODIES)
        : 'hello'.slice(0, framing.endsWith('0') ? 0 : 5);
  }
  const version = isPlain || !dice.once(3) ? 'HTTP/1.1' : dice.of(['HTTP/1.0', 'HTTP/2.0', 'HTTP/1.2', '', 'http/1.1']);
  const target = dice.of(isPlain ? TARGETS.slice(0, 12) : TARGETS);
  return `${method} ${target} ${version}\r\n${shuffled(lines, dice).join('\r\n')}\r\n\r\n${body}`;
}

function response(dice: Dice): string {
  const isPlain = !dice.once(3);
  const lines: string[] = [];
  for (let fields = dice.below(6); fields > 0; fields--) lines.push(dice.of(isPlain ? FIELDS.slice(0, 21) : FIELDS));
  let body = dice.once(2) ? 'hello' : '';
  if (!dice.once(3)) {
    const framing = dice.of(isPlain ? [...FRAMINGS.slice(0, 4), ...FRAMINGS.slice(15, 18)] : FRAMINGS);
    lines.push(framing);
    body =
      framing.includes('hunked') || framing.includes('HUNK')
        ? dice.of(CHUNKED_BODIES)
        : 'hello'.slice(0, framing.endsWith('0') ? 0 : 5);
  }
  const status = dice.of(isPlain ? STATUSES.slice(0, 9) : STATUSES);
  const version =
    isPlain || !dice.once(3)
      ? dice.of(['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0'])
      : dice.of(['HTTP/2.0', 'HTTP/1.2', '', 'http/1.1']);
  return `${version} ${status}\r\n${shuffled(lines, dice)
    .map((each) => `${each}\r\n`)
    .join('')}\r\n${body}`;
}

function shuffled(lines: string[], dice: Dice): string[] {
  for (let i = lines.length - 1; i > 0; i--) {
    const j = dice.below(i + 1);
    [lines[i], lines[j]] = [lines[j] as string, lines[i] as string];
  }
  return lines;
}

function damaged(whole: string, dice: Dice, another: (dice: Dice) => string): Buffer {
  let text = whole;
  for (let times = dice.below(4); times > 0; times--) text = damage(text, dice, another);
  return Buffer.from(text, 'latin1');
}

function damage(text: string, dice: Dice, another: (dice: Dice) => string): string {
  const at = dice.below(text.length + 1);
  const lines = text.split('\r\n');
  const line = dice.below(lines.length);
  switch (dice.below(10)) {
    case 0:
      return text.slice(0, at) + text.slice(at + 1 + (dice.once(4) ? dice.below(8) : 0));
    case 1:
      return text.slice(0, at) + String.fromCharCode(dice.below(256)) + text.slice(at + 1);
    case 2:
      return text.slice(0, at) + dice.of(BYTES) + text.slice(at + 1);
    case 3:
      return text.slice(0, at) + dice.of(BYTES) + text.slice(at);
    case 4:
      lines.splice(dice.below(lines.length), 0, lines[line] as string);
      return lines.join('\r\n');
    case 5:
      lines.splice(dice.below(lines.length), 0, ...lines.splice(line, 1));
      return lines.join('\r\n');
    case 6:
      lines.splice(line, 0, dice.of(dice.once(2) ? FIELDS : FRAMINGS));
      return lines.join('\r\n');
    case 7:
      return dice.once(2) ? text.slice(0, at) : text.slice(at);
    case 8:
      return text.slice(0, at) + another(dice) + text.slice(at);
    default:
      return text.slice(0, at) + swapCase(text.slice(at, at + 1 + dice.below(12))) + text.slice(at + 12);
  }
}

function swapCase(text: string): string {
  const upper = text.toUpperCase();
  return upper === text ? text.toLowerCase() : upper;
}
