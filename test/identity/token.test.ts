import t from 'tap';
import { claimAt } from '../../src/identity/claims.ts';
import { readForm } from '../../src/identity/token.ts';
import { base64url, tokenFor } from '../helpers/tokens.ts';

const form = (header: string, payload: string) => readForm(`${base64url(header)}.${base64url(payload)}.AA`);
const withPayload = (payload: string) => form('{"alg":"X"}', payload);

t.test('the form of a token says who may verify it', async (t) => {
  t.match(readForm(tokenFor('o', {}, { typ: 'application/AT+JWT' })), {
    algorithm: 'RS256',
    keyId: 'k1',
    type: 'at+jwt',
    issuer: 'https://id.test',
  });
  t.match(form('{"alg":"X","a":"\\"b:c\\\\","d":[{"e":1}]}', '{"iss":"i"}'), {
    algorithm: 'X',
    keyId: undefined,
    type: undefined,
  });
});

t.test('what has no one meaning is no token', async (t) => {
  for (const [name, header, payload] of [
    ['no alg', '{}', '{"iss":"i"}'],
    ['kid a number', '{"alg":"X","kid":1}', '{"iss":"i"}'],
    ['typ null', '{"alg":"X","typ":null}', '{"iss":"i"}'],
    ['crit', '{"alg":"X","crit":[]}', '{"iss":"i"}'],
    ['b64', '{"alg":"X","b64":true}', '{"iss":"i"}'],
    ['zip', '{"alg":"X","zip":"DEF"}', '{"iss":"i"}'],
    ['enc', '{"alg":"X","enc":"x"}', '{"iss":"i"}'],
    ['no issuer', '{"alg":"X"}', '{}'],
    ['header a list', '[]', '{"iss":"i"}'],
    ['payload null', '{"alg":"X"}', 'null'],
    ['payload no JSON', '{"alg":"X"}', '{"iss"'],
    ['alg twice', '{"alg":"X","alg":"X"}', '{"iss":"i"}'],
  ] as const)
    t.equal(form(header, payload), undefined, name);
  const strayBits = `${base64url('{"alg":"X"}')}A`;
  t.equal(readForm(`${strayBits}.${base64url('{"iss":"i"}')}.AA`), undefined);
  for (const text of ['a.b', 'a.b.c.d', '..', 'a..c', `${base64url('{"alg":"X"}')}.${base64url('{"iss":"i"}')}.AB`])
    t.equal(readForm(text), undefined, text);
  t.equal(
    readForm(`${base64url('{"alg":"X"}')}.${Buffer.from('{"iss":"\xff"}', 'latin1').toString('base64url')}.AA`),
    undefined,
  );
});

t.test('no member twice, at any depth, however it is spelt', async (t) => {
  for (const payload of [
    '{"iss":"i","a":1,"a":1}',
    '{"iss":"i","a":1,"\\u0061":1}',
    '{"iss":"i","app":{"org":"acme","org":"globex"}}',
    '{"iss":"i","list":[1,{"x":{"org":1,"org":2}}]}',
    '{"iss":"i","__proto__":1,"__proto__":2}',
    '{"iss":"i","a":{"":1,"":2}}',
  ])
    t.equal(withPayload(payload), undefined, payload);
  for (const payload of [
    '{"iss":"i","app":{"org":"a"},"other":{"org":"b"},"list":[{"org":1},{"org":2}]}',
    '{"iss":"i","text":"\\",\\"a\\":1,{}:[","more":"::"}',
    '{"iss":"i","__proto__":{"org":1},"none":null,"empty":{},"void":[]}',
  ])
    t.match(withPayload(payload), { issuer: 'i' }, payload);
  const depth = 2000;
  t.match(withPayload(`{"iss":"i","deep":${'['.repeat(depth)}${']'.repeat(depth)}}`), { issuer: 'i' });
});

t.test('a claim is found by its name, else by its path, among own members only', async (t) => {
  t.equal(claimAt({ org: 'a' }, 'org'), 'a');
  t.equal(claimAt({ 'app.org': 'direct', app: { org: 'nested' } }, 'app.org'), 'direct');
  t.equal(claimAt({ app: { org: 'nested' } }, 'app.org'), 'nested');
  t.equal(claimAt({ org: 4711 }, 'org'), '4711');
  for (const org of [4711.5, 2 ** 53, '', 'x'.repeat(257), true, null, ['a'], { id: 'a' }])
    t.equal(claimAt({ org }, 'org'), undefined, JSON.stringify(org));
  t.equal(claimAt({ app: 'x' }, 'app.length'), undefined);
  t.equal(claimAt({ app: ['x'] }, 'app.0'), undefined);
  t.equal(claimAt({ app: null }, 'app.org'), undefined);
  t.equal(claimAt({}, 'constructor.name'), undefined);
});
