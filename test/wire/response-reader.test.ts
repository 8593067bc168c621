import fc from 'fast-check';
import t from 'tap';
import { RESPONSE_FIELDS_MAX, RESPONSE_HEAD_BYTES_MAX, ResponseReader } from '../../src/wire/index.ts';
import { cutsThatDiffer, type HeadReading, readCut, wire } from '../helpers/pieces.ts';

const reader = new ResponseReader();
const head = (fields: string, line = 'HTTP/1.1 200 OK'): string => `${line}\r\n${fields}\r\n`;
const judge = (text: string, isForHead = false): string => reader.read(wire(text), 0, text.length, isForHead);
const reading = (isForHead: boolean): HeadReading<string> => ({
  read: (bytes, from, to) => reader.read(bytes, from, to, isForHead),
  resume: (bytes, from, to) => reader.resume(bytes, from, to),
});

t.test('a head is taken apart', async (t) => {
  const text = head(
    'Server: x\r\nContent-Length: 12\r\nset-cookie: a\r\nSet-Cookie: b\r\n',
    'HTTP/1.1 201 Made of \xe9',
  );
  const bytes = wire(`junk${text}body`);
  t.equal(reader.read(bytes, 4, bytes.length, false), 'final');
  const { status, minorVersion, framing, contentLength, keepAlive, headBytes } = reader;
  t.same(
    [status, minorVersion, framing, contentLength, keepAlive, headBytes],
    [201, 1, 'length', 12, true, text.length],
  );
  t.same(reader.fields.pairs(true), ['Server', 'x', 'set-cookie', 'a', 'Set-Cookie', 'b']);
});

interface Row {
  readonly text: string;
  readonly isForHead?: boolean;
  /** Framing, content length, whether the connection can be used again. */
  readonly is: readonly [string, number, boolean];
}

