/**
 * Makes what an identity provider and an operator would give out: `node examples/tokens.ts DIR` writes DIR/keys.json (public keys) and
 * prints a token a tenant of config/tenancy, good for a day. The private key is never written.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCredentials } from '../src/cli/demo/credentials.ts';

const dir = process.argv[2];
if (dir === undefined) {
  process.stderr.write('usage: node examples/tokens.ts TENANCY_DIR\n');
  process.exit(2);
}
const credentials = makeCredentials();
writeFileSync(join(dir, 'keys.json'), credentials.keySet);
process.stdout.write(`wrote ${join(dir, 'keys.json')}\n`);
for (let org = 4701; org <= 4712; org++) process.stdout.write(`org_${org} ${credentials.token(`org_${org}`)}\n`);
