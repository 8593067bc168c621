/**
 * Makes what an identity provider and an operator would give out: `node examples/tokens.ts DIR` adds a public key to DIR/keys.json and
 * prints a token for each tenant of the directory, good for a day. The private key is never written, so each run has a key of its own; those
 * of the last runs stay, and so do their tokens.
 */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCredentials } from '../src/cli/demo/credentials.ts';
import { inspectTenancy } from '../src/tenants/index.ts';

const dir = process.argv[2];
if (dir === undefined) {
  process.stderr.write('usage: node examples/tokens.ts TENANCY_DIR\n');
  process.exit(2);
}
if (statSync(dir, { throwIfNoEntry: false })?.isDirectory() !== true) {
  process.stderr.write(
    `${dir}: there is no such directory (name a tenancy directory, such as a copy of config/tenancy)\n`,
  );
  process.exit(2);
}
/** Of the runs before; tokens of more than that in a day are nobody's. */
const KEPT_MAX = 9;
const file = join(dir, 'keys.json');
const credentials = makeCredentials();
const before = existsSync(file) ? keysOf(readFileSync(file, 'utf8')) : [];
if (before === undefined) {
  process.stderr.write(`${file}: is no set of keys, and is not replaced (mend it, or move it away)\n`);
  process.exit(2);
}
const kept = before.slice(-KEPT_MAX);
writeFileSync(file, JSON.stringify({ keys: [...kept, ...JSON.parse(credentials.keySet).keys] }));
process.stderr.write(
  kept.length === 0
    ? `wrote ${file}\n`
    : `added a key to ${file}; tokens of the ${kept.length} before it are good as well\n`,
);
const { snapshot } = await inspectTenancy(dir);
for (const { id, claims } of snapshot.tenants.values())
  process.stdout.write(`${id} ${credentials.token(claims.at(-1) as string)}\n`);

function keysOf(text: string): unknown[] | undefined {
  try {
    const { keys } = JSON.parse(text);
    return Array.isArray(keys) ? keys : undefined;
  } catch {
    return undefined;
  }
}
