/**
 * Makes an API key: `node examples/api-key.ts PEPPER_FILE TENANT_KEY_ID` prints the key, to be handed out once, and the YAML for the
 * tenant's document. A pepper that does not exist yet is made. The sidecar needs the same file as identity.pepperFile.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const [pepperFile, id] = process.argv.slice(2);
if (pepperFile === undefined || id === undefined || !/^[A-Za-z0-9]{1,32}$/.test(id)) {
  process.stderr.write('usage: node examples/api-key.ts PEPPER_FILE TENANT_KEY_ID (letters and digits)\n');
  process.exit(2);
}
if (!existsSync(pepperFile)) {
  writeFileSync(pepperFile, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
  process.stderr.write(`wrote ${pepperFile}\n`);
}
// As the sidecar reads it: a newline at the end is no part of the secret.
const pepper = readFileSync(pepperFile, 'utf8').trimEnd();
if (pepper === '') {
  process.stderr.write(`${pepperFile}: the pepper is empty (remove the file, and a new one is made)\n`);
  process.exit(2);
}
const key = `rk_${id}_${randomBytes(24).toString('base64url')}`;
const hash = createHmac('sha256', pepper).update(key).digest('hex');
process.stdout.write(`${key}\n\napiKeys:\n  - id: ${id}\n    hash: "hmac-sha256:${hash}"\n`);
