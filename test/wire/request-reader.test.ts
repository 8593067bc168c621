import { METHODS } from 'node:http';
import fc from 'fast-check';
import t from 'tap';
import { FieldTable, knownId, RequestReader, SUSPECT } from '../../src/wire/index.ts';
import { cutsThatDiffer, readCut, wire } from '../helpers/pieces.ts';

const BOUNDS = { headersMax: 20, headBytesMax: 1000, targetBytesMax: 100 };
const HOST = 'Host: a.example:80\r\n';
const reader = new RequestReader(BOUNDS);
const head = (fields: string, line = 'GET /p?q HTTP/1.1'): string => `${line}\r\n${fields}\r\n`;
const judge = (text: string): string => reader.read(wire(text), 0, text.length);

t.test('every method that node reads is boring, but those that mean something else to a proxy', async (t) => {
  for (const method of METHODS) {
    const isOther = ['CONNECT', 'TRACE'].includes(method);
    t.equal(judge(head(HOST, `${method} / HTTP/1.1`)), isOther ? 'other' : 'boring', method);
    if (!isOther) t.equal(reader.method, method);
  }
});

t.test('a boring head is taken apart', async (t) => {
  const text = head(
    `Accept: */*\r\nHOST: A.Example:8080\r\nX-Org:\r\nx_y: 1\r\nContent-length: 0012\r\nConnection: Keep-Alive\r\naccept: b\xe9\tc\r\n`,
    'POST /a/b?c?d/ HTTP/1.1',
  );
  const bytes = wire(`junk${text}body and more`);
  t.equal(reader.read(bytes, 4, bytes.length), 'boring');
  const { fields } = reader;
  t.same(
    [reader.method, reader.target(), reader.path(), reader.host(), reader.authority()],
    ['POST', '/a/b?c?d/', '/a/b', 'a.example', 'A.Example:8080'],
  );
  t.same(
    [reader.targetFrom, reader.pathTo, reader.targetTo, reader.headBytes, reader.contentLength, reader.keepAlive],
    [5, 9, 14, text.length, 12, true],
  );
  t.same(fields.pairs(false), [
    ...['Accept', '*/*', 'HOST', 'A.Example:8080', 'X-Org', '', 'x_y', '1', 'Content-length', '0012'],
    ...['Connection', 'Keep-Alive', 'accept', 'b\xe9\tc'],
  ]);
  t.same(fields.pairs(true), ['Accept', '*/*', 'X-Org', '', 'x_y', '1', 'accept', 'b\xe9\tc']);
  t.same([...fields.kinds.subarray(0, 7)], [0, knownId('host'), SUSPECT, SUSPECT, 13, knownId('connection'), 0]);
  t.same([fields.first(knownId('host')), fields.first(knownId('via')), fields.hasSuspect], [1, -1, true]);
  t.same(
    [
      fields.find(wire('accept')),
      fields.find(wire('accept'), 1),
      fields.find(wire('accept'), 7),
      fields.find(wire('x')),
    ],
    [0, 6, -1, -1],
  );
  fields.drop(0);
  t.same(fields.pairs(true), ['X-Org', '', 'x_y', '1', 'accept', 'b\xe9\tc']);
  t.equal(fields.nameFrom(7), 4 + text.length - 2);
});

t.test('every field begins anew with the next head', async (t) => {
  judge(
    head(
      `${HOST}Content-Length: 5\r\nVia: x\r\nvia: y\r\nX-A: 1\r\nY:  z\r\nConnection: close\r\n`,
      'PUT /p?q HTTP/1.1',
    ),
  );
  t.same(
    [reader.fields.hasSuspect, reader.fields.hasOddSpace, reader.fields.seenTwice],
    [true, true, 1 << knownId('via')],
  );
  t.equal(judge(head('Host: b\r\n', 'HEAD / HTTP/1.1')), 'boring');
  t.same(
    [reader.method, reader.target(), reader.path(), reader.host(), reader.contentLength, reader.keepAlive],
    ['HEAD', '/', '/', 'b', -1, true],
  );
  const { count, seen, seenTwice, hasSuspect, hasOddSpace } = reader.fields;
  t.same([count, seen, seenTwice, hasSuspect, hasOddSpace], [1, 1 << knownId('host'), 0, false, false]);
});

