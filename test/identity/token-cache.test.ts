import t from 'tap';
import type { MonotonicMs } from '../../src/core/index.ts';
import type { KeySet } from '../../src/identity/key-set.ts';
import { refusals } from '../../src/identity/refusals.ts';
import { TokenCache } from '../../src/identity/token-cache.ts';
import type { IdentityProvider } from '../../src/tenants/index.ts';
import { Span } from '../../src/wire/index.ts';

/** A token as it lies in a head: among other bytes. */
const lying = (token: string): Span => {
  const bytes = Buffer.from(`Bearer ${token}\r\n`, 'latin1');
  return new Span().at(bytes, 7, 7 + token.length);
};
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

t.test('a verdict lives no longer than its token and ten minutes', async (t) => {
  const cache = new TokenCache();
  const keys = keySet();
  cache.addVerified('a', { kind: 'named', by: 'claim', id: 'x', expiresMs: 500, keys, provider: p }, at(0));
  cache.addVerified('b', { kind: 'named', by: 'claim', id: 'y', expiresMs: 1e9, keys, provider: p }, at(0));
  t.equal(cache.verified(lying('a'), at(1), 499, providers)?.id, 'x');
  t.equal(cache.verified(lying('a'), at(1), 500, providers), undefined);
  t.equal(cache.verified(lying('b'), at(599_999), 1, providers)?.id, 'y');
  t.equal(cache.verified(lying('b'), at(600_000), 1, providers), undefined);
  t.equal(cache.size, 0, 'what is over is dropped');
});

t.test('a wall clock that is set back keeps no verdict alive', async (t) => {
  const cache = new TokenCache();
  cache.addVerified(
    'a',
    { kind: 'named', by: 'claim', id: 'x', expiresMs: 7_200_000, keys: keySet(), provider: p },
    at(0),
  );
  t.equal(cache.verified(lying('a'), at(300_000), -3_600_000, providers)?.id, 'x');
  t.equal(cache.verified(lying('a'), at(600_000), -3_600_000, providers), undefined);
  cache.addRefused('b', refusal, at(0), providers);
  t.equal(cache.refused(lying('b'), at(1000), providers), undefined);
});

t.test('a verdict falls with its provider and its keys', async (t) => {
  const cache = new TokenCache();
  const keys = keySet();
  const add = (): void =>
    cache.addVerified('c', { kind: 'named', by: 'claim', id: 'z', expiresMs: 1e9, keys, provider: p }, at(0));
  add();
  t.equal(
    cache.verified(lying('c'), at(1), 1, new Map([['p', provider()]])),
    undefined,
    'another version of the provider',
  );
  add();
  t.equal(cache.verified(lying('c'), at(1), 1, new Map()), undefined, 'the provider is gone');
  add();
  t.equal(cache.verified(lying('c'), at(1), 1, providers)?.id, 'z');
  keys.isCurrent = false;
  t.equal(cache.verified(lying('c'), at(1), 1, providers), undefined);
});

t.test('a refusal lives a second, and no longer than the providers it was made under', async (t) => {
  const cache = new TokenCache();
  cache.addRefused('d', refusal, at(0), providers);
  t.equal(cache.refused(lying('d'), at(999), providers), refusal);
  t.equal(cache.refused(lying('d'), at(999), new Map(providers)), undefined);
  t.equal(cache.refused(lying('d'), at(1000), providers), undefined);
  t.equal(cache.refused(lying('e'), at(1), providers), undefined);
});

