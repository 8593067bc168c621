/** How objects are named: a DNS label (RFC 1123), so that a name can be a host, a label and a file. */
export const NAME = '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$';

const pattern = new RegExp(NAME);

export function isName(text: unknown): text is string {
  return typeof text === 'string' && pattern.test(text);
}

/** By what an object is found among all: no two kinds share their names. */
export function keyOf(kind: string, name: string): string {
  return `${kind}/${name}`;
}
