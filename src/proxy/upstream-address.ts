/** Where an upstream listens: its URL, taken apart for whoever dials it, as `node:http` wants it. */
export type UpstreamAddress = { readonly host: string; readonly port: number } | { readonly socketPath: string };

const UNIX = 'unix:';

/** `url` is what the boot configuration let pass: `http://HOST[:PORT]`, or `unix:/PATH`. */
export function addressOf(url: string): UpstreamAddress {
  if (url.startsWith(UNIX)) return { socketPath: url.slice(UNIX.length) };
  const { hostname, port } = new URL(url);
  // A URL brackets an IPv6 address (RFC 3986 §3.2.2); dialled with brackets, it would be looked up as a name.
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 80 : Number(port) };
}
