import t from 'tap';
import { FieldTable, type KnownName, knownId, SUSPECT } from '../../src/wire/index.ts';
import { wire } from '../helpers/pieces.ts';

/** Never copied to the next hop. */
const FRAMING: readonly KnownName[] = [
  ...(['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'te'] as const),
  ...(['trailer', 'transfer-encoding', 'upgrade', 'http2-settings', 'expect', 'host', 'content-length'] as const),
];
const OTHERS: readonly KnownName[] = [
  ...([
    'authorization',
    'x-request-id',
    'traceparent',
    'tracestate',
    'baggage',
    'forwarded',
    'x-forwarded-for',
  ] as const),
  ...([
    'x-forwarded-proto',
    'x-forwarded-host',
    'x-real-ip',
    'via',
    'content-type',
    'cookie',
    'x-api-key',
    'date',
  ] as const),
];

function tableOf(names: readonly string[]): FieldTable {
  const table = new FieldTable(names.length);
  const bytes = wire(`${names.map((name) => `${name}: \r\n`).join('')}\r\n`);
  table.moveTo(bytes, 0);
  table.begin(0);
  if (table.scan(bytes.length) !== bytes.length) throw new Error('not sound');
  return table;
}

t.test('every known name is recognised in any case, has a bit of its own, and is copied or not', async (t) => {
  const names = [...FRAMING, ...OTHERS];
  const ids = names.map(knownId);
  t.equal(new Set(ids).size, names.length);
  t.ok(ids.every((id) => id >= 1 && id <= 30));
  for (const spelt of [names, names.map((each) => each.toUpperCase())]) {
    const table = tableOf(spelt);
    t.same([...table.kinds], ids);
    t.same([...table.kept], [...FRAMING.map(() => 0), ...OTHERS.map(() => 1)]);
    t.same(
      names.map((name) => table.first(knownId(name))),
      names.map((_, i) => i),
    );
    t.equal(table.hasSuspect, false);
  }
});

t.test('a name that is nearly a known one is none', async (t) => {
  for (const name of [...FRAMING, ...OTHERS]) {
    const middle = name.length >> 1;
    const near = [`${name}s`, name.slice(0, -1), `q${name}`, `${name.slice(0, middle)}q${name.slice(middle + 1)}`];
    const kinds = [...tableOf(near.filter((each) => each !== 't')).kinds];
    t.ok(
      kinds.every((kind) => kind === 0 || kind === SUSPECT),
      `${name}: ${kinds}`,
    );
  }
});

t.test('suspect is every unknown name that could be a protected one', async (t) => {
  const suspects = [
    'x',
    'X-Tenant-Id',
    't',
    'Tenant-Id',
    'Txn-Token',
    'a_b',
    'a.b',
    '_',
    '.',
    'content_length',
    'x-org',
  ];
  const plain = ['accept', 'ax', 'at', 'y-tenant-id', 'u', 's', 'w', 'a-b', '8', '4', 'X-Request-Id', 'traceparent'];
  t.same(
    [...tableOf(suspects).kinds],
    suspects.map(() => SUSPECT),
  );
  t.same(
    [...tableOf(suspects).kept],
    suspects.map(() => 1),
    'it is for identity to drop them',
  );
  t.equal(tableOf(plain).kinds.includes(SUSPECT), false);
  for (const each of suspects) t.equal(tableOf(['a', each, 'b']).hasSuspect, true, each);
  t.equal(tableOf(plain).hasSuspect, false);
});

t.test('a full table knows where its last line ends, and one line more is too many', async (t) => {
  const table = new FieldTable(2);
  const two = wire('a: 1\r\nb: 2\r\n\r\n');
  table.moveTo(two, 0);
  table.begin(0);
  t.equal(table.scan(two.length), two.length);
  t.same([table.count, table.nameFrom(2), table.isTight(1)], [2, two.length - 2, true]);
  const three = wire('a: 1\r\nb: 2\r\nc: 3\r\n\r\n');
  table.moveTo(three, 0);
  table.begin(0);
  t.equal(table.scan(three.length), -2);
});

t.test('a field that comes again is seen twice, and the first is the first', async (t) => {
  const table = tableOf(['Via', 'a', 'Host', 'via', 'Via', 'A']);
  t.same([table.seen, table.seenTwice], [(1 << knownId('via')) | (1 << knownId('host')), 1 << knownId('via')]);
  const both = tableOf(['via', 'cookie', 'via', 'cookie']);
  t.equal(both.seenTwice, (1 << knownId('via')) | (1 << knownId('cookie')), 'each of them');
  t.same([table.first(knownId('via')), table.first(knownId('host')), table.first(knownId('cookie'))], [0, 2, -1]);
});