t.test('where the body ends, and whether the connection goes on (RFC 9112 §6.3, §9.3)', async (t) => {
  const CL = 'Content-Length: 5\r\n';
  const TE = 'Transfer-Encoding: chunked\r\n';
  const rows: Record<string, Row> = {
    length: { text: head(CL), is: ['length', 5, true] },
    'length 0': { text: head('Content-Length: 0\r\n'), is: ['length', 0, true] },
    'the largest length': { text: head('Content-Length: 999999999999999\r\n'), is: ['length', 999999999999999, true] },
    'no space before a length': { text: head('Content-Length:5\r\nA:  b \r\n'), is: ['length', 5, true] },
    chunked: { text: head(TE), is: ['chunked', -1, true] },
    'chunked in capitals': { text: head('TRANSFER-ENCODING:CHUNKED\r\n'), is: ['chunked', -1, true] },
    neither: { text: head(''), is: ['close', -1, false] },
    'neither, kept alive': { text: head('Connection: keep-alive\r\n'), is: ['close', -1, false] },
    'to HEAD': { text: head(''), isForHead: true, is: ['none', -1, true] },
    'length to HEAD': { text: head(CL), isForHead: true, is: ['none', 5, true] },
    'chunked to HEAD': { text: head(TE), isForHead: true, is: ['none', -1, true] },
    'close to HEAD': { text: head('Connection: close\r\n'), isForHead: true, is: ['none', -1, false] },
    204: { text: head('', 'HTTP/1.1 204 No Content'), is: ['none', -1, true] },
    '204 with length 0': { text: head('Content-Length: 0\r\n', 'HTTP/1.1 204'), is: ['none', 0, true] },
    '204 that announces a body': { text: head(CL, 'HTTP/1.1 204 x'), is: ['none', 5, false] },
    '204 that announces a byte': { text: head('Content-Length: 1\r\n', 'HTTP/1.1 204 x'), is: ['none', 1, false] },
    '204 that announces chunks': { text: head(TE, 'HTTP/1.1 204 x'), is: ['none', -1, false] },
    '204 with a length to HEAD': { text: head(CL, 'HTTP/1.1 204 x'), isForHead: true, is: ['none', 5, true] },
    304: { text: head('', 'HTTP/1.1 304 x'), is: ['none', -1, true] },
    '304 with the length it would have': { text: head(CL, 'HTTP/1.1 304 x'), is: ['none', 5, true] },
    '304 that announces chunks': { text: head(TE, 'HTTP/1.1 304 x'), is: ['none', -1, false] },
    205: { text: head('Content-Length: 0\r\n', 'HTTP/1.1 205 x'), is: ['length', 0, true] },
    203: { text: head('', 'HTTP/1.1 203 x'), is: ['close', -1, false] },
    303: { text: head('', 'HTTP/1.1 303 x'), is: ['close', -1, false] },
    305: { text: head('', 'HTTP/1.1 305 x'), is: ['close', -1, false] },
    200: { text: head(CL, 'HTTP/1.1 200 '), is: ['length', 5, true] },
    'no space behind the status': { text: head(CL, 'HTTP/1.1 200'), is: ['length', 5, true] },
    '599': { text: head(CL, 'HTTP/1.1 599 x'), is: ['length', 5, true] },
    close: { text: head(`${CL}Connection: Close\r\n`), is: ['length', 5, false] },
    'keep-alive': { text: head(`${CL}Connection: Keep-Alive\r\n`), is: ['length', 5, true] },
    'close in a list': { text: head(`${CL}Connection: x, Close\r\n`), is: ['length', 5, false] },
    'close in the second field': {
      text: head(`${CL}Connection: x\r\nConnection: close\r\n`),
      is: ['length', 5, false],
    },
    'close in the first field': {
      text: head(`${CL}Connection: close\r\nConnection: keep-alive\r\n`),
      is: ['length', 5, false],
    },
    'keep-alive twice': {
      text: head(`${CL}Connection: keep-alive\r\nConnection: keep-alive\r\n`),
      is: ['length', 5, true],
    },
    'keep-alive and a no-break space': {
      text: head(`${CL}Connection: keep-alive\u00a0\r\n`, 'HTTP/1.0 200 OK'),
      is: ['length', 5, false],
    },
    'keep-alive with white space': { text: head(`${CL}Connection: keep-alive \r\n`), is: ['length', 5, false] },
    'an option with white space': { text: head(`${CL}Connection:  x\r\n`), is: ['length', 5, false] },
    'another option': { text: head(`${CL}Connection: x\r\n`), is: ['length', 5, true] },
    'an empty Connection': { text: head(`${CL}Connection:\r\n`), is: ['length', 5, true] },
    'Proxy-Connection that closes': { text: head(`${CL}Proxy-Connection: close\r\n`), is: ['length', 5, false] },
    'Proxy-Connection beside keep-alive': {
      text: head(`${CL}Proxy-Connection: x\r\nConnection: keep-alive\r\n`),
      is: ['length', 5, false],
    },
    'Proxy-Connection in HTTP/1.0': {
      text: head(`${CL}Proxy-Connection: keep-alive\r\n`, 'HTTP/1.0 200 OK'),
      is: ['length', 5, false],
    },
    'HTTP/1.0': { text: head(CL, 'HTTP/1.0 200 OK'), is: ['length', 5, false] },
    'HTTP/1.0 kept alive': {
      text: head(`${CL}Connection: keep-alive\r\n`, 'HTTP/1.0 200 OK'),
      is: ['length', 5, true],
    },
    'HTTP/1.0 kept alive by a list': {
      text: head(`${CL}Connection: x, keep-alive\r\n`, 'HTTP/1.0 200 OK'),
      is: ['length', 5, true],
    },
    'HTTP/1.0 with another option': {
      text: head(`${CL}Connection: x\r\n`, 'HTTP/1.0 200 OK'),
      is: ['length', 5, false],
    },
    'HTTP/1.0 until it closes': { text: head('', 'HTTP/1.0 200 OK'), is: ['close', -1, false] },
  };
  for (const [name, { text, isForHead = false, is }] of Object.entries(rows)) {
    t.equal(judge(text, isForHead), 'final', name);
    t.same([reader.framing, reader.contentLength, reader.keepAlive], is, name);
    t.equal(reader.headBytes, text.length, name);
    t.same(cutsThatDiffer(reading(isForHead), wire(text)), [], `${name}: in two pieces`);
    for (let cut = 0; cut < text.length; cut++)
      if (reader.read(wire(text), 0, cut, isForHead) !== 'more') t.fail(`${name}: not to be judged after ${cut} bytes`);
  }
});

t.test('an interim response is told from the final one', async (t) => {
  for (const status of [100, 102, 103, 199]) {
    const text = head('Link: </a>\r\nConnection: Keep-Alive\r\n', `HTTP/1.1 ${status} x`);
    judge(head('Connection: close\r\nContent-Length: 3\r\n'));
    t.equal(judge(`${text}HTTP/1.1 200 OK\r\n\r\n`), 'interim');
    t.same(
      [reader.status, reader.headBytes, reader.framing, reader.contentLength, reader.keepAlive],
      [status, text.length, 'none', -1, true],
    );
    t.same(cutsThatDiffer(reading(false), wire(text)), []);
  }
});

