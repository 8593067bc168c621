/** `reeve check`: categories of checks, each with a hint when it fails, in the form operators know from `linkerd check`. */
import { existsSync, statSync } from 'node:fs';
import { access, constants } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { dirname } from 'node:path';
import { ReeveError } from '../../core/index.ts';
import type { MeteringStatus } from '../../metering/index.ts';
import {
  foldFindings,
  formatFinding,
  inspectTenancy,
  type SidecarConfig,
  sidecarSettings,
  unknownUpstreams,
} from '../../tenants/index.ts';
import { refusedApiKeys } from '../api-keys.ts';
import { ADMIN, askAdmin, askAdminIfThere } from '../ask-admin.ts';
import { bootFrom } from '../boot.ts';
import { EXIT } from '../exit.ts';
import type { FleetMembers } from '../fleet.ts';
import { BUT, type Form, NO, paint, printJson, YES } from '../output.ts';
import { ledgerChecks } from './check-ledger.ts';
import { type LiveConfig, liveConfigChecks } from './check-live-config.ts';
import { liveFleetChecks } from './check-live-fleet.ts';
import { liveMeteringChecks } from './check-live-metering.ts';
import { meteringChecks } from './check-metering.ts';
import { bad, type Check, good, type Result } from './check-result.ts';
import { count, namesOf } from './config.ts';

interface Category {
  readonly categoryName: string;
  readonly checks: readonly Check[];
}

interface CheckOptions {
  readonly config?: string;
  readonly tenancy?: string;
  readonly live?: boolean;
  /** Warnings fail it as well. */
  readonly strict?: boolean;
  /** Default: where the boot file says, else where one is that says nothing. */
  readonly admin?: string;
  readonly output: Form;
}

export async function check(options: CheckOptions): Promise<void> {
  const isBooted = options.config !== undefined || sidecarSettings.some((each) => process.env[each.env] !== undefined);
  const categories: Category[] = [];
  let config: SidecarConfig | undefined;
  if (isBooted) {
    const booted = await bootChecks(options.config);
    config = booted.config;
    const machine = config === undefined ? [] : await machineChecks(config, options.live === true);
    categories.push({ categoryName: 'boot file', checks: [...booted.checks, ...machine] });
    if (config?.metering !== undefined)
      categories.push({ categoryName: 'metering', checks: await meteringChecks(config.metering) });
  }
  const dir = options.tenancy ?? config?.tenancy.dir;
  if (dir !== undefined)
    categories.push({ categoryName: 'tenancy', checks: await tenancyChecks(dir, config, options.config) });
  // As a collector is told where it is.
  const ledgerOf = process.env['REEVE_COLLECTOR_DIR'];
  if (ledgerOf !== undefined) categories.push({ categoryName: 'ledger', checks: await ledgerChecks(ledgerOf) });
  const live = options.live === true ? await liveChecks(options.admin ?? adminOf(config)) : undefined;
  if (live !== undefined) categories.push({ categoryName: 'running sidecar', checks: live.checks });
  if (categories.length === 0)
    throw new ReeveError('usage', 'nothing to check', {
      remedy: 'give --config, --tenancy or --live, or REEVE_COLLECTOR_DIR',
    });
  const isFailed = ({ result }: Check): boolean =>
    result === 'error' || (options.strict === true && result === 'warning');
  const failed = categories.flatMap(({ checks }) => checks).filter(isFailed).length;
  if (options.output === 'json') printJson({ success: failed === 0, categories });
  else process.stdout.write(textOf(categories, failed === 0));
  if (failed > 0) process.exitCode = live?.isReached === false && failed === 1 ? EXIT.unreachable : EXIT.findings;
}

function textOf(categories: readonly Category[], isGood: boolean): string {
  const warnings = categories.flatMap(({ checks }) => checks).filter((each) => each.result === 'warning').length;
  const but = warnings === 0 ? '' : `, with ${count(warnings, 'warning')}`;
  const signs: Readonly<Record<Result, string>> = { success: YES(), warning: BUT(), error: NO() };
  const parts = categories.map(({ categoryName, checks }) => {
    const lines = checks.flatMap(({ result, description, error, hint }) => [
      `${signs[result]} ${description}`,
      ...(error === undefined ? [] : [error.replaceAll(/^/gm, '    ')]),
      ...(hint === undefined ? [] : [`    hint: ${hint}`]),
    ]);
    return `${paint('bold', categoryName)}\n${'-'.repeat(categoryName.length)}\n${lines.join('\n')}\n`;
  });
  return `${parts.join('\n')}\nStatus check results are ${isGood ? YES() : NO()}${but}\n`;
}

async function bootChecks(file: string | undefined): Promise<{ config: SidecarConfig | undefined; checks: Check[] }> {
  try {
    return { config: await bootFrom(file, {}, process.env), checks: [good('boot configuration is valid')] };
  } catch (cause) {
    return {
      config: undefined,
      checks: [bad('boot configuration is valid', String(cause), 'see docs/config.md, Sidecar')],
    };
  }
}

async function machineChecks(config: SidecarConfig, isLive: boolean): Promise<Check[]> {
  const checks: Check[] = [];
  const { stateDir, identity, upstream } = config;
  const { APPLICATION } = await import('../../proxy/index.ts');
  if (identity.pepperFile !== undefined)
    checks.push(await canAccess(identity.pepperFile, constants.R_OK, 'pepper is readable', 'mount the secret'));
  if (stateDir !== undefined) checks.push(await stateDirCheck(stateDir));
  if (config.gossip !== undefined) checks.push(await gossipKeysCheck(config.gossip));
  // A sidecar that runs says itself where it forwards to, and has its ports.
  if (isLive) return checks;
  checks.push(...(await upstreamChecks([[APPLICATION, upstream], ...config.upstreams])));
  checks.push(await portsCheck(config));
  return checks;
}

