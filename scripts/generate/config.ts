/**
 * From src/tenants/schema.ts: the validators as plain code, the JSON schemas for editors, the sidecar's settings
 * (flags and variables), and docs/config.md.
 */
import { createHash } from 'node:crypto';
import { Ajv } from 'ajv';
import standalone from 'ajv/dist/standalone/index.js';
import { build } from 'esbuild';
import { schemas } from '../../src/tenants/schema.ts';

interface Schema {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly const?: unknown;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
}

const HEADER = '// Generated from src/tenants/schema.ts by `npm run generate`. Do not edit.\n';
const kinds = Object.entries(JSON.parse(JSON.stringify(schemas)) as Record<string, Schema>);

export async function outputs(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  // Apart: a sidecar's loop reads its boot file's settings and no document of a tenancy.
  files.set('src/tenants/generated/sidecar-validator.js', `${HEADER}${await validators(['Sidecar'])}`);
  files.set('src/tenants/generated/sidecar-validator.d.ts', `${HEADER}${sidecarDeclaration}`);
  const others = kinds.map(([kind]) => kind).filter((kind) => kind !== 'Sidecar');
  files.set('src/tenants/generated/validators.js', `${HEADER}${await validators(others)}`);
  files.set('src/tenants/generated/validators.d.ts', `${HEADER}${declarations()}`);
  files.set('src/tenants/generated/settings.ts', `${HEADER}${settingsModule()}`);
  for (const [kind, schema] of kinds) files.set(`config/schema/${kind.toLowerCase()}.json`, json(kind, schema));
  files.set(
    'config/schema/tenancy.json',
    json('tenancy', { anyOf: kinds.filter(([kind]) => kind !== 'Sidecar').map(([, schema]) => schema) }),
  );
  files.set('docs/config.md', page());
  return files;
}

/** One module without imports: ajv's few run-time functions are bundled in, so ajv is not a run-time dependency. */
async function validators(of: readonly string[]): Promise<string> {
  const ajv = new Ajv({
    allErrors: true,
    verbose: true,
    strict: true,
    strictTypes: false,
    code: { source: true, esm: true },
  });
  for (const [kind, schema] of kinds) if (of.includes(kind)) ajv.addSchema(schema, kind);
  const code = (standalone as unknown as (ajv: Ajv, refs: Record<string, string>) => string)(
    ajv,
    Object.fromEntries(of.map((kind) => [kind, kind])),
  );
  const bundled = await build({
    stdin: { contents: code, resolveDir: process.cwd(), loader: 'js' },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    target: 'node24',
    legalComments: 'none',
    minify: true,
  });
  return bundled.outputFiles[0]?.text as string;
}

const sidecarDeclaration = `import type { Validator } from './validators.js';
export const Sidecar: Validator;
`;

function declarations(): string {
  const error = `export interface SchemaError {
  readonly instancePath: string;
  readonly keyword: string;
  readonly message?: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly schema: unknown;
  readonly parentSchema?: Readonly<Record<string, unknown>>;
  readonly data: unknown;
}
export interface Validator {
  (document: unknown): boolean;
  readonly errors?: readonly SchemaError[] | null;
}
`;
  const others = kinds.filter(([kind]) => kind !== 'Sidecar');
  return error + others.map(([kind]) => `export const ${kind}: Validator;\n`).join('');
}

interface Leaf {
  readonly path: string;
  readonly schema: Schema;
  readonly isRequired: boolean;
  /** The nearest object above it that may be left out: without that it is not required either. */
  readonly within: string | undefined;
}

/** Every key of an object schema that is no object itself, with its dotted path. */
function leaves(schema: Schema, prefix = '', within?: string): Leaf[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    const isRequired = schema.required?.includes(key) ?? false;
    if (child.properties !== undefined) return leaves(child, path, isRequired ? within : key);
    return [{ path, schema: child, isRequired, within }];
  });
}

function settingsModule(): string {
  const spec = kinds.find(([kind]) => kind === 'Sidecar')?.[1].properties?.['spec'] as Schema;
  const settings = leaves(spec).map(({ path, schema }) => {
    const words = path.replaceAll('.', '-').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    return {
      path,
      flag: `--${words}`,
      env: `REEVE_${words.replaceAll('-', '_').toUpperCase()}`,
      type: settingType(schema),
      description: schema.description ?? '',
      ...(schema.default === undefined ? {} : { default: schema.default }),
    };
  });
  return `/** \`list\`: comma-separated. \`map\`: \`name=value,name=value\`. */
export type SettingType = 'text' | 'number' | 'flag' | 'list' | 'map';

export interface Setting {
  /** Under \`spec\`: \`inbound.port\`. */
  readonly path: string;
  readonly flag: string;
  readonly env: string;
  readonly type: SettingType;
  readonly description: string;
  readonly default?: unknown;
}

/** Changes with the schema: what another schema accepted is not taken as accepted by this one. */
export const schemaId = '${schemaId()}';

export const sidecarSettings: readonly Setting[] = ${JSON.stringify(settings, null, 2)};
`;
}

