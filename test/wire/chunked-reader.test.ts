import fc from 'fast-check';
import t from 'tap';
import { CHUNK_ROOM, ChunkedReader, frameChunk, LAST_CHUNK } from '../../src/wire/index.ts';
import { wire } from '../helpers/pieces.ts';

interface Body {
  readonly event: string;
  readonly content: string;
  /** Bytes of the wire that belong to the body. */
  readonly bytes: number;
  readonly trailers: readonly string[] | undefined;
}

const chunks = new ChunkedReader();

/** The body as `pieces` bring it, each in a buffer of its own behind other bytes. */
function read(pieces: readonly string[]): Body {
  chunks.begin();
  let content = '';
  let bytes = 0;
  let event = 'more';
  for (const piece of pieces) {
    const buffer = wire(`junk${piece}0\r\n\r\n`);
    const to = 4 + piece.length;
    chunks.at = 4;
    for (event = chunks.next(buffer, to); event === 'data'; event = chunks.next(buffer, to))
      content += buffer.toString('latin1', chunks.dataFrom, chunks.dataTo);
    bytes += chunks.at - 4;
    if (event !== 'more') break;
  }
  return { event, content, bytes, trailers: chunks.trailers?.pairs(false) };
}

function cutsThatDiffer(body: string): number[] {
  const whole = JSON.stringify(read([body]));
  const cuts = Array.from({ length: body.length + 1 }, (_, at) => at);
  return cuts.filter((at) => JSON.stringify(read([body.slice(0, at), body.slice(at)])) !== whole);
}

const L = '\r\n';

t.test('content is told from framing, and the end is found', async (t) => {
  const long = 'x'.repeat(0x1af);
  const rows: [string, string, string, string[]?][] = [
    ['nothing', `0${L}${L}`, ''],
    ['one chunk', `5${L}hello${L}0${L}${L}`, 'hello'],
    ['two chunks', `5${L}hello${L}1${L}!${L}0${L}${L}`, 'hello!'],
    ['a chunk of line ends', `4${L}${L}${L}${L}0${L}${L}`, L + L],
    ['a size in capitals', `1AF${L}${long}${L}0${L}${L}`, long],
    ['a size in small letters', `1af${L}${long}${L}0${L}${L}`, long],
    [
      'every digit',
      `${[...'123456789abcdefABCDEF'].map((each) => `${each}${L}${'y'.repeat(Number.parseInt(each, 16))}${L}`).join('')}0${L}${L}`,
      'y'.repeat(45 + 150),
    ],
    ['twelve digits', `000000000001${L}z${L}000000000000${L}${L}`, 'z'],
    ['extensions', `1;a;bc=d;e=f-_9${L}z${L}0;last=1${L}${L}`, 'z'],
    ['a trailer', `1${L}z${L}0${L}X-Sum: 17 ${L}${L}`, 'z', ['X-Sum', '17']],
    ['trailers', `0${L}A: ${'b'.repeat(90)}${L}c:${L}${L}`, '', ['A', 'b'.repeat(90), 'c', '']],
  ];
  for (const [name, body, content, trailers] of rows) {
    t.same(read([`${body}GET /next`]), { event: 'end', content, bytes: body.length, trailers }, name);
    t.same(read([...body]), { event: 'end', content, bytes: body.length, trailers }, `${name}: in single bytes`);
    if (body.length < 200) t.same(cutsThatDiffer(body), [], `${name}: in two pieces`);
    for (let cut = 0; cut < body.length; cut++)
      if (read([body.slice(0, cut)]).event !== 'more') t.fail(`${name}: not to be judged after ${cut} bytes`);
  }
  read([`0${L}${L}`]);
  chunks.at = 0;
  t.same([chunks.next(wire('x'), 1), chunks.at], ['end', 0], 'after the end it stays there');
});

