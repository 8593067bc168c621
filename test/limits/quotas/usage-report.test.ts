import fc from 'fast-check';
import t from 'tap';
import { usageOfBody, usageOfHeader } from '../../../src/limits/quotas/usage-report.ts';

t.test('a header: meters with numbers, all of it or nothing', async (t) => {
  t.same(usageOfHeader('storage_bytes=+1024, llm_tokens=812,x=-0.5'), [
    { meter: 'storage_bytes', sign: '+', units: 1024 },
    { meter: 'llm_tokens', sign: '', units: 812 },
    { meter: 'x', sign: '-', units: 0.5 },
  ]);
  for (const bad of [
    '',
    ',',
    'a',
    'a=',
    'a=x',
    'A=1',
    'a=1,',
    'a=1;b=2',
    'a = 1',
    'a=1e5',
    'a=NaN',
    'a=1.',
    '1=1',
    'a=9999999999999999',
  ])
    t.equal(usageOfHeader(bad), undefined, bad);
  t.equal(usageOfHeader(`a=${' '.repeat(2000)}1`), undefined);
  t.equal(usageOfHeader(Array(17).fill('a=1').join(',')), undefined);
});

t.test('a body: every way to be wrong has its sentence', async (t) => {
  t.same(usageOfBody('{"tenant":"acme","usage":{"a":1,"b":"+2","c":-3,"d":"-4.5","e":"6"}}'), {
    tenant: 'acme',
    usages: [
      { meter: 'a', sign: '', units: 1 },
      { meter: 'b', sign: '+', units: 2 },
      { meter: 'c', sign: '-', units: 3 },
      { meter: 'd', sign: '-', units: 4.5 },
      { meter: 'e', sign: '', units: 6 },
    ],
  });
  const usage = { a: 1 };
  for (const [body, sentence] of [
    ['{', /no JSON/],
    ['null', /tenant must be/],
    ['[1]', /"0" is no member/],
    [JSON.stringify({ tenant: 'a', usage, id: 1 }), /"id" is no member/],
    [JSON.stringify({ tenant: 1, usage }), /tenant must be/],
    [JSON.stringify({ tenant: 'a', usage: null }), /usage must be an object/],
    [JSON.stringify({ tenant: 'a', usage: 'x' }), /usage must be an object/],
    [JSON.stringify({ tenant: 'a', usage: [] }), /usage must be an object/],
    [JSON.stringify({ tenant: 'a', usage: {} }), /1 to 16 meters/],
    [JSON.stringify({ tenant: 'a', usage: { A: 1 } }), /"A" must be a meter/],
    [JSON.stringify({ tenant: 'a', usage: { a: 'x' } }), /"a" must be/],
    [JSON.stringify({ tenant: 'a', usage: { a: true } }), /"a" must be/],
    [JSON.stringify({ tenant: 'a', usage: { a: -2e15 } }), /"a" must be/],
  ] as const)
    t.match(usageOfBody(body), sentence, body);
  t.match(
    usageOfBody(
      JSON.stringify({ tenant: 'a', usage: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`m${i}`, 1])) }),
    ),
    /1 to 16/,
  );
});

t.test('whatever comes, it is a list of sound usages or nothing', async (t) => {
  const isSound = (usages: readonly { meter: string; units: number }[]): boolean =>
    usages.every(({ meter, units }) => /^[a-z][a-z0-9_]{0,62}$/.test(meter) && units >= 0 && units <= 1e15);
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.json(), fc.string({ unit: fc.constantFrom('a', '=', '+', '-', ',', '1', '.', ' ') })),
      (text) => {
        const header = usageOfHeader(text);
        const body = usageOfBody(text);
        return (header === undefined || isSound(header)) && (typeof body === 'string' || isSound(body.usages));
      },
    ),
    { seed: 42, numRuns: 2000 },
  );
  t.pass('seed 42');
});
