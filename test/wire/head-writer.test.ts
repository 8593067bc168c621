import fc from 'fast-check';
import t from 'tap';
import { HeadWriter, RequestReader, ResponseReader } from '../../src/wire/index.ts';
import { wire } from '../helpers/pieces.ts';

const request = new RequestReader({ headersMax: 100, headBytesMax: 32_768, targetBytesMax: 8192 });
const response = new ResponseReader();
const writer = new HeadWriter();
const written = (): string => writer.bytes.toString('latin1', 0, writer.length);
const NONE = wire('');

function rewritten(text: string, block = ''): string {
  const bytes = wire(`junk${text}body`);
  if (request.read(bytes, 4, bytes.length) !== 'boring') throw new Error(`not boring: ${text}`);
  writer.request(request, wire(block));
  return written();
}

function answered(text: string, { isLast = false, block = '', isForHead = false } = {}): string {
  const bytes = wire(`junk${text}body`);
  response.read(bytes, 4, bytes.length, isForHead);
  writer.response(response, isLast, wire(block));
  return written();
}

t.test('a request goes on with its fields as they came, Host first, framing made anew, our block last', async (t) => {
  t.equal(
    rewritten(
      'POST /a?b HTTP/1.1\r\naccept: */*\r\nHOST: A.b:80\r\nX-A:1\r\nx-a: 2\r\nConnection: close\r\nContent-Length: 0012\r\nCookie: \xe9\r\n\r\n',
      'x-tenant-id: acme\r\nX-Forwarded-Proto: http\r\n',
    ),
    'POST /a?b HTTP/1.1\r\nHost: A.b:80\r\naccept: */*\r\nX-A:1\r\nx-a: 2\r\nCookie: \xe9\r\nContent-Length: 12\r\nx-tenant-id: acme\r\nX-Forwarded-Proto: http\r\n\r\n',
  );
  t.equal(rewritten('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  t.equal(
    rewritten('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n'),
    'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
  );
});

t.test('what was dropped does not go on', async (t) => {
  const bytes = wire(
    'GET / HTTP/1.1\r\nX-Tenant-Id: a\r\nB: 1\r\nHost: a\r\nx_tenant.id: b\r\nX-Tenant-Id: c\r\nC: 2\r\n\r\n',
  );
  t.equal(request.read(bytes, 0, bytes.length), 'boring');
  for (const i of [0, 3, 4]) request.fields.drop(i);
  writer.request(request, NONE);
  t.equal(written(), 'GET / HTTP/1.1\r\nHost: a\r\nB: 1\r\nC: 2\r\n\r\n');
});

t.test('a head may be moved before it is written', async (t) => {
  const bytes = wire('GET /x HTTP/1.1\r\nHost: a\r\nB: 1\r\n\r\nbody');
  request.read(bytes, 0, bytes.length);
  const copy = Buffer.concat([wire('12345'), bytes.subarray(0, request.headBytes)]);
  request.fields.moveTo(copy, 5);
  bytes.fill(0);
  writer.request(request, NONE);
  t.equal(written(), 'GET /x HTTP/1.1\r\nHost: a\r\nB: 1\r\n\r\n');
  t.same([request.target(), request.path(), request.host(), request.fields.value(1)], ['/x', '/x', 'a', '1']);
});

t.test('a response goes on with its fields as they came, framing made anew, our block last', async (t) => {
  const OK = 'HTTP/1.1 200 OK\r\n';
  const CHUNKED = 'Transfer-Encoding: chunked\r\n';
  t.equal(
    answered(
      'HTTP/1.0 200 Whatever\r\nserver: x\r\nCONTENT-LENGTH: 05\r\nKeep-Alive: 5\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n',
      {
        isLast: true,
        block: 'RateLimit: 1\r\n',
      },
    ),
    `${OK}server: x\r\nSet-Cookie: a\r\nset-cookie: b\r\nContent-Length: 5\r\nConnection: close\r\nRateLimit: 1\r\n\r\n`,
  );
  t.equal(answered('HTTP/1.1 200\r\nTransfer-Encoding: CHUNKED\r\nA: b\r\n\r\n'), `${OK}A: b\r\n${CHUNKED}\r\n`);
  t.equal(answered('HTTP/1.1 200 OK\r\nA: b\r\n\r\n'), `${OK}A: b\r\n${CHUNKED}\r\n`, 'until the connection closes');
  t.equal(
    answered('HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n', { isForHead: true }),
    `${OK}Content-Length: 7\r\n\r\n`,
  );
  t.equal(answered('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', { isForHead: true }), `${OK}\r\n`);
  t.equal(
    answered('HTTP/1.1 304 x\r\nContent-Length: 7\r\nETag: "a"\r\n\r\n'),
    'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 7\r\n\r\n',
  );
  t.equal(answered('HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n'), 'HTTP/1.1 204 No Content\r\n\r\n');
  t.equal(answered('HTTP/1.1 103 x\r\nLink: </a>\r\n\r\n'), 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
  t.equal(answered('HTTP/1.1 599 x\r\nContent-Length: 0\r\n\r\n'), 'HTTP/1.1 599 unknown\r\nContent-Length: 0\r\n\r\n');
  for (let again = 0; again < 2; again++)
    t.equal(
      answered('HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n'),
      'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n',
    );
});

t.test('white space that others could read differently goes no further', async (t) => {
  t.equal(
    answered('HTTP/1.1 200 OK\r\nA:\t 1 \t\r\nConnection: a\tb\r\nB:2\r\nC:  \r\nContent-Length: 3\r\n\r\n'),
    'HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: \r\nContent-Length: 3\r\n\r\n',
  );
});

t.test('any length is written in its digits', async (t) => {
  for (const length of [0, 1, 9, 10, 11, 99, 100, 1024, 65_535, 2 ** 31, 2 ** 32 + 5, 999_999_999_999_999])
    t.equal(
      answered(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`),
      `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`,
    );
});

t.test('the buffer is used again, and grows for a head or a block that needs it', async (t) => {
  const own = new HeadWriter();
  const bytes = wire(`GET / HTTP/1.1\r\nHost: a\r\nA: ${'x'.repeat(3000)}\r\n\r\n`);
  request.read(bytes, 0, bytes.length);
  const { bytes: first } = own;
  own.request(request, NONE);
  t.equal(own.bytes, first);
  t.equal(own.bytes.toString('latin1', 0, own.length), bytes.toString());
  const block = wire(`B: ${'y'.repeat(5000)}\r\n`);
  own.request(request, block);
  t.equal(own.bytes.toString('latin1', 0, own.length), `${bytes.toString().slice(0, -2)}${block}\r\n`);
  t.equal(own.bytes.length, bytes.length + block.length + 128, 'to its bound');
  const { bytes: second } = own;
  own.request(request, NONE);
  t.equal(own.bytes, second);
  const text = `HTTP/1.1 200 OK\r\nA: ${'z'.repeat(9000)}\r\n\r\n`;
  response.read(wire(text), 0, text.length, true);
  own.response(response, true, NONE);
  t.equal(own.bytes.toString('latin1', 0, own.length), `${text.slice(0, -2)}Connection: close\r\n\r\n`);
});

t.test('what is written beside a head and a block that just fit has room too', async (t) => {
  for (let length = 3900; length <= 4100; length += 10) {
    const own = new HeadWriter();
    const field = `A: ${'z'.repeat(length)}\r\n`;
    const text = `HTTP/1.1 404\r\n${field}\r\n`;
    response.read(wire(text), 0, text.length, false);
    own.response(response, true, NONE);
    const expected = `HTTP/1.1 404 Not Found\r\n${field}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n`;
    if (own.bytes.toString('latin1', 0, own.length) !== expected) t.fail(`${length} bytes`);
  }
  const [own, block] = [new HeadWriter(), `B: ${'y'.repeat(4090)}\r\n`];
  response.read(wire('HTTP/1.1 200\r\n\r\n'), 0, 16, false);
  own.response(response, false, wire(block));
  t.equal(own.bytes.toString('latin1', 0, own.length), `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${block}\r\n`);
});

t.test('whatever is dropped, the rest goes on as it came', async () => {
  const line = fc.tuple(fc.stringMatching(/^[a-z_]{1,60}$/), fc.stringMatching(/^[!-~]{0,60}$/), fc.boolean());
  fc.assert(
    fc.property(fc.array(line, { maxLength: 30 }), (lines) => {
      const text = (all: typeof lines) => all.map(([name, value]) => `q-${name}: ${value}\r\n`).join('');
      const bytes = wire(`GET / HTTP/1.1\r\n${text(lines)}Host: a\r\n\r\n`);
      if (request.read(bytes, 0, bytes.length) !== 'boring') return false;
      lines.forEach(([, , isKept], i) => isKept || request.fields.drop(i));
      writer.request(request, wire('Z: 1\r\n'));
      const kept = text(lines.filter(([, , isKept]) => isKept));
      return written() === `GET / HTTP/1.1\r\nHost: a\r\n${kept}Z: 1\r\n\r\n`;
    }),
    { numRuns: 300, seed: 20_261_125 },
  );
});