t.test('framing that is not exactly right is bad', async (t) => {
  const rows: [string, string][] = [
    ['no size', `${L}`],
    ['no size but an extension', `;a=b${L}`],
    ['a prefix', `0x1${L}`],
    ['a sign', `+1${L}`],
    ['minus', '-'],
    ['a space before the size', ' 1'],
    ['a space behind the size', `1 ${L}`],
    ['a tab behind the size', `1\t${L}`],
    ['a letter beyond f', `1g${L}`],
    ['G', 'G'],
    ['a colon', '1:'],
    ['a slash', '1/'],
    ['an at', '1@'],
    ['a grave', '1`'],
    ['thirteen digits', `0000000000001${L}`],
    ['a bare LF behind the size', '1\n'],
    ['a bare CR behind the size', '1\rx'],
    ['an empty extension', `1;${L}`],
    ['a space in an extension', `1; a${L}`],
    ['a space behind an extension', `1;a ${L}`],
    ['no name', `1;=b${L}`],
    ['no value', `1;a=${L}`],
    ['two values', `1;a=b=c${L}`],
    ['a quoted value', `1;a="b"${L}`],
    ['an empty one between', `1;a;;b${L}`],
    ['a bare LF in an extension', '1;a\n'],
    ['a bare CR in an extension', '1;a\rb'],
    ['a control in an extension', '1;a\x01'],
    ['obs-text in an extension', '1;\xe9'],
    ['too much content', `1${L}ab`],
    ['a bare LF behind content', `1${L}a\n`],
    ['a bare CR behind content', `1${L}a\rx`],
    ['a bare LF for the end', `0${L}\n`],
    ['a bare LF behind a trailer', `0${L}a: b\n`],
    ['a bare CR in a trailer', `0${L}a: b\rc: d${L}${L}`],
    ['a folded trailer', `0${L}a: b${L} c${L}${L}`],
    ['a trailer without a name', `0${L}: b${L}${L}`],
    ['a trailer that is none', `0${L}GET / HTTP/1.1${L}${L}`],
    ['a length as a trailer', `0${L}A: b${L}content-Length: 1${L}${L}`],
    ['a coding as a trailer', `0${L}Transfer-Encoding: chunked${L}${L}`],
    ['an end within a trailer line', `0${L}a${L}${L}`],
  ];
  for (const [name, body] of rows) {
    t.equal(read([body]).event, 'bad', name);
    t.equal(read([`1${L}z${L}${body}`]).event, 'bad', `${name}, in the second chunk`);
    t.same(cutsThatDiffer(body).length, 0, `${name}: in two pieces`);
  }
  chunks.at = 0;
  t.same([chunks.next(wire(`0${L}${L}`), 5), chunks.at], ['bad', 0], 'after that it stays bad');
});

t.test('extensions and trailers are bounded', async (t) => {
  const extended = (bytes: number): string => `1;${'a'.repeat(bytes - 1)}${L}z${L}0${L}${L}`;
  t.equal(read([extended(4096)]).event, 'end');
  t.equal(read([extended(4097)]).event, 'bad');
  const many = `1;a${L}z${L}`.repeat(2048);
  t.equal(read([`${many}0${L}${L}`]).event, 'end', 'of one body together');
  t.equal(read([`${many}0;a${L}${L}`]).event, 'bad');
  t.equal(read([extended(4096)]).event, 'end', 'the next body begins to count anew');
  const trailing = (bytes: number): string => `0${L}a: ${'b'.repeat(bytes - 7)}${L}${L}`;
  t.equal(read([trailing(8192)]).event, 'end');
  t.equal(read([trailing(8193)]).event, 'bad');
  t.equal(read([trailing(8192)]).event, 'end', 'the next body begins to count anew');
  t.equal(read([`0${L}${`a:${L}`.repeat(64)}${L}`]).event, 'end');
  t.equal(read([`0${L}${`a:${L}`.repeat(65)}${L}`]).event, 'bad');
  t.equal(read([`0${L}${L}`]).trailers, undefined, 'trailers are those of this body');
});

t.test('a size is read exactly', async (t) => {
  chunks.begin();
  chunks.at = 0;
  const bytes = wire(`ffffffffffff${L}`);
  t.equal(chunks.next(bytes, bytes.length), 'more');
  const huge = Buffer.alloc(16);
  let rest = 0xffffffffffff;
  chunks.at = 0;
  t.equal(chunks.next(huge, 16), 'data');
  rest -= chunks.dataTo - chunks.dataFrom;
  t.equal(rest, 0xffffffffffff - 16);
  t.equal(chunks.next(huge, 16), 'more', 'and the chunk goes on');
});

t.test('content in any chunks comes out whole, however it is cut, and framed anew reads the same', async () => {
  const content = fc.array(
    fc.string({ minLength: 1, maxLength: 40, unit: fc.constantFrom('\r', '\n', '0', ';', 'a') }),
  );
  fc.assert(
    fc.property(content, fc.array(fc.nat(), { maxLength: 4 }), (contents, cuts) => {
      const framed = contents.map((each) => {
        const buffer = Buffer.alloc(CHUNK_ROOM + each.length + 2, '!');
        buffer.write(each, CHUNK_ROOM, 'latin1');
        return buffer.toString('latin1', frameChunk(buffer, CHUNK_ROOM, CHUNK_ROOM + each.length));
      });
      const body = framed.join('') + Buffer.from(LAST_CHUNK).toString();
      const places = [0, ...cuts.map((each) => each % body.length).sort((a, b) => a - b), body.length];
      const result = read(places.slice(1).map((place, i) => body.slice(places[i], place)));
      return result.event === 'end' && result.content === contents.join('') && result.bytes === body.length;
    }),
    { numRuns: 300, seed: 20_261_125 },
  );
});

t.test('a chunk of any size has its size before it', async (t) => {
  for (const [length, size] of [
    [1, '1'],
    [9, '9'],
    [10, 'a'],
    [15, 'f'],
    [16, '10'],
    [0x9a0, '9a0'],
    [65_536, '10000'],
  ] as const) {
    const buffer = Buffer.alloc(CHUNK_ROOM + length + 2, '!');
    const from = frameChunk(buffer, CHUNK_ROOM, CHUNK_ROOM + length);
    t.equal(buffer.toString('latin1', from), `${size}\r\n${'!'.repeat(length)}\r\n`);
    t.equal(buffer.toString('latin1', 0, from), '!'.repeat(from), 'what stands before is left alone');
  }
});