t.test('what is not sound is bad', async (t) => {
  const rows: [string, string][] = [
    ...['HTTP/1.2', 'XTTP/1.1', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.', 'http/1.1', 'HTTP/1.10', 'HTTP/1/1', 'ICY', ''].map(
      (each): [string, string] => [`version ${each}`, head('', `${each} 200 OK`)],
    ),
    ...['099', '000', '600', '999', '20', '2000', '20x', '2x0', 'x00', '+20', '/00', ':00', '2/0', '2:0', ''].map(
      (each): [string, string] => [`status ${each}`, head('', `HTTP/1.1 ${each} OK`)],
    ),
    ['two spaces before the status', head('', 'HTTP/1.1  200 OK')],
    ['a tab before the status', head('', 'HTTP/1.1\t200 OK')],
    ['a tab behind the status', head('', 'HTTP/1.1 200\tOK')],
    ['a control in the reason', head('', 'HTTP/1.1 200 O\x01K')],
    ['NUL in the reason', head('', 'HTTP/1.1 200 O\0K')],
    ['DEL in the reason', head('', 'HTTP/1.1 200 \x7f')],
    ['an empty line before', `\r\n${head('')}`],
    ['a bare LF behind the line', 'HTTP/1.1 200 OK\nA: b\r\n\r\n'],
    ['a bare CR behind the line', 'HTTP/1.1 200 OK\rA: b\r\n\r\n'],
    ['a bare LF behind the status', 'HTTP/1.1 200\nA: b\r\n\r\n'],
    ['a bare LF behind a field', 'HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n'],
    ['a bare LF at the end', 'HTTP/1.1 200 OK\r\nA: b\r\n\n'],
    ['a folded line', head('A: b\r\n c\r\n')],
    ['a space before the colon', head('A : b\r\n')],
    ['no colon', head('A\r\n')],
    ['a control in a value', head('A: \x01\r\n')],
    ['two lengths', head('Content-Length: 5\r\nContent-Length: 5\r\n')],
    ['a list of lengths', head('Content-Length: 5, 5\r\n')],
    ['a space behind a length', head('Content-Length: 5 \r\n')],
    ['a tab before a length', head('Content-Length:\t5\r\n')],
    ['two spaces before a length', head('Content-Length:  5\r\n')],
    ['a tab behind a coding', head('Transfer-Encoding: chunked\t\r\n')],
    ['two spaces before a coding', head('Transfer-Encoding:  chunked\r\nA: b\r\n')],
    ['a signed length', head('Content-Length: +5\r\n')],
    ['no length', head('Content-Length:\r\n')],
    ['a huge length', head(`Content-Length: ${'1'.repeat(16)}\r\n`)],
    ['length and chunked', head('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n')],
    ['chunked and length', head('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n')],
    ['chunked twice', head('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n')],
    ['chunked twice in a list', head('Transfer-Encoding: chunked, chunked\r\n')],
    ['another coding', head('Transfer-Encoding: gzip, chunked\r\n')],
    ['identity', head('Transfer-Encoding: identity\r\n')],
    ['no coding', head('Transfer-Encoding:\r\n')],
    ['chunked in HTTP/1.0', head('Transfer-Encoding: chunked\r\n', 'HTTP/1.0 200 OK')],
    ['a bad length to 304', head('Content-Length: x\r\n', 'HTTP/1.1 304 x')],
    ['101', head('', 'HTTP/1.1 101 x')],
    ['101 that upgrades', head('Upgrade: x\r\nConnection: upgrade\r\n', 'HTTP/1.1 101 x')],
    ['1xx in HTTP/1.0', head('', 'HTTP/1.0 100 x')],
    ['1xx in HTTP/1.0, kept alive', head('Connection: keep-alive\r\n', 'HTTP/1.0 100 x')],
    ['1xx with a length', head('Content-Length: 0\r\n', 'HTTP/1.1 100 x')],
    ['1xx that closes', head('Connection: close\r\n', 'HTTP/1.1 100 x')],
    ['1xx with chunks', head('Transfer-Encoding: chunked\r\n', 'HTTP/1.1 103 x')],
    ['too many fields', head('a:\r\n'.repeat(RESPONSE_FIELDS_MAX + 1))],
  ];
  for (const [name, text] of rows) {
    t.equal(judge(text), 'bad', name);
    t.same(cutsThatDiffer(reading(false), wire(text.slice(0, 200))), [], `${name}: in two pieces`);
  }
  t.equal(judge(head('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'), true), 'bad', 'to HEAD as well');
  for (const text of ['X', 'HTTP/2', 'HTTP/1.1 6', 'HTTP/1.1 20x', 'HTTP/1.1x', 'HTTP/1.1 200\n', 'HTTP/1.1 200\rx'])
    t.equal(judge(text), 'bad', `at once: ${text}`);
});

