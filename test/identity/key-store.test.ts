/** Keys by URL, from a real server under a clock of the test. */
import { generateKeyPairSync } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import t from 'tap';
import { type Ending, listening } from '../helpers/sidecar.ts';
import { provider } from '../helpers/tenancy.ts';
import { keySet, tokenFor } from '../helpers/tokens.ts';
import { type IdentityWorld, identityWorld } from './world.ts';

interface KeyServer {
  readonly url: string;
  fetches: number;
  answer(res: ServerResponse): void;
}

async function keyServer(t: Ending): Promise<KeyServer> {
  const self = {
    url: '',
    fetches: 0,
    answer: (res: ServerResponse): void => void res.end(keySet()),
  };
  const http = createServer((_req, res) => {
    self.fetches++;
    self.answer(res);
  });
  self.url = `http://127.0.0.1:${await listening(t, http)}/jwks`;
  return self;
}

const byUrl = (url: string, more: object = {}): Record<string, string> => ({
  'providers.yaml': provider('main', { jwks: { url, allowPrivate: true }, ...more }),
});
const bearer = (org = 'org_acme', header: object = {}): string[] => [
  'Authorization',
  `Bearer ${tokenFor(org, {}, header)}`,
];
const away = (res: ServerResponse): void => void res.writeHead(500).end();
/** The fetch that a refresh began beside a request. */
const settled = async (w: IdentityWorld, fetches: number): Promise<void> => {
  while (
    (await w.count('reeve_jwks_fetches_total{result="ok"}')) +
      (await w.count('reeve_jwks_fetches_total{result="failed"}')) <
    fetches
  )
    await w.clock.yieldLoop();
  await w.clock.yieldLoop();
};

t.test('a generation comes with its keys, and one that changes no provider fetches nothing', async (t) => {
  const server = await keyServer(t);
  const w = await identityWorld(byUrl(server.url));
  t.equal(await w.who(bearer()), 'acme');
  await w.load(byUrl(server.url));
  t.equal(await w.who(bearer()), 'acme');
  t.equal(server.fetches, 1);
});

t.test('a provider whose keys were never prepared has none, and nothing is fetched for it', async (t) => {
  const server = await keyServer(t);
  const w = await identityWorld(byUrl(server.url));
  const [main] = w.snapshot.providers.values();
  w.snapshot = { ...w.snapshot, providers: new Map([['main', { ...(main as NonNullable<typeof main>) }]]) };
  t.equal(await w.who(bearer()), 'identity-unavailable');
  t.equal(server.fetches, 1);
});

t.test('a key nobody knows causes one fetch for all who ask, and no other within the cool-down', async (t) => {
  const server = await keyServer(t);
  const w = await identityWorld(byUrl(server.url));
  const strangers = (): Promise<string[]> =>
    Promise.all(Array.from({ length: 20 }, (_, i) => w.who(bearer('org_acme', { kid: `unknown-${i}` }))));
  t.same(new Set(await strangers()), new Set(['credential-invalid']));
  t.equal(server.fetches, 1, 'the first fetch was just now');
  w.clock.advance(30_000);
  await strangers();
  t.equal(server.fetches, 2, 'single flight');
  w.clock.advance(29_999);
  await strangers();
  t.equal(server.fetches, 2);
  t.equal(await w.who(bearer()), 'acme');
});

t.test('keys are fetched again beside their use, and a rolled key is found at once', async (t) => {
  const server = await keyServer(t);
  const w = await identityWorld(byUrl(server.url));
  const [name, token] = bearer() as [string, string];
  t.equal(await w.who([name, token]), 'acme');
  server.answer = (res) => void res.end('{"keys":[]}');
  w.clock.advance(600_001);
  t.equal(await w.who(bearer()), 'acme', 'not kept waiting');
  await settled(w, 2);
  t.equal(server.fetches, 2);
  t.equal(await w.who([name, token]), 'credential-invalid', 'the cached token falls with its key');
});

t.test('a key that was taken away is noticed also where every token is known', async (t) => {
  const server = await keyServer(t);
  const w = await identityWorld(byUrl(server.url));
  w.clock.advance(599_000);
  const [name, token] = bearer() as [string, string];
  t.equal(await w.who([name, token]), 'acme', 'verified just before its keys are to be looked at again');
  server.answer = (res) => void res.end('{"keys":[]}');
  w.clock.advance(2000);
  t.equal(await w.who([name, token]), 'acme', 'known, and not kept waiting');
  await settled(w, 2);
  t.equal(await w.who([name, token]), 'credential-invalid');
  t.equal(server.fetches, 2);
});

t.test('where keys have no names, a signature that none of them made may be of a new key', async (t) => {
  const server = await keyServer(t);
  const nameless = (text: string): string =>
    JSON.stringify({ keys: (JSON.parse(text) as { keys: object[] }).keys.map((key) => ({ ...key, kid: undefined })) });
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' });
  server.answer = (res) => void res.end(JSON.stringify({ keys: [other] }));
  const w = await identityWorld(byUrl(server.url));
  server.answer = (res) => void res.end(nameless(keySet()));
  t.equal(await w.who(bearer()), 'credential-invalid', 'within the cool-down');
  w.clock.advance(30_000);
  t.equal(await w.who(bearer('org_acme', { kid: undefined })), 'acme');
  t.equal(await w.who(bearer('org_globex')), 'globex');
  t.equal(server.fetches, 2);
  w.clock.advance(30_000);
  t.equal(await w.who(bearer('org_acme', { typ: 'JWT', kid: 'k9' })), 'acme');
  t.equal(server.fetches, 2, 'what verifies asks for nothing');
});

