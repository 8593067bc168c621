/**
 * Makes what an identity provider and an operator would give out: `node examples/tokens.ts DIR` writes DIR/keys.json (public keys) and
 * prints a token for each tenant of the directory, good for a day. The private key is never written.
 */
import { statSync, writeFileSync } from 'node:fs';
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
const credentials = makeCredentials();
writeFileSync(join(dir, 'keys.json'), credentials.keySet);
process.stderr.write(`wrote ${join(dir, 'keys.json')}\n`);
const { snapshot } = await inspectTenancy(dir);
for (const { id, claims } of snapshot.tenants.values())
  process.stdout.write(`${id} ${credentials.token(claims.at(-1) as string)}\n`);
