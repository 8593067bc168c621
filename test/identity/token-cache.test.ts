import t from 'tap';
import type { MonotonicMs } from '../../src/core/index.ts';
import type { KeySet } from '../../src/identity/key-set.ts';
import { refusals } from '../../src/identity/refusals.ts';
import { TokenCache } from '../../src/identity/token-cache.ts';
import type { IdentityProvider } from '../../src/tenants/index.ts';

const at = (ms: number): MonotonicMs => ms as MonotonicMs;
const provider = (name = 'p'): IdentityProvider => ({
  name,
  issuer: 'i',
  audiences: [],
  algorithms: [],
  jwks: { file: 'f', text: '' },
  tenantClaim: 'c',
  tokenType: undefined,
  source: 'p.yaml',
  clockSkewMs: 0,
});
const keySet = (): KeySet => ({ isCurrent: true, keys: [], ignored: [] });
const p = provider();
const providers = new Map([['p', p]]);
const refusal = refusals.signature;

t.test('a verdict lives no longer than its token and a minute', async (t) => {
  const cache = new TokenCache();
  const keys = keySet();
  cache.addVerified('a', { kind: 'named', by: 'claim', id: 'x', expiresMs: 500, keys, provider: p }, at(0));
  cache.addVerified('b', { kind: 'named', by: 'claim', id: 'y', expiresMs: 1e9, keys, provider: p }, at(0));
  t.equal(cache.verified('a', at(1), 499, providers)?.id, 'x');
  t.equal(cache.verified('a', at(1), 500, providers), undefined);
  t.equal(cache.verified('b', at(59_999), 1, providers)?.id, 'y');
  t.equal(cache.verified('b', at(60_000), 1, providers), undefined);
  t.equal(cache.size, 0, 'what is over is dropped');
});

t.test('a wall clock that is set back keeps no verdict alive', async (t) => {
  const cache = new TokenCache();
  cache.addVerified(
    'a',
    { kind: 'named', by: 'claim', id: 'x', expiresMs: 7_200_000, keys: keySet(), provider: p },
    at(0),
  );
  t.equal(cache.verified('a', at(30_000), -3_600_000, providers)?.id, 'x');
  t.equal(cache.verified('a', at(60_000), -3_600_000, providers), undefined);
  cache.addRefused('b', refusal, at(0), providers);
  t.equal(cache.refused('b', at(1000), providers), undefined);
});

t.test('a verdict falls with its provider and its keys', async (t) => {
  const cache = new TokenCache();
  const keys = keySet();
  const add = (): void =>
    cache.addVerified('c', { kind: 'named', by: 'claim', id: 'z', expiresMs: 1e9, keys, provider: p }, at(0));
  add();
  t.equal(cache.verified('c', at(1), 1, new Map([['p', provider()]])), undefined, 'another version of the provider');
  add();
  t.equal(cache.verified('c', at(1), 1, new Map()), undefined, 'the provider is gone');
  add();
  t.equal(cache.verified('c', at(1), 1, providers)?.id, 'z');
  keys.isCurrent = false;
  t.equal(cache.verified('c', at(1), 1, providers), undefined);
});

t.test('a refusal lives a second, and no longer than the providers it was made under', async (t) => {
  const cache = new TokenCache();
  cache.addRefused('d', refusal, at(0), providers);
  t.equal(cache.refused('d', at(999), providers), refusal);
  t.equal(cache.refused('d', at(999), new Map(providers)), undefined);
  t.equal(cache.refused('d', at(1000), providers), undefined);
  t.equal(cache.refused('e', at(1), providers), undefined);
});

t.test('it is bounded in entries and in characters, and strangers push out no tenant', async (t) => {
  const cache = new TokenCache();
  const keys = keySet();
  const add = (token: string): void =>
    cache.addVerified(token, { kind: 'named', by: 'claim', id: 'x', expiresMs: 1e9, keys, provider: p }, at(0));
  for (let i = 0; i < 50_010; i++) add(`t${i}`);
  t.equal(cache.size, 50_000);
  t.equal(cache.verified('t9', at(1), 1, providers), undefined, 'the oldest left');
  t.ok(cache.verified('t10', at(1), 1, providers));
  for (let i = 0; i < 5000; i++) cache.addRefused(`${i}`.padStart(8192, 'x'), refusal, at(0), providers);
  t.ok(cache.verified('t10', at(1), 1, providers));
  t.ok(cache.chars < 10 * 2 ** 20, `${cache.chars} characters`);
  for (let i = 0; i < 10_000; i++) add(`${i}`.padStart(8192, 'y'));
  t.ok(cache.chars <= 52 * 2 ** 20, `${cache.chars} characters`);
  t.ok(cache.size > 6000, `${cache.size} tokens`);
});

t.test('two tokens with one end are two: neither speaks for the other', async (t) => {
  const cache = new TokenCache();
  const end = 'signature'.repeat(10);
  const add = (token: string): void =>
    cache.addVerified(
      token,
      { kind: 'named', by: 'claim', id: token.slice(0, 1), expiresMs: 1e9, keys: keySet(), provider: p },
      at(0),
    );
  add(`a.${end}`);
  t.equal(cache.verified(`b.${end}`, at(1), 1, providers), undefined);
  t.equal(cache.verified(`.${end}`, at(1), 1, providers), undefined);
  t.equal(cache.verified(`a.${end}`, at(1), 1, providers)?.id, 'a', 'asking for another drops nothing');
  add(`b.${end}`);
  t.equal(cache.verified(`a.${end}`, at(1), 1, providers), undefined);
  t.equal(cache.verified(`b.${end}`, at(1), 1, providers)?.id, 'b');
  t.equal(cache.size, 1);
  t.equal(cache.chars, end.length + 2);
  cache.addRefused(`c.${end}`, refusal, at(0), providers);
  t.equal(cache.refused(`b.${end}`, at(1), providers), undefined);
  t.equal(cache.verified(`b.${end}`, at(1), 1, providers)?.id, 'b', 'a stranger’s refusal pushes out nobody');
});

t.test('a token that is added anew is counted once', async (t) => {
  const cache = new TokenCache();
  for (let i = 0; i < 3; i++)
    cache.addVerified(
      'abc',
      { kind: 'named', by: 'claim', id: 'x', expiresMs: 1e9, keys: keySet(), provider: p },
      at(0),
    );
  t.equal(cache.chars, 3);
});
