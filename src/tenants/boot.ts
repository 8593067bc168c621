/** The boot file: one Sidecar document, with settings from flags and variables laid over it. */
import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import { dirname, resolve } from 'node:path';
import { type Place, parseDurationMs, parsePercent, parseRatePerSec, parseSizeBytes } from '../core/index.ts';
import { problemsOf } from './findings.ts';
import { type Setting, sidecarSettings } from './generated/settings.ts';
import { type SchemaError, Sidecar } from './generated/validators.js';
import type { Finding } from './model.ts';
import { parseOne } from './parse.ts';
import type { SidecarDocument } from './schema.ts';
import type { SidecarConfig } from './sidecar.ts';
import { lineAt, splitDocuments } from './split.ts';

/** A value of a flag or variable, with the name it was given under. */
export interface GivenSetting {
  readonly path: string;
  readonly text: string;
  readonly place: Place;
}

export type BootResult =
  | { readonly config: SidecarConfig; readonly findings: readonly Finding[] }
  | { readonly config: undefined; readonly findings: readonly Finding[] };

/** `file`: the boot file, or undefined when flags say everything. Relative paths in the file are relative to it, in flags to `cwd`. */
export function bootSidecar(file: string | undefined, given: readonly GivenSetting[], cwd: string): BootResult {
  const read =
    file === undefined
      ? { document: { apiVersion: 'reeve.dev/v1', kind: 'Sidecar', metadata: { name: 'sidecar' }, spec: {} } }
      : readBootFile(file);
  if ('findings' in read) return { config: undefined, findings: read.findings };
  const document = absolutePaths(
    structuredClone(read.document) as SidecarDocument,
    file === undefined ? cwd : dirname(resolve(cwd, file)),
  );
  const findings: Finding[] = [];
  for (const each of given) findings.push(...layOver(document, each, cwd));
  if (findings.length > 0) return { config: undefined, findings };
  if (!Sidecar(document)) {
    const flags = new Map(sidecarSettings.map((each) => [`spec.${each.path}`, each.flag]));
    const problems = problemsOf(Sidecar.errors as readonly SchemaError[]).map(({ path, message, remedy }) => {
      const missing = /^(\w+) is missing$/.exec(message)?.[1];
      const key = [...path, ...(missing === undefined ? [] : [missing])].join('.');
      return bootFinding(
        file ?? 'flags',
        key,
        message,
        missing === undefined ? remedy : `set ${flags.get(key) ?? `spec.${missing}`}`,
      );
    });
    return { config: undefined, findings: problems };
  }
  const objections = object(document, file ?? 'flags');
  return objections.length > 0
    ? { config: undefined, findings: objections }
    : { config: compile(document), findings: [] };
}

function readBootFile(file: string): { document: unknown } | { findings: Finding[] } {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    return {
      findings: [
        bootFinding(
          file,
          '',
          `cannot be read: ${(cause as NodeJS.ErrnoException).code}`,
          'name a file that exists with --config',
        ),
      ],
    };
  }
  const documents = [...splitDocuments(text)];
  if (documents.length !== 1)
    return {
      findings: [
        bootFinding(
          file,
          '',
          `expected one document, found ${documents.length}`,
          'tenancy documents belong into the tenancy directory',
        ),
      ],
    };
  const [{ text: only, offset }] = documents as [{ text: string; offset: number }];
  const parsed = parseOne(only, ['Sidecar']);
  if (parsed.isGood) return { document: JSON.parse(parsed.json) as unknown };
  const first = lineAt(text, offset);
  return {
    findings: parsed.problems.map((each) => ({
      severity: 'error',
      file,
      kind: parsed.kind,
      name: parsed.name,
      ...each,
      line: first + each.line - 1,
    })),
  };
}

/** Paths in the file are as its author sees them: relative to the file. */
function absolutePaths(document: SidecarDocument, base: string): SidecarDocument {
  const { spec } = document as {
    spec: { tenancy?: { dir?: string }; stateDir?: string; identity?: { pepperFile?: string } };
  };
  if (spec.tenancy?.dir !== undefined) spec.tenancy.dir = resolve(base, spec.tenancy.dir);
  if (spec.stateDir !== undefined) spec.stateDir = resolve(base, spec.stateDir);
  if (spec.identity?.pepperFile !== undefined) spec.identity.pepperFile = resolve(base, spec.identity.pepperFile);
  return document;
}

const PATH_SETTINGS: ReadonlySet<string> = new Set(['tenancy.dir', 'stateDir', 'identity.pepperFile']);

function layOver(document: SidecarDocument, { path, text, place }: GivenSetting, cwd: string): Finding[] {
  const setting = sidecarSettings.find((each) => each.path === path) as Setting;
  const value = readSetting(setting, text);
  if (value === undefined)
    return [bootFinding(place, '', `expected a ${setting.type}, got ${JSON.stringify(text)}`, setting.description)];
  const keys = path.split('.');
  let target = document.spec as unknown as Record<string, unknown>;
  for (const key of keys.slice(0, -1)) {
    target[key] ??= {};
    target = target[key] as Record<string, unknown>;
  }
  target[keys.at(-1) as string] = PATH_SETTINGS.has(path) ? resolve(cwd, text) : value;
  return [];
}