async function upstreamChecks(upstreams: Iterable<readonly [string, string]>): Promise<Check[]> {
  const checks: Check[] = [];
  for (const [name, url] of upstreams)
    checks.push(
      (await canConnect(url))
        ? good(`${name} accepts connections`)
        : bad(`${name} accepts connections`, `nothing listens at ${url}`, 'start it, or correct upstream', 'warning'),
    );
  return checks;
}

async function gossipKeysCheck({ keyFile }: NonNullable<SidecarConfig['gossip']>): Promise<Check> {
  const description = 'gossip keys are sound';
  try {
    (await import('../fleet.ts')).readKeys(keyFile);
    return good(description);
  } catch (cause) {
    return bad(description, String(cause), 'mount the secret: keys of 32 bytes in base64, one a line');
  }
}

async function portsCheck({ inbound, status, admin, application, gossip }: SidecarConfig): Promise<Check> {
  const taken: string[] = [];
  for (const { host, port } of [inbound, status, admin, application, ...(gossip === undefined ? [] : [gossip])])
    if (port !== 0 && !(await canListen(host, port))) taken.push(`${host}:${port}`);
  return taken.length === 0
    ? good('ports are free')
    : bad(
        'ports are free',
        `something listens at ${taken.join(', ')}`,
        'if it is this sidecar, ask it with --live; else choose other ports',
        'warning',
      );
}

function canListen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
      .on('error', () => resolve(false))
      .listen({ host, port }, () => server.close(() => resolve(true)));
  });
}

async function canAccess(path: string, mode: number, description: string, hint: string): Promise<Check> {
  try {
    await access(path, mode);
    return good(description);
  } catch (cause) {
    return bad(description, `${path}: ${(cause as NodeJS.ErrnoException).code}`, hint);
  }
}

/** A sidecar makes its state directory, with those above it. */
async function stateDirCheck(dir: string): Promise<Check> {
  let existing = dir;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  const made = existing === dir ? '' : `; it will be made in ${existing}`;
  const hint = 'mount a volume that the user may write';
  return statSync(existing).isDirectory()
    ? await canAccess(existing, constants.W_OK, `state directory is writable${made}`, hint)
    : bad('state directory is writable', `${existing} is no directory`, hint);
}

async function canConnect(upstream: string): Promise<boolean> {
  const { addressOf } = await import('../../proxy/index.ts');
  const address = addressOf(upstream);
  const target = 'socketPath' in address ? { path: address.socketPath } : address;
  return new Promise((resolve) => {
    const socket = connect({ ...target, timeout: 1000 }, () => end(true));
    const end = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.on('error', () => end(false)).on('timeout', () => end(false));
  });
}

/** Findings shown; `reeve config validate` shows all. */
const FINDINGS_MAX = 20;

async function tenancyChecks(dir: string, config: SidecarConfig | undefined, file?: string): Promise<Check[]> {
  const { findings: own, snapshot } = await inspectTenancy(dir);
  const unknown = config === undefined ? [] : await unknownUpstreams(dir, snapshot, await namesOf(config.upstreams));
  const findings = [...own, ...unknown];
  const checks = foldFindings(findings)
    .slice(0, FINDINGS_MAX)
    .map(({ finding: { remedy, severity }, text }) =>
      bad('document is sound', text, remedy ?? 'see docs/config.md', severity),
    );
  if (!findings.some((each) => each.severity === 'error'))
    checks.push(good(`every document is sound (${snapshot.tenants.size} tenants, ${snapshot.plans.size} plans)`));
  checks.push(
    snapshot.tenants.size > 0
      ? good('there is a tenant')
      : bad(
          'there is a tenant',
          `${dir} holds none`,
          'every request will be refused; add a document of kind Tenant',
          'warning',
        ),
  );
  if (config !== undefined && snapshot.tenantByApiKeyId.size > 0) {
    const refused = refusedApiKeys(config, snapshot, file ?? 'flags');
    const description = 'API keys can be verified';
    checks.push(
      refused === undefined
        ? good(description)
        : bad(description, formatFinding(refused), refused.remedy as string, 'warning'),
    );
  }
  return checks;
}

function adminOf(config: SidecarConfig | undefined): string {
  if (config === undefined) return ADMIN;
  const { host, port } = config.admin;
  return `http://${host === '::1' ? '[::1]' : host}:${port}`;
}

async function liveChecks(admin: string): Promise<{ isReached: boolean; checks: Check[] }> {
  try {
    const config = await askAdmin<LiveConfig>(admin, '/v1/config');
    const metering = await askAdminIfThere<MeteringStatus>(admin, '/v1/metering');
    const fleet = await askAdminIfThere<FleetMembers>(admin, '/v1/gossip');
    return {
      isReached: true,
      checks: [
        ...liveConfigChecks(config),
        ...(await upstreamChecks(Object.entries(config.upstreams))),
        ...(metering === undefined ? [] : liveMeteringChecks(metering)),
        ...(fleet === undefined ? [] : liveFleetChecks(fleet)),
      ],
    };
  } catch (cause) {
    if (!(cause instanceof ReeveError) || cause.code === 'usage') throw cause;
    return {
      isReached: cause.code !== 'unreachable',
      checks: [
        bad('sidecar answers', String(cause), 'is it running, and is this its admin port? --admin names another'),
      ],
    };
  }
}