t.test('the connection goes on unless it is to close', async (t) => {
  for (const [fields, keepAlive] of [
    ['Connection: close\r\n', false],
    ['', true],
    ['Connection: CLOSE\r\n', false],
    ['Connection: keep-Alive\r\n', true],
  ] as const) {
    t.equal(judge(head(`${HOST}${fields}`)), 'boring');
    t.equal(reader.keepAlive, keepAlive, fields);
  }
});

t.test('boring are', async (t) => {
  const rows: [string, string][] = [
    ...['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'].map((each): [string, string] => [
      each,
      head(HOST, `${each} / HTTP/1.1`),
    ]),
    ['no value', head(`${HOST}A:\r\n`)],
    ['a space and no value', head(`${HOST}A: \r\n`)],
    ['no space', head(`${HOST}A:b\r\n`)],
    ['the longest target', head(HOST, `GET /${'x'.repeat(99)} HTTP/1.1`)],
    ['all of a target', head(HOST, 'GET /!"$%&\'()*+,-./:;<=>?@[\\]^_`{|}~??/ HTTP/1.1')],
    ['the largest port', head('Host: a:65535\r\n')],
    ['port 0', head('Host: a:0\r\n')],
    ['a port with zeros', head('Host: a:00080\r\n')],
    ['underscore in the host', head('Host: a_b-c.d9\r\n')],
    ['an address', head('Host: 10.0.0.1\r\n')],
    ['the longest host', head(`Host: ${'a'.repeat(260)}\r\n`)],
    ['no length', head(`${HOST}Content-Length: 0\r\n`)],
    ['the largest length', head(`${HOST}Content-Length: 999999999999999\r\n`, 'PATCH / HTTP/1.1')],
    ['a length with DELETE', head(`${HOST}Content-Length: 1\r\n`, 'DELETE / HTTP/1.1')],
    ['keep-alive', head(`${HOST}Connection: KEEP-ALIVE\r\n`)],
    ['close', head(`Connection: Close\r\n${HOST}`)],
    ['as many fields as may be', head(`${HOST}${'a:\r\n'.repeat(19)}`)],
    ['every byte of a value', head(`${HOST}A: b${String.fromCharCode(...legalBytes())}b\r\n`)],
    ['every byte of a name', head(`${HOST}!#$%&'*+-.^_\`|~09AZaz: b\r\n`)],
    ['names near those that are not boring', head(`${HOST}T: 1\r\nTE1: 1\r\nUpgrades: 1\r\nTransfer_Encoding: 1\r\n`)],
    ['fields twice that may be', head(`${HOST}Via: 1\r\nVia: 1\r\nCookie: 1\r\nCookie: 1\r\n`)],
  ];
  for (const [name, text] of rows) {
    t.equal(judge(text), 'boring', name);
    t.equal(reader.headBytes, text.length, name);
    t.same(cutsThatDiffer(reader, wire(text)), [], `${name}: in two pieces`);
    for (let cut = 0; cut < text.length; cut++)
      if (reader.read(wire(text), 0, cut) !== 'more') t.fail(`${name}: not to be judged after ${cut} bytes`);
  }
});

function legalBytes(): number[] {
  return Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => (byte >= 32 && byte !== 127) || byte === 9);
}

