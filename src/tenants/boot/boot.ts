/** The boot file: one Sidecar document, with settings from flags and variables laid over it. */
import { BlockList, isIP } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { type Place, parseDurationMs, parsePercent, parseRatePerSec, parseSizeBytes } from '../../core/index.ts';
import { problemsIn } from '../documents/judge.ts';
import type { Problem } from '../findings.ts';
import { type Setting, sidecarSettings } from '../generated/settings.ts';
import { Sidecar } from '../generated/sidecar-validator.js';
import type { Finding } from '../model.ts';
import type { SidecarDocument } from '../schema.ts';
import { type BootFile, bootFinding } from './boot-finding.ts';
import type { CollectorConfig, GossipConfig, SidecarConfig } from './sidecar.ts';

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
export async function bootSidecar(
  file: string | undefined,
  given: readonly GivenSetting[],
  cwd: string,
): Promise<BootResult> {
  if (file === undefined) return bootFlags(given, cwd);
  // With YAML, which the loop that moves requests has no other use for.
  const { readBootFile } = await import('./boot-file.ts');
  const full = resolve(cwd, file);
  const read = readBootFile(full, file);
  return 'findings' in read
    ? { config: undefined, findings: read.findings }
    : boot(read, dirname(full), file, given, cwd);
}

/** Without a file. */
export function bootFlags(given: readonly GivenSetting[], cwd: string): BootResult {
  return boot(flagsOnly, cwd, 'flags', given, cwd);
}

function boot(read: BootFile, base: string, name: string, given: readonly GivenSetting[], cwd: string): BootResult {
  const document = absolutePaths(read.value, base);
  const findings = given.flatMap((each) => layOver(document, each, cwd));
  if (findings.length > 0) return { config: undefined, findings };
  const problems = problemsIn(document, { Sidecar });
  if (problems.length > 0) return { config: undefined, findings: problems.map((each) => findingOf(each, given, read)) };
  const objections = object(document as SidecarDocument, name);
  return objections.length > 0
    ? { config: undefined, findings: objections }
    : { config: compile(document as SidecarDocument), findings: [] };
}

const flagsOnly: BootFile = {
  value: { apiVersion: 'reeve.dev/v1', kind: 'Sidecar', metadata: { name: 'sidecar' }, spec: {} },
  place: ({ path, message, remedy }) => bootFinding('flags', path.join('.'), message, remedy),
};

/** A problem of the whole, at the flag or variable that said it, else in the file. What is missing may be set by its flag. */
function findingOf(problem: Problem, given: readonly GivenSetting[], { place }: BootFile): Finding {
  const missing = /^(\w+) is missing$/.exec(problem.message)?.[1];
  const path = [...problem.path, ...(missing === undefined ? [] : [missing])].join('.');
  const isAt = (each: { readonly path: string }): boolean => path === `spec.${each.path}`;
  const by = given.find((each) => isAt(each) || path.startsWith(`spec.${each.path}.`));
  if (by !== undefined) return bootFinding(by.place, path, problem.message, problem.remedy);
  // Of an object that is missing whole, the first of its keys stands for it.
  const setting = sidecarSettings.find((each) => isAt(each) || `spec.${each.path}`.startsWith(`${path}.`));
  const remedy =
    missing === undefined || setting === undefined
      ? problem.remedy
      : `set ${setting.flag}, ${setting.env}, or spec.${setting.path} in the file of --config`;
  const placed = place({ ...problem, remedy });
  return { severity: 'error', ...placed, path: missing === undefined ? placed.path : path };
}

/** Settings that are paths: in the file as its author sees them, relative to the file; in flags relative to where they were typed. */
const PATH_SETTINGS: ReadonlySet<string> = new Set([
  'tenancy.dir',
  'stateDir',
  'identity.pepperFile',
  'gossip.keyFile',
  'gossip.seeds.file',
  'metering.dir',
  'metering.collector.tls.caFile',
  'metering.collector.tls.certFile',
  'metering.collector.tls.keyFile',
  'metering.collector.tokenFile',
]);

/** A copy of the document with its paths made absolute. It may be anything at all: it is judged later. */
function absolutePaths(value: unknown, base: string): unknown {
  const document = structuredClone(value);
  for (const path of PATH_SETTINGS) {
    const [parent, key] = parentOf(document, path, false);
    const text = parent?.[key];
    if (parent !== undefined && typeof text === 'string') parent[key] = resolve(base, text);
  }
  return document;
}