function schemaId(): string {
  return createHash('sha256').update(JSON.stringify(kinds)).digest('hex').slice(0, 16);
}

function settingType(schema: Schema): string {
  if (schema.type === 'boolean') return 'flag';
  if (schema.type === 'integer' || schema.type === 'number') return 'number';
  if (schema.type === 'array') return 'list';
  return schema.type === 'object' ? 'map' : 'text';
}

function json(name: string, schema: object): string {
  return `${JSON.stringify({ $schema: 'http://json-schema.org/draft-07/schema#', $id: `https://reeve.dev/schema/v1/${name.toLowerCase()}.json`, ...schema }, null, 2)}\n`;
}

function page(): string {
  const intro = `# Configuration

Generated from \`src/tenants/schema.ts\` by \`npm run generate\`. \`reeve config schema KIND\` prints the JSON schema, \`reeve config explain KEY\` one key, \`reeve config validate DIR\` checks files.

Every document begins with \`apiVersion: reeve.dev/v1\`, \`kind\` and \`metadata.name\`. The boot file holds one Sidecar; the tenancy directory holds the others, in any number of \`*.yaml\` files and
any order, and is read again whenever it changes. Units are never implied: rates \`200/s\` \`90/min\` \`1000/h\`, sizes \`10KiB\` \`5MiB\`, times \`250ms\` \`2s\`, percentages \`20%\`. Numbers may carry \`_\`. \`NAME\` in a key stands for a name of your own.

How a directory is read, what a broken document does and what is kept: [src/tenants/README.md](../src/tenants/README.md).
`;
  const parts = kinds.map(([kind, schema]) => section(kind, schema));
  return `${intro}\n${parts.join('\n')}`;
}

function section(kind: string, schema: Schema): string {
  const rows = leaves(schema.properties?.['spec'] as Schema, 'spec').flatMap(rowsOf);
  const flags =
    kind === 'Sidecar'
      ? '\nA key is also a flag and a variable: `spec.inbound.port` is `--inbound-port` and `REEVE_INBOUND_PORT`. Flags win over variables, variables over the file.\n'
      : '';
  return [
    `## ${kind}`,
    '',
    schema.description ?? '',
    flags,
    '| key | value | default | meaning |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

function rowsOf({ path, schema, isRequired, within }: Leaf): string[] {
  const preset =
    schema.default === undefined
      ? isRequired
        ? `required${within === undefined ? '' : ` in \`${within}\``}`
        : ''
      : `\`${Array.isArray(schema.default) ? schema.default.join(', ') : String(schema.default)}\``;
  const own = `| \`${path}\` | ${cell(kindOfValue(schema))} | ${preset} | ${cell(schema.description ?? '')} |`;
  const variants =
    schema.anyOf
      ?.filter((each) => each.properties !== undefined)
      .flatMap((each) => leaves(each, path).map((leaf) => ({ ...leaf, isRequired: false }))) ?? [];
  const below =
    schema.items?.properties === undefined ? [] : leaves(schema.items, `${path}[]`, `${path.split('.').at(-1)}[]`);
  const [ofMap] = Object.values(schema.patternProperties ?? {});
  const inMap = ofMap === undefined ? [] : leaves(ofMap, `${path}.NAME`, `${path.split('.').at(-1)}.NAME`);
  const choices =
    schema.items?.anyOf
      ?.filter((each) => each.properties !== undefined)
      .flatMap((each) => leaves(each, `${path}[]`).map((leaf) => ({ ...leaf, isRequired: false }))) ?? [];
  return [own, ...[...variants, ...below, ...inMap, ...choices].flatMap(rowsOf)];
}

function kindOfValue(schema: Schema): string {
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  if (schema.anyOf !== undefined) return schema.anyOf.map(kindOfValue).join(', ');
  if (schema.type === 'array') return `list of ${kindOfValue(schema.items as Schema)}`;
  if (schema.properties !== undefined) return `\`{ ${Object.keys(schema.properties).join(', ')} }\``;
  if (schema.patternProperties !== undefined) return 'map';
  const range = schema.minimum === undefined ? '' : ` ${schema.minimum}–${schema.maximum ?? ''}`;
  const example = schema.examples?.[0] === undefined ? '' : ` such as \`${String(schema.examples[0])}\``;
  return `${schema.title ?? schema.type ?? ''}${range}${example}`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
