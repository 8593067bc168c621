import { createServer, type RequestListener } from 'node:http';
import t from 'tap';
import { fetchKeys, guardedLookup, isPrivateAddress } from '../../src/identity/fetch-keys.ts';
import { type Ending, listening } from '../helpers/sidecar.ts';

async function server(t: Ending, handler: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listening(t, createServer(handler))}/jwks`;
}

t.test('addresses that no public key server has, however they are written', async (t) => {
  for (const address of [
    '0.0.0.0',
    '10.0.0.1',
    '100.64.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '172.31.255.255',
    '192.168.1.1',
    '198.19.0.1',
    '203.0.113.5',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::127.0.0.1',
    '::7f00:1',
    '::ffff:10.0.0.1',
    '::FFFF:10.0.0.1',
    '::ffff:a00:1',
    '0:0:0:0:0:ffff:7f00:1',
    '::ffff:0:127.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b:1::1',
    '2002:7f00:1::',
    '2001::1',
    'fd00::1',
    'fe80::1',
    'fe80::1%eth0',
    'fec0::1',
    'ff02::1',
  ])
    t.ok(isPrivateAddress(address), address);
  for (const address of ['1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1', '::ffff:1.1.1.1', '2a00:1450::1'])
    t.notOk(isPrivateAddress(address), address);
});

t.test('a name is judged by every address it resolves to', async (t) => {
  const ask = (allowPrivate: boolean, addresses: readonly string[], failure: Error | null = null) =>
    new Promise<{ error: Error | null; found: unknown }>((resolve) => {
      const look = guardedLookup(allowPrivate, (_name, options, callback) => {
        t.equal(options.all, true);
        callback(
          failure,
          addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
        );
      });
      look('id.test', {}, (error, found) => resolve({ error, found }));
    });
  t.match((await ask(false, ['1.1.1.1', '10.0.0.1'])).error, /id\.test resolves to the private address 10\.0\.0\.1/);
  t.match((await ask(false, ['1.1.1.1', '10.0.0.1'])).found, []);
  t.match((await ask(false, ['::ffff:127.0.0.1'])).error, /private/);
  t.match(await ask(false, ['1.1.1.1', '2606:4700::1']), { error: null, found: [{ address: '1.1.1.1' }, {}] });
  t.match(await ask(true, ['10.0.0.1']), { error: null, found: [{ address: '10.0.0.1' }] });
  t.match((await ask(false, [], new Error('ENOTFOUND'))).error, /ENOTFOUND/);
});

t.test('an error of the resolver is passed on, though it comes without addresses', async (t) => {
  const error = await new Promise((resolve) =>
    guardedLookup(false)('no-such-name.invalid', { all: true }, (cause) => resolve(cause)),
  );
  t.match(error, { code: /ENOTFOUND|EAI_AGAIN/ });
});

t.test('it is fetched by https, or by http on loopback, and inside only where that is allowed', async (t) => {
  const url = await server(t, (_req, res) => res.end('{"keys":[]}'));
  t.equal(await fetchKeys(url, true), '{"keys":[]}');
  t.equal(await fetchKeys(url.replace('127.0.0.1', 'localhost'), true), '{"keys":[]}');
  for (const [from, reason] of [
    [url, /private address/],
    [url.replace('127.0.0.1', 'localhost'), /private address/],
    [url.replace('127.0.0.1', '[::ffff:127.0.0.1]'), /https/],
    [url.replace('http:', 'https:').replace('127.0.0.1', '[::ffff:127.0.0.1]'), /private address/],
    [url.replace('127.0.0.1', '2130706433'), /private address/],
    ['http://[::1]/', /private address/],
    ['https://10.0.0.1/', /private address/],
    ['https://[fd00::1]/', /private address/],
  ] as const)
    await t.rejects(fetchKeys(from, false), reason, from);
  for (const clear of ['http://id.test/', 'http://127.evil.test/', 'http://10.0.0.1/', 'http://localhost.evil.test/'])
    await t.rejects(fetchKeys(clear, true), /by https, or by http on loopback/, clear);
});

t.test('no redirect is followed, no other status taken, nothing endless read', async (t) => {
  let visits = 0;
  const target = await server(t, (_req, res) => {
    visits++;
    res.end('{"keys":[]}');
  });
  for (const status of [301, 302, 303, 307, 308, 204, 206, 404, 500]) {
    const url = await server(t, (_req, res) => res.writeHead(status, { location: target }).end());
    await t.rejects(fetchKeys(url, true), new RegExp(`answered ${status}`));
  }
  t.equal(visits, 0);
  const endless = await server(t, (_req, res) => {
    const more = (): void => {
      while (res.writable && res.write(Buffer.alloc(65_536, 120)));
    };
    res.on('drain', more).on('error', () => {});
    more();
  });
  await t.rejects(fetchKeys(endless, true), /larger than 262144 bytes/);
});
