/** Addresses as texts: `host:port`, IPv6 in brackets. */
import { isIPv6 } from 'node:net';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

const MAPPED = '::ffff:';

/** An IPv4 address that an IPv6 socket reports as mapped is written as what it is. */
export function formatAddress(host: string, port: number): string {
  const plain = host.startsWith(MAPPED) && host.includes('.') ? host.slice(MAPPED.length) : host;
  return isIPv6(plain) ? `[${plain}]:${port}` : `${plain}:${port}`;
}

/** Undefined when it is none, or its port is not 1 to 65535. */
export function parseAddress(address: string): HostPort | undefined {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, Math.max(0, colon)).replace(/^\[(.*)\]$/, '$1');
  const digits = address.slice(colon + 1);
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : 0;
  return host === '' || port < 1 || port > 65_535 ? undefined : { host, port };
}