/** The object that holds a setting, and its key there; undefined where something else stands in the way. */
function parentOf(document: unknown, path: string, isMade: boolean): [Record<string, unknown> | undefined, string] {
  const keys = ['spec', ...path.split('.')];
  const last = keys.pop() as string;
  let target = document as Record<string, unknown> | undefined;
  for (const key of keys) {
    if (isMade && isObject(target)) target[key] ??= {};
    target = isObject(target) ? (target[key] as Record<string, unknown>) : undefined;
  }
  return [isObject(target) ? target : undefined, last];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function layOver(document: unknown, { path, text, place }: GivenSetting, cwd: string): Finding[] {
  const setting = sidecarSettings.find((each) => each.path === path) as Setting;
  const value = readSetting(setting, text);
  if (value === undefined)
    return [bootFinding(place, '', `expected ${EXPECTED[setting.type]}, got ${JSON.stringify(text)}`, undefined)];
  const [parent, key] = parentOf(document, path, true);
  if (parent !== undefined) parent[key] = PATH_SETTINGS.has(path) ? resolve(cwd, text) : value;
  return [];
}

const EXPECTED: Readonly<Record<Setting['type'], string>> = {
  text: 'a text',
  number: 'a number',
  flag: 'true or false',
  list: 'a list such as a,b',
  map: 'a map such as name=value,name=value',
};

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
  for (const key of ['header', 'apiKeyHeader'] as const) {
    const header = spec.identity?.[key];
    if (header === undefined || !/^(txn-token|x-tenant-|tenant-|x-reeve-|x-forwarded-client-cert)/i.test(header))
      continue;
    findings.push(
      bootFinding(
        file,
        `spec.identity.${key}`,
        `${header} is a protected name: it is removed from every request`,
        'choose another name such as x-org',
      ),
    );
  }
  const seeds = Object.keys(spec.gossip?.seeds ?? {}).length;
  if (spec.gossip !== undefined && seeds !== 1)
    findings.push(
      bootFinding(
        file,
        'spec.gossip.seeds',
        `expected one of dns, file and list, got ${seeds}`,
        'name the headless service of the sidecars: dns: reeve-gossip.shop.svc:7946',
      ),
    );
  findings.push(...ofMetering(spec, file));
  const preset = (path: string) => sidecarSettings.find((each) => each.path === path)?.default;
  const { delay = preset('drain.delay'), grace = preset('drain.grace') } = spec.drain ?? {};
  const [delayMs, graceMs] = [delay, grace].map((each) => parseDurationMs(String(each)) as number) as [number, number];
  if (delayMs > 0 && delayMs >= graceMs)
    findings.push(
      bootFinding(
        file,
        'spec.drain.delay',
        `nothing is left of the grace for requests in flight: ${delay} of ${grace}`,
        'raise spec.drain.grace, or lower delay',
      ),
    );
  const { min = 0, max = preset('admission.max') as number } = spec.admission ?? {};
  if (min > max)
    findings.push(
      bootFinding(
        file,
        'spec.admission.min',
        `the least limit is above the most: ${min} and ${max}`,
        'raise spec.admission.max, or lower min',
      ),
    );
  return findings;
}

/** Of the spool, bytes. */
const SPOOL_BYTES_MIN = 2 ** 20;
const SPOOL_BYTES_MAX = 2 ** 40;

function ofMetering({ metering, stateDir }: SidecarDocument['spec'], file: string): Finding[] {
  if (metering === undefined) return [];
  const findings: Finding[] = [];
  if (metering.dir === undefined && stateDir === undefined)
    findings.push(
      bootFinding(file, 'spec.metering.dir', 'there is no directory for the spool', 'set metering.dir, or stateDir'),
    );
  const bytes = metering.maxBytes === undefined ? undefined : parseSizeBytes(metering.maxBytes);
  if (bytes !== undefined && !(bytes >= SPOOL_BYTES_MIN && bytes <= SPOOL_BYTES_MAX))
    findings.push(
      bootFinding(file, 'spec.metering.maxBytes', `expected 1MiB to 1TiB, got ${metering.maxBytes}`, 'such as 1GiB'),
    );
  const { certFile, keyFile } = metering.collector?.tls ?? {};
  if ((certFile === undefined) !== (keyFile === undefined))
    findings.push(
      bootFinding(
        file,
        `spec.metering.collector.tls.${certFile === undefined ? 'certFile' : 'keyFile'}`,
        'a certificate and its key go together',
        'set both, or neither',
      ),
    );
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
  // `1.0001KiB` is no whole number, and Node refuses it.
  const bytes = (path: string) => Math.floor(parseSizeBytes(text(path)) as number);
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
    gossip: spec.gossip && {
      keyFile: spec.gossip.keyFile,
      seeds: spec.gossip.seeds as GossipConfig['seeds'],
      cluster: text('gossip.cluster'),
      name: spec.gossip.name,
      host: text('gossip.host'),
      port: number('gossip.port'),
      advertise: spec.gossip.advertise,
      partition: value('gossip.partition') as 'hold',
    },
    metering: spec.metering && {
      dir: spec.metering.dir ?? join(spec.stateDir as string, 'spool'),
      collector: spec.metering.collector && {
        address: spec.metering.collector.address,
        tls: tlsOf(spec.metering.collector.tls),
        tokenFile: spec.metering.collector.tokenFile,
      },
      durability: value('metering.durability') as 'interval',
      granularity: value('metering.granularity') as 'raw',
      maxBytes: bytes('metering.maxBytes'),
      onFull: value('metering.onFull') as 'failOpen',
      streamEveryMs: ms('metering.streamEvery'),
      traceIds: isOn('metering.traceIds'),
    },
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
      fastPath: isOn('wire.fastPath'),
    },
    admission: {
      enabled: isOn('admission.enabled'),
      // Without one the limit is not learned.
      min: spec.admission?.min ?? number('admission.max'),
      max: number('admission.max'),
      tolerance: number('admission.tolerance'),
      waitMaxMs: ms('admission.wait'),
    },
    status: { host: text('status.host'), port: number('status.port') },
    admin: { host: text('admin.host'), port: number('admin.port') },
    application: { host: text('application.host'), port: number('application.port') },
    drain: { delayMs: ms('drain.delay'), graceMs: ms('drain.grace') },
    log: {
      level: value('log.level') as 'info',
      access: value('log.access') as 'errors',
      sample: parsePercent(text('log.sample')) as number,
    },
  };
}

function tlsOf(
  tls:
    | {
        enabled?: boolean | undefined;
        caFile?: string | undefined;
        certFile?: string | undefined;
        keyFile?: string | undefined;
      }
    | undefined,
): CollectorConfig['tls'] {
  if (tls === undefined || tls.enabled === false) return undefined;
  return { caFile: tls.caFile, certFile: tls.certFile, keyFile: tls.keyFile };
}