t.test('it is bounded in entries and in bytes, and strangers push out no tenant', async (t) => {
  const cache = new TokenCache();
  const keys = keySet();
  const add = (token: string): void =>
    cache.addVerified(token, { kind: 'named', by: 'claim', id: 'x', expiresMs: 1e9, keys, provider: p }, at(0));
  for (let i = 0; i < 50_010; i++) add(`t${i}`);
  t.equal(cache.size, 50_000);
  t.equal(cache.verified(lying('t9'), at(1), 1, providers), undefined, 'the oldest left');
  t.ok(cache.verified(lying('t10'), at(1), 1, providers));
  for (let i = 0; i < 5000; i++) cache.addRefused(`${i}`.padStart(8192, 'x'), refusal, at(0), providers);
  t.ok(cache.verified(lying('t10'), at(1), 1, providers));
  t.ok(cache.bytes < 10 * 2 ** 20, `${cache.bytes} bytes`);
  for (let i = 0; i < 10_000; i++) add(`${i}`.padStart(8192, 'y'));
  t.ok(cache.bytes <= 52 * 2 ** 20, `${cache.bytes} bytes`);
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
  t.equal(cache.verified(lying(`b.${end}`), at(1), 1, providers), undefined);
  t.equal(cache.verified(lying(`.${end}`), at(1), 1, providers), undefined);
  t.equal(cache.verified(lying(`a.${end}`), at(1), 1, providers)?.id, 'a', 'asking for another drops nothing');
  add(`b.${end}`);
  t.equal(cache.verified(lying(`a.${end}`), at(1), 1, providers), undefined);
  t.equal(cache.verified(lying(`b.${end}`), at(1), 1, providers)?.id, 'b');
  t.equal(cache.size, 1);
  cache.addRefused(`c.${end}`, refusal, at(0), providers);
  t.equal(cache.refused(lying(`b.${end}`), at(1), providers), undefined);
  t.equal(cache.verified(lying(`b.${end}`), at(1), 1, providers)?.id, 'b', 'a stranger’s refusal pushes out nobody');
});

t.test('every byte of a token counts, whatever its end says', async (t) => {
  const cache = new TokenCache();
  const token = `${'h'.repeat(40)}.${'c'.repeat(120)}.${'s'.repeat(43)}`;
  const value = { kind: 'named', by: 'claim', id: 'x', expiresMs: 1e9, keys: keySet(), provider: p } as const;
  // Others before and behind it in its page.
  cache.addVerified('before', value, at(0));
  cache.addVerified(token, value, at(0));
  cache.addVerified('behind', value, at(0));
  for (let i = 0; i < token.length; i++) {
    const other = `${token.slice(0, i)}!${token.slice(i + 1)}`;
    t.equal(cache.verified(lying(other), at(1), 1, providers), undefined, `byte ${i}`);
  }
  t.equal(cache.verified(lying(`x${token}`), at(1), 1, providers), undefined, 'a longer one');
  t.equal(cache.verified(lying(token.slice(1)), at(1), 1, providers), undefined, 'a shorter one');
  t.equal(cache.verified(lying(token), at(1), 1, providers)?.id, 'x');
});

t.test('a token that is added anew is one, and one that nobody uses holds no page', async (t) => {
  const cache = new TokenCache();
  const value = { kind: 'named', by: 'claim', id: 'x', expiresMs: 1e9, keys: keySet(), provider: p } as const;
  cache.addVerified('once', value, at(0));
  for (let round = 1; round < 100; round++)
    for (let i = 0; i < 100; i++) cache.addVerified(`${i}`.padStart(1000, 'x'), value, at(round * 600_000));
  t.equal(cache.size, 100, 'what was over went with its page');
  t.equal(cache.bytes, 2 * 64 * 1024);
});

t.test('a token that is added again and again takes its room once', async (t) => {
  const cache = new TokenCache();
  const of = (id: string) => ({ kind: 'named', by: 'claim', id, expiresMs: 1e9, keys: keySet(), provider: p }) as const;
  cache.addVerified('a token of globex', of('globex'), at(0));
  const bytes = cache.bytes;
  const long = 'acme'.repeat(2000);
  for (let i = 0; i < 7000; i++) cache.addVerified(long, of(`acme${i}`), at(1));
  t.equal(cache.verified(lying('a token of globex'), at(2), 1, providers)?.id, 'globex');
  t.equal(cache.verified(lying(long), at(2), 1, providers)?.id, 'acme6999', 'the last that was said');
  t.equal(cache.bytes, bytes);
  t.equal(cache.verified(lying(long), at(600_001), 1, providers), undefined, 'and lives no longer than at first');
  cache.addVerified(long, of('again'), at(600_002));
  t.equal(cache.verified(lying(long), at(600_003), 1, providers)?.id, 'again');
});
