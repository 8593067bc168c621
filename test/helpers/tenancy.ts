/** A tenancy directory on disk: three plans, tenants, the provider of tokens.ts. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { AUDIENCE, apiKeyFor, ISSUER, keySet, PEPPER } from './tokens.ts';

export interface TenancyDir {
  readonly dir: string;
  readonly stateDir: string;
  readonly pepperFile: string;
  /** Writes a file at once, by rename. */
  write(path: string, text: string): void;
  remove(path: string): void;
  cleanUp(): void;
}

export const document = (kind: string, name: string, spec: object, metadata: object = {}): string =>
  `${JSON.stringify({ apiVersion: 'reeve.dev/v1', kind, metadata: { name, ...metadata }, spec })}\n---\n`;

export const plan = (name: string, spec: object = {}): string => document('Plan', name, spec);
export const tenant = (name: string, spec: object = {}): string =>
  document('Tenant', name, { plan: 'free', identity: { claims: [`org_${name}`] }, ...spec });
export const provider = (name = 'main', spec: object = {}): string =>
  document('IdentityProvider', name, {
    type: 'jwt',
    issuer: ISSUER,
    audiences: [AUDIENCE],
    algorithms: ['RS256'],
    jwks: { file: 'keys.json' },
    tenantClaim: 'org_id',
    ...spec,
  });

/** Without a plan's own limits nothing is refused. */
export function makeTenancy(files: Readonly<Record<string, string>> = {}): TenancyDir {
  const root = mkdtempSync(join(tmpdir(), 'reeve-test-'));
  const dir = join(root, 'tenancy');
  const write = (path: string, text: string): void => {
    const full = join(dir, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(join(root, 'new'), text);
    renameSync(join(root, 'new'), full);
  };
  mkdirSync(dir);
  mkdirSync(join(root, 'state'));
  writeFileSync(join(root, 'pepper'), `${PEPPER}\n`);
  write('keys.json', keySet());
  const defaults = {
    'plans.yaml': plan('free', {}),
    'providers.yaml': provider(),
    'tenants.yaml':
      tenant('acme', {
        identity: {
          claims: ['org_acme'],
          hosts: ['acme.test'],
          apiKeys: [{ id: 'acme1', hash: apiKeyFor('acme1').hash }],
        },
      }) + tenant('globex', { identity: { claims: ['org_globex'], hosts: ['globex.test'] } }),
  };
  for (const [path, text] of Object.entries({ ...defaults, ...files })) write(path, text);
  return {
    dir,
    stateDir: join(root, 'state'),
    pepperFile: join(root, 'pepper'),
    write,
    remove: (path) => rmSync(join(dir, path)),
    cleanUp: () => rmSync(root, { recursive: true, force: true }),
  };
}