t.test('everything else is for the general engine', async (t) => {
  const rows: [string, string][] = [
    ...[
      'QUERYX',
      'XET',
      'GXT',
      'GEX',
      'GETX',
      'CONNECT',
      'TRACE',
      'get',
      'GETS',
      'GE',
      '',
      'PRI',
      'GET\t',
      'P',
      'PUTT',
    ].map((each): [string, string] => [`method ${each}`, head(HOST, `${each} / HTTP/1.1`)]),
    ['an empty line before', `\r\n${head(HOST)}`],
    ['two spaces', head(HOST, 'GET  / HTTP/1.1')],
    ['absolute-form', head(HOST, 'GET http://a.example/ HTTP/1.1')],
    ['asterisk', head(HOST, 'OPTIONS * HTTP/1.1')],
    ['no target', head(HOST, 'GET HTTP/1.1')],
    ['HTTP/0.9', head(HOST, 'GET /')],
    ['a fragment', head(HOST, 'GET /#f HTTP/1.1')],
    ['a fragment in the query', head(HOST, 'GET /?#f HTTP/1.1')],
    ['a control in the target', head(HOST, 'GET /\x01 HTTP/1.1')],
    ['DEL in the target', head(HOST, 'GET /?\x7f HTTP/1.1')],
    ['obs-text in the target', head(HOST, 'GET /\xe9 HTTP/1.1')],
    ['a space in the target', head(HOST, 'GET /a b HTTP/1.1')],
    ['a tab behind the target', head(HOST, 'GET /\tHTTP/1.1')],
    ['a long target', head(HOST, `GET /${'x'.repeat(100)} HTTP/1.1`)],
    ...['HTTP/1.0', 'XTTP/1.1', 'HTTP/2.0', 'HTTP/1.10', 'http/1.1', 'HTTP/1.1 ', 'HTTP/11', 'ICE/1.0'].map(
      (each): [string, string] => [`version ${each}`, head(HOST, `GET / ${each}`)],
    ),
    ['a bare LF behind the line', head(HOST).replace('\r\n', '\n')],
    ['a bare CR behind the line', head(HOST).replace('\r\n', '\r')],
    ['a bare LF behind a field', 'GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\n'],
    ['a bare CR behind a field', 'GET / HTTP/1.1\r\nHost: a\rA: b\r\n\r\n'],
    ['a bare LF at the end', 'GET / HTTP/1.1\r\nHost: a\r\n\n'],
    ['a bare CR at the end', 'GET / HTTP/1.1\r\nHost: a\r\n\rx'],
    ['a folded line', head(`${HOST}A: b\r\n c\r\n`)],
    ['a line folded by a tab', head(`${HOST}A: b\r\n\tc\r\n`)],
    ['no colon', head(`${HOST}A\r\n`)],
    ['no name', head(`${HOST}: b\r\n`)],
    ['a space before the colon', head(`${HOST}A : b\r\n`)],
    ['a name that is no token', head(`${HOST}A(: b\r\n`)],
    ['obs-text in a name', head(`${HOST}A\xe9: b\r\n`)],
    ['NUL in a value', head(`${HOST}A: b\0\r\n`)],
    ['a control in a value', head(`${HOST}A: b\x1f\r\n`)],
    ['DEL in a value', head(`${HOST}A: b\x7f\r\n`)],
    ['two spaces before a value', head(`${HOST}A:  b\r\n`)],
    ['a tab before a value', head(`${HOST}A:\tb\r\n`)],
    ['a space behind a value', head(`${HOST}A: b \r\n`)],
    ['a tab behind a value', head(`${HOST}A: b\t\r\n`)],
    ['only white space', head(`${HOST}A:  \r\n`)],
    ['too many fields', head(`${HOST}${'a:\r\n'.repeat(20)}`)],
    ['no Host', head('')],
    ['two Hosts', head(HOST + HOST)],
    ['an empty Host', head('Host:\r\n')],
    ['a port alone', head('Host: :80\r\n')],
    ['no port behind the colon', head('Host: a:\r\n')],
    ['port letters', head('Host: a:8x\r\n')],
    ['a large port', head('Host: a:65536\r\n')],
    ['a long port', head('Host: a:000080\r\n')],
    ['two ports', head('Host: a:80:80\r\n')],
    ['an IPv6 address', head('Host: [::1]\r\n')],
    ['a trailing dot', head('Host: a.\r\n')],
    ['a trailing dot before a port', head('Host: a.:80\r\n')],
    ['a user', head('Host: u@a\r\n')],
    ['a list of hosts', head('Host: a,b\r\n')],
    ['a space in the host', head('Host: a b\r\n')],
    ['a long host', head(`Host: ${'a'.repeat(261)}\r\n`)],
    ['a length with GET', head(`${HOST}Content-Length: 1\r\n`)],
    ['a length with HEAD', head(`${HOST}Content-Length: 1\r\n`, 'HEAD / HTTP/1.1')],
    ...['', '+1', '-1', '1 1', '1,1', '0x1', '1_0', 'a', '/', ':', '1:', '1'.repeat(16)].map(
      (each): [string, string] => [`length ${each}`, head(`${HOST}Content-Length: ${each}\r\n`, 'POST / HTTP/1.1')],
    ),
    ['two lengths', head(`${HOST}Content-Length: 1\r\nContent-Length: 1\r\n`, 'POST / HTTP/1.1')],
    ['upgrade nominated', head(`${HOST}Connection: upgrade\r\n`)],
    ['two options', head(`${HOST}Connection: keep-alive, close\r\n`)],
    ['no option', head(`${HOST}Connection:\r\n`)],
    ['two Connection fields', head(`${HOST}Connection: close\r\nConnection: close\r\n`)],
    ...[
      ...['Keep-Alive', 'Proxy-Connection', 'Proxy-Authenticate', 'Proxy-Authorization', 'TE', 'Trailer'],
      ...['Transfer-Encoding', 'Upgrade', 'HTTP2-Settings', 'Expect'],
    ].flatMap((each): [string, string][] => [
      [each, head(`${HOST}${each}: x\r\n`)],
      [`${each} in capitals`, head(`${each.toUpperCase()}:\r\n${HOST}`)],
    ]),
  ];
  for (const [name, text] of rows) {
    t.equal(judge(text), 'other', name);
    t.same(cutsThatDiffer(reader, wire(text)), [], `${name}: in two pieces`);
  }
});

