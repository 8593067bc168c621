/** Named payloads that servers have read in two ways. `marker` is a path that only this payload uses, and hides where it can. */

export interface Payload {
  readonly name: string;
  readonly marker: string;
  bytes(authorization: string): string;
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH'] as const;
const NL = '\r\n';

/** Fields that make a body's end doubtful; `%B` is where a body that hides a request follows. */
const FRAMINGS: readonly (readonly [string, string, string])[] = [
  ['CL and TE', `Content-Length: 4${NL}Transfer-Encoding: chunked`, 'chunk'],
  ['TE and CL', `Transfer-Encoding: chunked${NL}Content-Length: 4`, 'chunk'],
  ['two CL that agree', `Content-Length: 5${NL}Content-Length: 5`, 'raw'],
  ['two CL that differ', `Content-Length: 0${NL}Content-Length: 44`, 'raw'],
  ['CL list', 'Content-Length: 5, 5', 'raw'],
  ['CL with plus', 'Content-Length: +5', 'raw'],
  ['CL with minus', 'Content-Length: -1', 'raw'],
  ['CL in hex', 'Content-Length: 0x5', 'raw'],
  ['CL with space inside', 'Content-Length: 1 2', 'raw'],
  ['CL with underscore', 'Content-Length: 1_0', 'raw'],
  ['CL empty', 'Content-Length:', 'raw'],
  ['CL huge', 'Content-Length: 99999999999999999999', 'raw'],
  ['CL with leading zeros', 'Content-Length: 0000000000000005', 'raw'],
  ['CL with a tab', 'Content-Length:\t5', 'raw'],
  ['CL by underscore name', `Content_Length: 44`, 'raw'],
  ['CL with space before colon', 'Content-Length : 44', 'raw'],
  ['CL folded', `Content-Length:${NL} 44`, 'raw'],
  ['CL nominated', `Content-Length: 5${NL}Connection: content-length`, 'raw'],
  ['TE nominated', `Transfer-Encoding: chunked${NL}Connection: transfer-encoding`, 'chunk'],
  ['TE upper case', 'Transfer-Encoding: CHUNKED', 'chunk'],
  ['TE chunked twice', 'Transfer-Encoding: chunked, chunked', 'chunk'],
  ['TE two fields', `Transfer-Encoding: chunked${NL}Transfer-Encoding: chunked`, 'chunk'],
  ['TE identity', 'Transfer-Encoding: identity', 'chunk'],
  ['TE chunked then identity', `Transfer-Encoding: chunked${NL}Transfer-Encoding: identity`, 'chunk'],
  ['TE gzip, chunked', 'Transfer-Encoding: gzip, chunked', 'chunk'],
  ['TE comma chunked', 'Transfer-Encoding: ,chunked', 'chunk'],
  ['TE chunked comma', 'Transfer-Encoding: chunked,', 'chunk'],
  ['TE quoted', 'Transfer-Encoding: "chunked"', 'chunk'],
  ['TE xchunked', 'Transfer-Encoding: xchunked', 'chunk'],
  ['TE chunked;q=1', 'Transfer-Encoding: chunked;q=1', 'chunk'],
  ['TE space before colon', 'Transfer-Encoding : chunked', 'chunk'],
  ['TE tab before colon', 'Transfer-Encoding\t: chunked', 'chunk'],
  ['TE folded', `Transfer-Encoding:${NL} chunked`, 'chunk'],
  ['TE vertical tab', 'Transfer-Encoding: \x0bchunked', 'chunk'],
  ['TE with NUL', 'Transfer-Encoding: chunked\0', 'chunk'],
  ['TE with CR', 'Transfer-Encoding: chunked\r', 'chunk'],
  ['TE by underscore name', 'Transfer_Encoding: chunked', 'chunk'],
  ['TE behind bare LF', 'X: y\nTransfer-Encoding: chunked', 'chunk'],
  ['TE behind bare CR', 'X: y\rTransfer-Encoding: chunked', 'chunk'],
  ['TE with obs-text', 'Transfer-Encoding: chunked\xa0', 'chunk'],
];

/** Chunked bodies, sound and not; a request stands behind what some take for the end. */
const CHUNKS: readonly (readonly [string, (hidden: string) => string])[] = [
  ['sound', (hidden) => `0${NL}${NL}${hidden}`],
  ['sound with content', (hidden) => `3${NL}abc${NL}0${NL}${NL}${hidden}`],
  ['extension', (hidden) => `3;x=1${NL}abc${NL}0${NL}${NL}${hidden}`],
  ['extension with LF', (hidden) => `3;x\n${hidden.length}${NL}abc${NL}0${NL}${NL}`],
  ['extension with CR', (hidden) => `3;\rx${NL}abc${NL}0${NL}${NL}${hidden}`],
  ['size with 0x', (hidden) => `0x3${NL}abc${NL}0${NL}${NL}${hidden}`],
  ['size with plus', (hidden) => `+3${NL}abc${NL}0${NL}${NL}${hidden}`],
  ['size with space before', (hidden) => ` 3${NL}abc${NL}0${NL}${NL}${hidden}`],
  ['size with space behind', (hidden) => `3 ${NL}abc${NL}0${NL}${NL}${hidden}`],
  ['size with underscore', (hidden) => `1_0${NL}abc${NL}0${NL}${NL}${hidden}`],
  ['size overflow', (hidden) => `10000000000000003${NL}abc${NL}0${NL}${NL}${hidden}`],
  ['size empty', (hidden) => `${NL}abc${NL}0${NL}${NL}${hidden}`],
  ['size negative', (hidden) => `-3${NL}abc${NL}0${NL}${NL}${hidden}`],
  ['bare LF behind size', (hidden) => `3\nabc${NL}0${NL}${NL}${hidden}`],
  ['bare LF behind data', (hidden) => `3${NL}abc\n0${NL}${NL}${hidden}`],
  ['bare LF at the end', (hidden) => `0\n\n${hidden}`],
  ['no CRLF behind data', (hidden) => `3${NL}abcX0${NL}${NL}${hidden}`],
  ['too much data', (hidden) => `3${NL}abcdef${NL}0${NL}${NL}${hidden}`],
  ['trailer', (hidden) => `0${NL}X-T: 1${NL}${NL}${hidden}`],
  ['trailer with Content-Length', (hidden) => `0${NL}Content-Length: 44${NL}${NL}${hidden}`],
  ['trailer with Host', (hidden) => `0${NL}Host: other${NL}${NL}${hidden}`],
  ['trailer folded', (hidden) => `0${NL}X: 1${NL} y${NL}${NL}${hidden}`],
  ['many zeros', (hidden) => `0000000${NL}${NL}${hidden}`],
];

const LINES: readonly (readonly [string, (path: string) => string])[] = [
  ['HTTP/0.9', (path) => `GET ${path}`],
  ['HTTP/1.2', (path) => `GET ${path} HTTP/1.2`],
  ['HTTP/2.0', (path) => `GET ${path} HTTP/2.0`],
  ['HTTP/1', (path) => `GET ${path} HTTP/1`],
  ['http/1.1', (path) => `GET ${path} http/1.1`],
  ['HTTP/1.10', (path) => `GET ${path} HTTP/1.10`],
  ['two spaces', (path) => `GET  ${path} HTTP/1.1`],
  ['tab', (path) => `GET\t${path}\tHTTP/1.1`],
  ['leading space', (path) => ` GET ${path} HTTP/1.1`],
  ['leading CRLF', (path) => `${NL}GET ${path} HTTP/1.1`],
  ['leading LF', (path) => `\nGET ${path} HTTP/1.1`],
  ['space in target', (path) => `GET ${path} x HTTP/1.1`],
  ['fragment', (path) => `GET ${path}#f HTTP/1.1`],
  ['control in target', (path) => `GET ${path}\x01 HTTP/1.1`],
  ['obs-text in target', (path) => `GET ${path}\xe9 HTTP/1.1`],
  ['backslash', (path) => `GET \\${path} HTTP/1.1`],
  ['absolute', (path) => `GET http://other${path} HTTP/1.1`],
  ['absolute with user', (path) => `GET http://a@other${path} HTTP/1.1`],
  ['absolute broken', () => 'GET http://[::1/ HTTP/1.1'],
  ['absolute ftp', (path) => `GET ftp://x${path} HTTP/1.1`],
  ['authority', () => 'GET other:80 HTTP/1.1'],
  ['CONNECT', () => 'CONNECT other:80 HTTP/1.1'],
  ['TRACE', (path) => `TRACE ${path} HTTP/1.1`],
  ['asterisk', () => 'GET * HTTP/1.1'],
  ['lower-case method', (path) => `get ${path} HTTP/1.1`],
  ['method with colon', (path) => `GE:T ${path} HTTP/1.1`],
];

const HOSTS: readonly (readonly [string, string])[] = [
  ['none', ''],
  ['empty', `Host:${NL}`],
  ['two', `Host: a${NL}Host: b${NL}`],
  ['two equal', `Host: a${NL}Host: a${NL}`],
  ['list', `Host: a, b${NL}`],
  ['user', `Host: u@a${NL}`],
  ['path', `Host: a/b${NL}`],
  ['port letters', `Host: a:8x${NL}`],
  ['port large', `Host: a:99999${NL}`],
  ['space', `Host: a b${NL}`],
  ['brackets', `Host: [::1${NL}`],
  ['space before colon', `Host : a${NL}`],
  ['folded', `Host:${NL} a${NL}`],
  ['by underscore', `Host: a${NL}X_Host: b${NL}`],
  ['nominated', `Host: a${NL}Connection: host${NL}`],
];

const NOMINATED = [
  'content-length',
  'transfer-encoding',
  'host',
  'authorization',
  'x-tenant-id',
  'X_TENANT_ID',
  'txn-token',
  'x-forwarded-for',
  'traceparent',
  'x-request-id',
  'cookie',
  'expect',
  'te',
  'close, x-tenant-plan',
  'keep-alive, x-reeve-x',
];

export function payloads(): Payload[] {
  const all: Payload[] = [];
  const add = (name: string, make: (path: string, hidden: string, authorization: string) => string): void => {
    const marker = `/m${all.length}.`;
    const path = `${marker}visible`;
    all.push({
      name,
      marker,
      bytes: (authorization) => make(path, `GET ${marker}hidden HTTP/1.1${NL}Host: hidden${NL}${NL}`, authorization),
    });
  };
  for (const method of METHODS) {
    for (const [name, fields, kind] of FRAMINGS) {
      for (const keep of ['keep-alive', 'close']) {
        add(
          `${name}, ${method}, ${keep}`,
          (path, hidden, auth) =>
            `${method} ${path} HTTP/1.1${NL}Host: a${NL}${auth}${NL}Connection: ${keep}${NL}${fields}${NL}${NL}${kind === 'chunk' ? `0${NL}${NL}` : 'abcde'}${hidden}`,
        );
      }
    }
    for (const [name, body] of CHUNKS) {
      add(
        `chunked ${name}, ${method}`,
        (path, hidden, auth) =>
          `${method} ${path} HTTP/1.1${NL}Host: a${NL}${auth}${NL}Transfer-Encoding: chunked${NL}${NL}${body(hidden)}`,
      );
      add(
        `hidden in a chunked body ${name}, ${method}`,
        (path, hidden, auth) =>
          `${method} ${path} HTTP/1.1${NL}Host: a${NL}${auth}${NL}Transfer-Encoding: chunked${NL}${NL}${hidden.length.toString(16)}${NL}${hidden}${NL}${body('')}`,
      );
    }
    add(
      `hidden in a body by length, ${method}`,
      (path, hidden, auth) =>
        `${method} ${path} HTTP/1.1${NL}Host: a${NL}${auth}${NL}Content-Length: ${hidden.length}${NL}${NL}${hidden}`,
    );
    add(
      `TE in HTTP/1.0, ${method}`,
      (path, hidden, auth) =>
        `${method} ${path} HTTP/1.0${NL}Host: a${NL}${auth}${NL}Connection: keep-alive${NL}Transfer-Encoding: chunked${NL}${NL}0${NL}${NL}${hidden}`,
    );
  }
  for (const [name, line] of LINES)
    add(`line: ${name}`, (path, hidden, auth) => `${line(path)}${NL}Host: a${NL}${auth}${NL}${NL}${hidden}`);
  for (const [name, host] of HOSTS)
    add(`Host: ${name}`, (path, hidden, auth) => `GET ${path} HTTP/1.1${NL}${host}${auth}${NL}${NL}${hidden}`);
  for (const name of NOMINATED)
    add(
      `nominated: ${name}`,
      (path, hidden, auth) =>
        `POST ${path} HTTP/1.1${NL}Host: a${NL}${auth}${NL}Connection: ${name}${NL}Content-Length: ${hidden.length}${NL}${NL}${hidden}`,
    );
  for (let byte = 0; byte < 256; byte++) {
    const char = String.fromCharCode(byte);
    add(
      `byte ${byte} in a name`,
      (path, hidden, auth) => `GET ${path} HTTP/1.1${NL}Host: a${NL}${auth}${NL}X${char}Y: 1${NL}${NL}${hidden}`,
    );
    add(
      `byte ${byte} in a value`,
      (path, hidden, auth) =>
        `GET ${path} HTTP/1.1${NL}Host: a${NL}${auth}${NL}X: a${char}Content-Length: 30${NL}${NL}${hidden}`,
    );
  }
  for (const count of [99, 101, 500, 1100]) {
    for (const last of ['Transfer-Encoding: chunked', 'Content-Length: 44', 'X-Tenant-Id: globex']) {
      add(
        `${count} fields, then ${last}`,
        (path, hidden, auth) =>
          `POST ${path} HTTP/1.1${NL}Host: a${NL}${auth}${NL}${`a: b${NL}`.repeat(count)}${last}${NL}${NL}0${NL}${NL}${hidden}`,
      );
    }
  }
  return all;
}