t.test('hop-by-hop and nominated fields are not kept, nor are the framing fields', async (t) => {
  const hops = [
    'Keep-Alive',
    'Proxy-Connection',
    'Proxy-Authenticate',
    'Proxy-Authorization',
    'TE',
    'Trailer',
    'Upgrade',
  ];
  judge(
    head(`A: 1\r\n${hops.map((each) => `${each}: x\r\n`).join('')}HTTP2-Settings: x\r\nContent-Length: 0\r\nB: 2\r\n`),
  );
  t.same(reader.fields.pairs(true), ['A', '1', 'B', '2']);
  judge(
    head('X-A: 1\r\nB: 2\r\nx-a: 3\r\nConnection: X-A, close\r\nC: 4\r\nDate: x\r\nConnection: date\r\nDates: y\r\n'),
  );
  t.same(reader.fields.pairs(true), ['B', '2', 'C', '4', 'Dates', 'y']);
  judge(head('Connection: x, y\r\nA: b\r\nB: 1\r\nX: 2\r\nx: 3\r\nX: 4\r\n'));
  t.same(reader.fields.pairs(true), ['A', 'b', 'B', '1'], 'only Connection nominates');
  judge(head('Close: 1\r\nKeep-Alive: 1\r\nConnection: close\r\n'));
  t.same(reader.fields.pairs(true), ['Close', '1'], 'the two options are no nominations');
});

t.test('a head beyond the bounds is bad, before it has ended too', async (t) => {
  const filled = (bytes: number): string => head(`A: ${'x'.repeat(bytes - head('A: \r\n').length)}\r\n`);
  t.equal(judge(filled(RESPONSE_HEAD_BYTES_MAX)), 'final');
  t.equal(judge(filled(RESPONSE_HEAD_BYTES_MAX + 1)), 'bad');
  t.equal(judge('HTTP/1.1 200 OK\r\nA: '.padEnd(RESPONSE_HEAD_BYTES_MAX - 1, 'x')), 'more');
  t.equal(judge('HTTP/1.1 200 OK\r\nA: '.padEnd(RESPONSE_HEAD_BYTES_MAX, 'x')), 'bad');
  t.equal(judge(head('a:\r\n'.repeat(RESPONSE_FIELDS_MAX))), 'final');
  const behind = Buffer.concat([Buffer.alloc(70_000), wire(filled(900))]);
  t.equal(
    reader.read(behind, 70_000, 70_012, false),
    'more',
    'what stands before the head does not count: in the line',
  );
  t.equal(reader.resume(behind, 70_000, 70_500), 'more', 'nor in the fields');
  t.equal(reader.resume(behind, 70_000, 70_900), 'final');
});

t.test('lines that were complete are not read again', async (t) => {
  const bytes = wire(head('A: b\r\nC: d\r\n'));
  t.equal(reader.read(bytes, 0, bytes.indexOf('C: d') + 3, false), 'more');
  // What already passed is not looked at any more: were it read again, it would not pass.
  const broken = wire(bytes.toString('latin1').replace('A: b', 'A\nb ').replace('200', '999'));
  t.equal(reader.resume(broken, 0, broken.length), 'final');
  t.same([reader.status, reader.fields.count], [200, 2]);
});

t.test('a head in single bytes is read, one in too many pieces is bad', async (t) => {
  const bytes = wire(head('Content-Length: 5\r\n'));
  let verdict = reader.read(bytes, 0, 0, true);
  for (let to = 1; to <= bytes.length; to++) {
    t.equal(verdict, 'more');
    verdict = reader.resume(bytes, 0, to);
  }
  t.equal(verdict, 'final');
  t.same(
    [reader.status, reader.framing, reader.contentLength],
    [200, 'none', 5],
    'and it is remembered for what it is',
  );
  const long = wire(head(`A: ${'x'.repeat(1000)}\r\n`));
  verdict = reader.read(long, 0, 1, false);
  for (let piece = 2; piece <= 500; piece++) verdict = reader.resume(long, 0, piece);
  t.equal(verdict, 'more', '500 pieces');
  t.equal(reader.resume(long, 0, 501), 'bad', 'the 501st');
  t.equal(reader.read(long, 0, 1, false), 'more', 'the next head begins to count anew');
});

t.test('any sound head reads the same however it is cut and whatever stands about it', async () => {
  const token = fc.stringMatching(/^[a-f]{1,3}$/);
  const value = fc.stringMatching(/^([!-~\x80-\xff]([\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?)?$/);
  const space = fc.stringMatching(/^[\t ]{0,3}$/);
  fc.assert(
    fc.property(fc.array(fc.tuple(token, space, value, space), { maxLength: 15 }), fc.nat(), (fields, at) => {
      const bytes = wire(
        head(fields.map(([name, before, value, behind]) => `${name}:${before}${value}${behind}\r\n`).join('')),
      );
      if (readCut(reading(false), bytes, at % bytes.length) !== 'final') return false;
      const pairs = fields.flatMap(([name, , value]) => [name, value]);
      return JSON.stringify(reader.fields.pairs(false)) === JSON.stringify(pairs);
    }),
    { numRuns: 300, seed: 20_261_125 },
  );
});