t.test('what cannot become boring any more is handed over at once', async (t) => {
  for (const text of ['X', 'GEX', 'PRI', 'POSTER', 'GET x', 'GET /\n', 'GET / HTTP/1.0', 'GET / X', 'GET /\r'])
    t.equal(judge(text), 'other', text);
  for (const text of ['A(', ' ', 'A\r', 'A: b\n', 'A: b\rx', '\n', '\rx'])
    t.equal(judge(`GET / HTTP/1.1\r\n${HOST}${text}`), 'other', text);
  t.equal(judge(`GET /${'x'.repeat(100)}`), 'other', 'a target that is too long before it ends');
  const fields = ['Expect: 100-continue', 'Connection: x', 'Content-Length: x', 'Host: a b', `${HOST}Host: b`, 'A: b '];
  for (const field of fields) {
    t.equal(judge(`POST / HTTP/1.1\r\n${field}\r`), 'more', `${field}: not while its line may go on`);
    t.equal(judge(`POST / HTTP/1.1\r\n${field}\r\n`), 'other', field);
  }
});

t.test('a head beyond the bounds is for the general engine, before it has ended too', async (t) => {
  const filled = (bytes: number): string => {
    const empty = head(`${HOST}A: \r\n`);
    return head(`${HOST}A: ${'x'.repeat(bytes - empty.length)}\r\n`);
  };
  t.equal(judge(filled(998)), 'boring', 'two bytes are left for the spaces the gate counts');
  t.equal(judge(filled(999)), 'other');
  t.equal(judge(filled(1001)), 'other', 'it does not end within the bound');
  t.equal(judge(filled(2000).slice(0, 999)), 'more');
  t.equal(judge(filled(2000).slice(0, 1000)), 'other');
  t.equal(judge(filled(2000)), 'other');
  const behind = Buffer.concat([Buffer.alloc(5000), wire(filled(900))]);
  t.equal(reader.read(behind, 5000, 5012), 'more', 'what stands before the head does not count: in the line');
  t.equal(reader.resume(behind, 5000, 5500), 'more', 'nor in the fields');
  t.equal(reader.resume(behind, 5000, 5900), 'boring');
  const wide = new RequestReader({ headersMax: 1000, headBytesMax: 100_000, targetBytesMax: 10_000 });
  const many = (count: number) => wire(head(HOST + 'a:\r\n'.repeat(count)));
  t.equal(wide.read(many(99), 0, many(99).length), 'boring');
  t.equal(
    wide.read(many(100), 0, many(100).length),
    'other',
    'more than 100 fields are not boring whatever the configuration',
  );
});