function readSetting({ type }: Setting, text: string): unknown {
  switch (type) {
    case 'text':
      return text;
    case 'number':
      return /^\d[\d_]*(\.\d+)?$/.test(text) ? Number(text.replaceAll('_', '')) : undefined;
    case 'flag':
      return { true: true, '': true, false: false }[text];
    case 'list':
      return text
        .split(',')
        .map((each) => each.trim())
        .filter((each) => each !== '');
    case 'map': {
      const pairs = text.split(',').map((each) => each.split('='));
      return pairs.every((pair) => pair.length === 2) ? Object.fromEntries(pairs) : undefined;
    }
  }
}

/** What the schema cannot say. */
function object({ spec }: SidecarDocument, file: string): Finding[] {
  const findings: Finding[] = [];
  for (const [at, cidr] of (spec.inbound?.trustedProxies ?? []).entries()) {
    if (!isCidr(cidr))
      findings.push(
        bootFinding(
          file,
          `spec.inbound.trustedProxies.${at}`,
          `expected an address or range such as 10.0.0.0/8, got ${JSON.stringify(cidr)}`,
          undefined,
        ),
      );
  }
  const header = spec.identity?.header;
  if (header !== undefined && /^(txn-token|x-tenant-|tenant-|x-reeve-|x-forwarded-client-cert)/.test(header)) {
    findings.push(
      bootFinding(
        file,
        'spec.identity.header',
        `${header} is a protected name: it is removed from every request`,
        'choose another name such as x-org',
      ),
    );
  }
  return findings;
}

function isCidr(text: string): boolean {
  const [address, bits, ...rest] = text.split('/');
  const family = isIP(address as string);
  if (family === 0 || rest.length > 0) return false;
  if (bits === undefined) return true;
  try {
    new BlockList().addSubnet(
      address as string,
      /^\d+$/.test(bits) ? Number(bits) : -1,
      family === 4 ? 'ipv4' : 'ipv6',
    );
    return true;
  } catch {
    return false;
  }
}

function compile({ metadata, spec }: SidecarDocument): SidecarConfig {
  const value = (path: string): unknown => {
    const found = path
      .split('.')
      .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], spec);
    return found ?? sidecarSettings.find((each) => each.path === path)?.default;
  };
  const text = (path: string) => value(path) as string;
  const ms = (path: string) => parseDurationMs(text(path)) as number;
  const bytes = (path: string) => parseSizeBytes(text(path)) as number;
  const number = (path: string) => value(path) as number;
  const isOn = (path: string) => value(path) as boolean;
  return {
    name: metadata.name,
    upstream: spec.upstream,
    upstreams: new Map(Object.entries(spec.upstreams ?? {}).map(([name, url]) => [name, url as string])),
    tenancy: {
      dir: text('tenancy.dir'),
      allowShrink: isOn('tenancy.allowShrink'),
      removeGraceMs: ms('tenancy.removeGrace'),
    },
    stateDir: spec.stateDir,
    inbound: {
      host: text('inbound.host'),
      port: number('inbound.port'),
      class: value('inbound.class') as 'edge',
      trust: value('inbound.trust') as 'credentials',
      strict: isOn('inbound.strict'),
      trustedProxies: spec.inbound?.trustedProxies ?? [],
    },
    identity: {
      sources: value('identity.sources') as SidecarConfig['identity']['sources'],
      header: text('identity.header'),
      pathPrefix: text('identity.pathPrefix'),
      apiKeyHeader: text('identity.apiKeyHeader'),
      pepperFile: spec.identity?.pepperFile,
      injectCredentials: isOn('identity.injectCredentials'),
    },
    anonymous: { perSec: parseRatePerSec(text('anonymous.limit')) as number, burst: number('anonymous.burst') },
    wire: {
      headBytesMax: bytes('wire.headBytesMax'),
      headersMax: number('wire.headersMax'),
      targetBytesMax: bytes('wire.targetBytesMax'),
      bodyBytesMax: bytes('wire.bodyBytesMax'),
      headTimeoutMs: ms('wire.headTimeout'),
      idleTimeoutMs: ms('wire.idleTimeout'),
      connectTimeoutMs: ms('wire.connectTimeout'),
      responseTimeoutMs: ms('wire.responseTimeout'),
      connectionsMax: number('wire.connectionsMax'),
      upstreamConnectionsMax: number('wire.upstreamConnectionsMax'),
      via: isOn('wire.via'),
    },
    status: { host: text('status.host'), port: number('status.port') },
    admin: { host: text('admin.host'), port: number('admin.port') },
    drain: { graceMs: ms('drain.grace') },
    log: {
      level: value('log.level') as 'info',
      access: value('log.access') as 'errors',
      sample: parsePercent(text('log.sample')) as number,
    },
  };
}

function bootFinding(file: string, path: string, message: string, remedy: string | undefined): Finding {
  return { severity: 'error', file, line: 0, column: 0, kind: undefined, name: undefined, path, message, remedy };
}