t.test('a bad signature by a key that is known by name causes no fetch', async (t) => {
  const server = await keyServer(t);
  const w = await identityWorld(byUrl(server.url));
  w.clock.advance(60_000);
  const [name, token] = bearer() as [string, string];
  t.equal(await w.who([name, `${token.slice(0, -6)}AAAAAA`]), 'credential-invalid');
  t.equal(server.fetches, 1);
  t.equal(await w.who(bearer('org_acme', { alg: 'RS512', kid: 'new' })), 'credential-invalid');
  t.equal(server.fetches, 1, 'nor does an algorithm that is not allowed');
  t.equal(await w.who([name, `Bearer ${tokenFor('org_acme', { exp: 5 }, { kid: 'new' })}`]), 'credential-invalid');
  t.equal(server.fetches, 2, 'the second names another key');
});

t.test('keys are kept while the server is away', async (t) => {
  const server = await keyServer(t);
  const w = await identityWorld(byUrl(server.url));
  server.answer = away;
  w.clock.advance(600_001);
  t.equal(await w.who(bearer()), 'acme');
  await settled(w, 2);
  t.equal(await w.who(bearer('org_globex')), 'globex');
  t.match(w.lines.at(-1), /keys_not_fetched.*"kept":true/);
});

t.test('a provider that changed takes over the keys of its URL, and its tokens stay cached', async (t) => {
  const server = await keyServer(t);
  const w = await identityWorld(byUrl(server.url));
  server.answer = away;
  await w.load(byUrl(server.url, { clockSkew: '6s' }));
  t.equal(await w.who(bearer()), 'acme');
  // The earlier version's slot goes only now; the keys it shared must not fall with it.
  await w.load({
    ...byUrl(server.url, { clockSkew: '6s' }),
    'more.yaml': provider('other', { issuer: 'https://other.test' }),
  });
  const fields = bearer('org_globex');
  for (let i = 0; i < 3; i++) t.equal(await w.who(fields), 'globex');
  t.equal(await w.count('reeve_identity_tokens_total{result="hit"}'), 2);
});

t.test('no keys are taken over from another URL, or for other algorithms', async (t) => {
  const server = await keyServer(t);
  for (const change of [{ jwks: { url: 'http://127.0.0.1:1/', allowPrivate: true } }, { algorithms: ['RS512'] }]) {
    server.answer = (res) => void res.end(keySet());
    const w = await identityWorld(byUrl(server.url));
    server.answer = away;
    await w.load({ 'providers.yaml': provider('main', { jwks: { url: server.url, allowPrivate: true }, ...change }) });
    t.not(await w.who(bearer()), 'acme', JSON.stringify(change));
  }
});

t.test(
  'without any keys the answer is to come again, and who does so in a second finds a server that is back',
  async (t) => {
    const server = await keyServer(t);
    server.answer = away;
    const w = await identityWorld(byUrl(server.url));
    const { reply } = await w.ask(bearer());
    t.match(reply, { code: 'identity-unavailable', retryAfterMs: 1000 });
    t.equal(server.fetches, 1, 'not for each token');
    server.answer = (res) => void res.end(keySet());
    w.clock.advance(900);
    const late = bearer('org_globex');
    t.equal(await w.who(late), 'identity-unavailable');
    w.clock.advance((reply?.retryAfterMs as number) - 900);
    t.equal(await w.who(bearer()), 'acme');
    t.equal(await w.who(late), 'globex', 'that nobody could tell is not remembered against a token');
  },
);

t.test('a generation does not wait for a server that does not answer', async (t) => {
  const server = await keyServer(t);
  const waiting: ServerResponse[] = [];
  server.answer = (res) => void waiting.push(res);
  let isReady = false;
  const opening = identityWorld(byUrl(server.url)).then((w) => {
    isReady = true;
    return w;
  });
  void opening;
  const w = await identityWorld();
  const loading = w.load(byUrl(server.url));
  while (waiting.length < 2) await w.clock.yieldLoop();
  t.notOk(isReady);
  w.clock.advance(2000);
  await loading;
  const asked = w.who(bearer());
  for (const res of waiting) res.end(keySet());
  t.equal(await asked, 'acme', 'the request waited for the fetch that was on its way');
  await opening;
});

t.test('a generation whose keys are there leaves no timer that would keep the process', async (t) => {
  const w = await identityWorld();
  t.equal(w.clock.pending, 0);
});

t.test('an exchange of a generation that is long gone finds no keys', async (t) => {
  const w = await identityWorld();
  const old = w.snapshot;
  await w.load({ 'providers.yaml': provider('main', { clockSkew: '6s' }) });
  t.equal(await w.who(bearer(), { snapshot: old }), 'acme', 'the one before is kept');
  await w.load({ 'providers.yaml': provider('main', { clockSkew: '7s' }) });
  t.equal(await w.who(bearer('org_globex'), { snapshot: old }), 'identity-unavailable');
  t.equal(await w.who(bearer('org_globex')), 'globex');
});