t.test('a head in single bytes is read, one in too many pieces handed over', async (t) => {
  const bytes = wire(head('Host: a\r\n', 'GET / HTTP/1.1'));
  t.equal(bytes.length, 27);
  let verdict = reader.read(bytes, 0, 0);
  for (let to = 1; to <= bytes.length; to++) {
    t.equal(verdict, 'more');
    verdict = reader.resume(bytes, 0, to);
  }
  t.equal(verdict, 'boring');
  t.same([reader.host(), reader.fields.count], ['a', 1]);
  const long = wire(head(HOST));
  verdict = reader.read(long, 0, 1);
  for (let piece = 2; piece <= 32; piece++) verdict = reader.resume(long, 0, piece);
  t.equal(verdict, 'more', '32 pieces');
  t.equal(reader.resume(long, 0, 33), 'other', 'the 33rd');
  t.equal(reader.read(long, 0, 1), 'more', 'the next head begins to count anew');
});

t.test('lines that were complete are not read again', async (t) => {
  const bytes = wire(head(`${HOST}A: b\r\nC: d\r\n`));
  const cut = bytes.indexOf('C: d') + 3;
  t.equal(reader.read(bytes, 0, cut), 'more');
  t.equal(reader.fields.count, 2);
  // What already passed is not looked at any more: were it read again, it would not pass.
  const broken = wire(bytes.toString('latin1').replace('A: b', 'A\nb '));
  t.equal(reader.resume(broken, 0, broken.length), 'boring');
  t.equal(reader.fields.count, 3);
});

t.test('any boring head reads the same however it is cut and whatever stands about it', async () => {
  const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/);
  const value = fc.stringMatching(/^([!-~\x80-\xff]([\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?)?$/);
  const target = fc.stringMatching(/^\/[!"$-~]{0,40}$/);
  fc.assert(
    fc.property(fc.array(fc.tuple(token, value), { maxLength: 15 }), target, fc.nat(), (fields, target, at) => {
      const own = fields.filter(([name]) => !isSpecial(name));
      const text = head(
        `${own.map(([name, value]) => `${name}: ${value}\r\n`).join('')}${HOST}`,
        `GET ${target} HTTP/1.1`,
      );
      const bytes = wire(text);
      if (readCut(reader, bytes, at % bytes.length) !== 'boring') return false;
      const pairs = [...own.flat(), 'Host', 'a.example:80'];
      return reader.target() === target && JSON.stringify(reader.fields.pairs(false)) === JSON.stringify(pairs);
    }),
    { numRuns: 300, seed: 20_261_125 },
  );
});

function isSpecial(name: string): boolean {
  const table = new FieldTable(1);
  const line = wire(`${name}:\r\n\r\n`);
  table.moveTo(line, 0);
  table.begin(0);
  table.scan(line.length);
  const kind = table.kinds[0] as number;
  return kind !== 0 && kind !== SUSPECT;
}
