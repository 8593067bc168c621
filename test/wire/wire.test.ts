import t from 'tap';
import {
  foldName,
  type GateRules,
  gate,
  HeaderList,
  listMembers,
  mayTrail,
  stripHopByHop,
} from '../../src/wire/index.ts';

const rules: GateRules = {
  headersMax: 5,
  headBytesMax: 200,
  targetBytesMax: 50,
  isProtectedName: (name) => name === 'x-tenant-id',
};
const judge = (fields: string[], o: { method?: string; target?: string; version?: string } = {}) =>
  gate(
    {
      method: o.method ?? 'GET',
      target: o.target ?? '/x?y',
      version: o.version ?? '1.1',
      headers: new HeaderList(fields),
    },
    rules,
  );
const HOST = ['Host', 'A.Example.:80'];

t.test('what passes is taken apart', async (t) => {
  t.match(judge(HOST), {
    isRefused: false,
    target: '/x?y',
    path: '/x',
    host: 'a.example',
    authority: 'A.Example.:80',
    framing: { kind: 'none' },
    expectsContinue: false,
  });
  t.match(judge(['Host', '[::1]:8080', 'Content-Length', '5', 'Expect', '100-continue'], { method: 'POST' }), {
    host: '[::1]',
    framing: { kind: 'length', bytes: 5 },
    expectsContinue: true,
  });
  t.match(judge([...HOST, 'Transfer-Encoding', 'Chunked']), { framing: { kind: 'chunked' } });
  t.match(judge([], { version: '1.0' }), { host: '', authority: undefined });
  t.match(judge(['Host', 'a'], { target: 'HTTP://b:1/p' }), { target: '/p', host: 'b', authority: 'b:1' });
  t.match(judge(['Host', 'a'], { target: 'https://b?q' }), { target: '/?q', path: '/' });
  t.match(judge(['Host', 'a'], { target: 'http://b' }), { target: '/' });
  t.match(judge(['Host', 'a'], { target: '*', method: 'OPTIONS' }), { target: '*', path: '*' });
  t.match(judge([...HOST, 'Connection', 'keep-alive, X-Own']), { isRefused: false });
});

t.test('what could be read in two ways is refused', async (t) => {
  const rows: [string, ReturnType<typeof judge>, string][] = [
    ['version', judge(HOST, { version: '2.0' }), 'malformed-request'],
    ['method', judge(HOST, { method: 'G T' }), 'malformed-request'],
    ['empty method', judge(HOST, { method: '' }), 'malformed-request'],
    ['TRACE', judge(HOST, { method: 'TRACE' }), 'method-not-supported'],
    ['long', judge(HOST, { target: `/${'x'.repeat(50)}` }), 'target-too-long'],
    ['fragment', judge(HOST, { target: '/#' }), 'malformed-request'],
    ['empty', judge(HOST, { target: '' }), 'malformed-request'],
    ['obs-text', judge(HOST, { target: '/é' }), 'malformed-request'],
    ['ftp', judge(HOST, { target: 'ftp://a/' }), 'malformed-request'],
    ['no authority', judge(HOST, { target: 'http:///x' }), 'malformed-request'],
    ['star', judge(HOST, { target: '*' }), 'malformed-request'],
    ['count', judge([...HOST, 'a', '', 'b', '', 'c', '', 'd', '', 'e', '']), 'head-too-large'],
    ['bytes', judge([...HOST, 'a', 'x'.repeat(200)]), 'head-too-large'],
    ['name', judge([...HOST, 'a b', '']), 'malformed-request'],
    ['value', judge([...HOST, 'a', '\x01']), 'malformed-request'],
    ['wide value', judge([...HOST, 'a', '\u0100']), 'malformed-request'],
    ['no host', judge([]), 'malformed-request'],
    ['two hosts', judge([...HOST, ...HOST]), 'malformed-request'],
    ['bad host', judge(['Host', 'a/b']), 'malformed-request'],
    ['bad ip6', judge(['Host', '[zz]']), 'malformed-request'],
    ['open ip6', judge(['Host', '[::1']), 'malformed-request'],
    ['port', judge(['Host', 'a:1x']), 'malformed-request'],
    ['large port', judge(['Host', 'a:70000']), 'malformed-request'],
    ['long port', judge(['Host', 'a:700000']), 'malformed-request'],
    ['ip6 junk', judge(['Host', '[::1]x']), 'malformed-request'],
    ['bad host beside a good URL', judge(['Host', 'a b'], { target: 'http://b/' }), 'malformed-request'],
    ['long host', judge(['Host', 'a'.repeat(190)], {}), 'head-too-large'],
    ['CL and TE', judge([...HOST, 'Content-Length', '1', 'Transfer-Encoding', 'chunked']), 'malformed-request'],
    ['TE in 1.0', judge(['Transfer-Encoding', 'chunked'], { version: '1.0' }), 'malformed-request'],
    ['TE twice', judge([...HOST, 'Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked']), 'malformed-request'],
    ['TE other', judge([...HOST, 'Transfer-Encoding', 'gzip']), 'unsupported-transfer-coding'],
    ['CL twice', judge([...HOST, 'Content-Length', '1', 'Content-Length', '1']), 'malformed-request'],
    ['CL sign', judge([...HOST, 'Content-Length', '+1']), 'malformed-request'],
    ['CL empty', judge([...HOST, 'Content-Length', '']), 'malformed-request'],
    ['CL huge', judge([...HOST, 'Content-Length', '1'.repeat(16)]), 'malformed-request'],
    ['expect', judge([...HOST, 'Expect', 'x']), 'expectation-failed'],
    ['nominates host', judge([...HOST, 'Connection', 'close, HOST']), 'hop-by-hop-nomination'],
    ['nominates a fold', judge([...HOST, 'Connection', 'X_Tenant.Id']), 'hop-by-hop-nomination'],
    ['nominates forwarding', judge([...HOST, 'Connection', 'x-forwarded-for']), 'hop-by-hop-nomination'],
    ['nominates no token', judge([...HOST, 'Connection', 'a b']), 'hop-by-hop-nomination'],
  ];
  for (const [name, result, code] of rows) t.match(result, { isRefused: true, code }, name);
});

t.test('a header list keeps order, case and duplicates', async (t) => {
  const list = new HeaderList(['A', '1', 'b', '2', 'a', '3']);
  t.same(
    [list.count, list.first('a'), list.first('z'), list.all('a'), list.has('b'), list.has('B')],
    [3, '1', undefined, ['1', '3'], true, false],
  );
  list.append('C', '4');
  t.equal(list.remove('a'), 2);
  t.same(
    [list.raw, list.names],
    [
      ['b', '2', 'C', '4'],
      ['b', 'c'],
    ],
  );
  const hops = new HeaderList(['Connection', 'X, close', 'x', '1', 'TE', 'trailers', 'Keep-Alive', '5', 'Y', '2']);
  stripHopByHop(hops);
  t.same(hops.raw, ['Y', '2']);
  const none = new HeaderList(['Y', '2']);
  stripHopByHop(none);
  t.equal(none.count, 1);
  t.same(listMembers(['a , B,,', '\t c']), ['a', 'b', 'c']);
  t.same(
    listMembers(['keep-alive\u00a0, \u00a0', ' \t ']),
    ['keep-alive\u00a0', '\u00a0'],
    'a no-break space is no blank',
  );
  t.equal(foldName('X_Tenant.Id'), 'x-tenant-id');
  t.same(['x-checksum', 'content-length', 'Set-Cookie', 'a b'].map(mayTrail), [true, false, false, false]);
});
