/**
 * A JWK set by URL. The one request that configuration can make us send, so: https, or http on loopback; no redirects; not to
 * private addresses unless allowed, judged on the address that is connected to; bounded in size and time.
 */
import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { Agent, request } from 'undici';

const BYTES_MAX = 256 * 1024;
const TIMEOUT_MS = 5000;

const privateRanges = new BlockList();
for (const [address, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const) {
  privateRanges.addSubnet(address, bits, 'ipv4');
}
for (const [address, bits] of [
  ['::', 127],
  ['64:ff9b::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const) {
  privateRanges.addSubnet(address, bits, 'ipv6');
}

export function isPrivateAddress(address: string): boolean {
  // An IPv4 address in IPv6's clothes is judged as what it is; a range for all of them would match every IPv4 address.
  const plain = address.toLowerCase().startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
  return privateRanges.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4');
}

/** The text of the key set. Rejects with a reason for the log. */
export async function fetchKeys(url: string, allowPrivate: boolean): Promise<string> {
  const { protocol, hostname } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  const isLoopback = host === 'localhost' || host === '::1' || host.startsWith('127.');
  if (protocol !== 'https:' && !isLoopback) throw new Error('keys are fetched by https, or by http on loopback');
  if (isIP(host) !== 0 && !allowPrivate && isPrivateAddress(host))
    throw new Error(`${host} is a private address; set allowPrivate to use it`);
  const agent = new Agent({
    connect: { timeout: TIMEOUT_MS, lookup: guardedLookup(allowPrivate) },
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
function guardedLookup(allowPrivate: boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, options, (error, address, family) => {
      const addresses = Array.isArray(address) ? address.map((each) => each.address) : [address];
      const inside = error === null && !allowPrivate ? addresses.find((each) => isPrivateAddress(each)) : undefined;
      if (inside === undefined) callback(error, address, family);
      else
        callback(
          Object.assign(new Error(`${hostname} resolves to the private address ${inside}`), { code: 'EPRIVATE' }),
          '',
          0,
        );
    });
  };
}
