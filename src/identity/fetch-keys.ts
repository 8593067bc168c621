/**
 * A JWK set by URL. The one request that configuration can make us send, so: https, or http on loopback; no redirects; not to
 * private addresses unless allowed, judged on the address that is connected to; bounded in size and time.
 */
import { type LookupAddress, type LookupAllOptions, lookup } from 'node:dns';
import { BlockList, isIP, isIPv4, isIPv6, type LookupFunction } from 'node:net';
import { Agent, request } from 'undici';

const BYTES_MAX = 256 * 1024;
const TIMEOUT_MS = 5000;

/** IANA's special-purpose registries: whatever no public key server has. Multicast and what is reserved included. */
const NOT_PUBLIC = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  // With the unspecified address, loopback, and IPv4 addresses in the oldest way to write them.
  '::/96',
  // Ways to write or to reach an IPv4 address: SIIT, NAT64, Teredo, 6to4. What is behind them cannot be judged here.
  '::ffff:0:0:0/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '2001::/32',
  '2002::/16',
  '100::/64',
  '2001:db8::/32',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
];

const privateRanges = new BlockList();
for (const range of NOT_PUBLIC) {
  const [address, bits] = range.split('/') as [string, string];
  privateRanges.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4');
}

/** `address`: IPv4 or IPv6, a zone allowed. An IPv4 address in IPv6's clothes (`::ffff:10.0.0.1`) is judged as what it is. */
export function isPrivateAddress(address: string): boolean {
  return privateRanges.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

/** The text of the key set. Rejects with a reason for the log. */
export async function fetchKeys(url: string, allowPrivate: boolean): Promise<string> {
  const { protocol, hostname } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  // `127.evil.test` is a name, not an address.
  const isLoopback = host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
  if (protocol !== 'https:' && !isLoopback) throw new Error('keys are fetched by https, or by http on loopback');
  if (isIP(host) !== 0 && !allowPrivate && isPrivateAddress(host))
    throw new Error(`${host} is a private address; set allowPrivate to use it`);
  const agent = new Agent({
    // Both families: then every answer of the name is looked at, and the look-up is always asked for all.
    connect: { timeout: TIMEOUT_MS, lookup: guardedLookup(allowPrivate), autoSelectFamily: true },
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    maxHeaderSize: 16_384,
  });
  try {
    const { statusCode, body } = await request(url, {
      dispatcher: agent,
      headers: { accept: 'application/jwk-set+json, application/json' },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (statusCode !== 200) throw new Error(`the key server answered ${statusCode}`);
    return await bounded(body);
  } finally {
    await agent.destroy();
  }
}

async function bounded(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > BYTES_MAX) throw new Error(`the key set is larger than ${BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Resolves as the system does and refuses an answer that holds a private address: a name must not lead inside. */
export function guardedLookup(allowPrivate: boolean, resolve: Resolve = lookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      // On an error there are none.
      const inside = allowPrivate ? undefined : addresses?.find(({ address }) => isPrivateAddress(address));
      const refused = inside && new Error(`${hostname} resolves to the private address ${inside.address}`);
      callback(refused ?? error, refused === undefined ? addresses : []);
    });
  };
}

type Resolve = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;
