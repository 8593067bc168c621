/** One contract, two implementations: fields as strings and fields as bytes say the same. */
import t from 'tap';
import { ByteHeaders, FieldTable, HeaderList, type Headers } from '../../src/wire/index.ts';

const NL = '\r\n';

function overBytes(pairs: readonly string[]): { headers: ByteHeaders; table: FieldTable } {
  let text = '';
  for (let i = 0; i < pairs.length; i += 2) text += `${pairs[i]}: ${pairs[i + 1]}${NL}`;
  const bytes = Buffer.from(`${text}${NL}`, 'latin1');
  const table = new FieldTable(20);
  table.moveTo(bytes, 0);
  table.begin(0);
  table.scan(bytes.length);
  return { headers: new ByteHeaders(table), table };
}

const MAKERS: Readonly<Record<string, (pairs: readonly string[]) => Headers>> = {
  strings: (pairs) => new HeaderList([...pairs]),
  bytes: (pairs) => overBytes(pairs).headers,
};

for (const [name, make] of Object.entries(MAKERS)) {
  t.test(`fields as ${name}`, async (t) => {
    const headers = make(['Accept', 'a', 'x-Id', '1', 'Cookie', 'c', 'X-ID', '2', 'Authorization', 'Bearer t']);
    t.equal(headers.count, 5);
    t.same(headers.names, ['accept', 'x-id', 'cookie', 'x-id', 'authorization']);
    t.same(headers.raw.slice(0, 4), ['Accept', 'a', 'x-Id', '1']);
    t.same(
      [headers.first('x-id'), headers.first('cookie'), headers.first('none'), headers.first('date')],
      ['1', 'c', undefined, undefined],
    );
    t.same([headers.only('authorization'), headers.only('x-id'), headers.only('none')], ['Bearer t', null, undefined]);
    const spans = ['authorization', 'x-id', 'none'].map((each) => headers.onlySpan(each)?.text());
    t.same(spans, ['Bearer t', undefined, undefined]);
    t.same([headers.onlySpan('x-id'), headers.onlySpan('none')], [null, undefined]);
    t.same([headers.all('x-id'), headers.all('none'), headers.all('cookie')], [['1', '2'], [], ['c']]);
    t.same([headers.has('accept'), headers.has('none')], [true, false]);

    headers.append('X-New', 'n');
    headers.append('Cookie', 'd');
    t.same([headers.first('x-new'), headers.only('x-new'), headers.has('x-new')], ['n', 'n', true]);
    t.same([headers.onlySpan('x-new')?.text(), headers.onlySpan('cookie')], ['n', null]);
    t.same([headers.only('cookie'), headers.all('cookie')], [null, ['c', 'd']], 'what came and what was added are one');
    headers.append('x-new', 'm');
    t.equal(headers.only('x-new'), null);
    t.equal(headers.count, 8);

    t.equal(headers.remove('cookie'), 2);
    t.equal(headers.remove('cookie'), 0);
    t.equal(headers.first('cookie'), undefined);
    t.equal(
      headers.removeWhere((each, value) => each === 'x-id' && value === '1'),
      1,
    );
    t.same(headers.all('x-id'), ['2']);
    t.equal(headers.hasSuspect, true);
    t.equal(
      headers.removeSuspects((each) => each === 'x-id'),
      1,
    );
    t.equal(
      headers.removeSuspects((each) => each === 'x-none'),
      0,
    );
    t.same(headers.names, ['accept', 'authorization', 'x-new', 'x-new']);
    t.equal(make(['Accept', 'a', 'Host', 'b']).hasSuspect, false);
    t.equal(make(['Accept', 'a', 'Tenant-Id', 'b']).hasSuspect, true);
  });
}

t.test('over bytes, a field that is not copied is not seen; Content-Length is, and stays', async (t) => {
  const { headers, table } = overBytes(['Connection', 'close', 'Content-Length', '3', 'X-A', 'b', 'X-A', 'c']);
  t.same(headers.names, ['content-length', 'x-a', 'x-a']);
  t.equal(headers.first('connection'), undefined);
  t.same([headers.first('content-length'), headers.remove('content-length')], ['3', 0]);
  table.drop(2);
  t.same([headers.first('x-a'), headers.only('x-a')], ['c', 'c']);
  t.same(headers.appended, []);
  headers.append('Via', '1');
  t.same(headers.appended, ['Via', '1']);
  headers.detach();
  t.same(
    [headers.count, headers.first('x-a'), headers.first('via')],
    [0, undefined, undefined],
    'it is another message’s',
  );
});

t.test(
  'over bytes, what was added to one head is not of the next, and nothing is added to that by the one before',
  async (t) => {
    const { headers: first, table } = overBytes(['X-A', 'b']);
    first.append('Via', '1');
    first.append('X-Own', '2');
    first.detach();
    first.append('X-Late', '3');
    t.equal(first.first('x-late'), '3');
    table.begin(0);
    const next = new ByteHeaders(table);
    t.same([next.count, next.appended], [0, []]);
    next.append('Via', '4');
    t.same(
      [next.raw, first.raw],
      [
        ['Via', '4'],
        ['X-Late', '3'],
      ],
    );
  },
);

t.test('over bytes, of what was added some is removed', async (t) => {
  const { headers } = overBytes([]);
  for (const name of ['X-A', 'X-B', 'x-a', 'X-C']) headers.append(name, name);
  t.equal(headers.remove('x-a'), 2);
  t.equal(headers.remove('x-a'), 0);
  t.same(headers.appended, ['X-B', 'X-B', 'X-C', 'X-C']);
  headers.append('X-D', 'd');
  t.same(headers.names, ['x-b', 'x-c', 'x-d']);
});

t.test('many names may be asked for', async (t) => {
  const { headers } = overBytes(['X-Name-299', 'found']);
  for (let i = 0; i < 300; i++) headers.has(`x-name-${i}`);
  t.equal(headers.first('x-name-299'), 'found');
});
