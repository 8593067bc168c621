/** `reeve check`: categories of checks, each with a hint when it fails, in the form operators know from `linkerd check`. */
import { access, constants } from 'node:fs/promises';
import { connect } from 'node:net';
import { ReeveError } from '../../core/index.ts';
import {
  type Finding,
  formatFinding,
  inspectTenancy,
  type SidecarConfig,
  sidecarSettings,
} from '../../tenants/index.ts';
import { askAdmin } from '../ask-admin.ts';
import { bootFrom } from '../boot.ts';
import { EXIT } from '../exit.ts';

type Result = 'success' | 'warning' | 'error';

interface Check {
  readonly description: string;
  readonly result: Result;
  readonly error?: string;
  readonly hint?: string;
}

interface Category {
  readonly categoryName: string;
  readonly checks: readonly Check[];
}

interface CheckOptions {
  readonly config?: string;
  readonly tenancy?: string;
  readonly live?: boolean;
  readonly admin: string;
  readonly output: 'text' | 'json';
}

export async function check(options: CheckOptions): Promise<void> {
  const categories: Category[] = [];
  let config: SidecarConfig | undefined;
  const isBooted = options.config !== undefined || sidecarSettings.some((each) => process.env[each.env] !== undefined);
  if (isBooted) {
    const booted = bootChecks(options.config);
    config = booted.config;
    categories.push({
      categoryName: 'boot file',
      checks: config === undefined ? booted.checks : [...booted.checks, ...(await machineChecks(config))],
    });
  }
  const dir = options.tenancy ?? config?.tenancy.dir;
  if (dir !== undefined) categories.push({ categoryName: 'tenancy', checks: await tenancyChecks(dir) });
  if (options.live === true)
    categories.push({ categoryName: 'running sidecar', checks: await liveChecks(options.admin) });
  if (categories.length === 0)
    throw new ReeveError('usage', 'nothing to check', { remedy: 'give --config, --tenancy or --live' });
  const isGood = categories.every(({ checks }) => checks.every((each) => each.result !== 'error'));
  if (options.output === 'json') process.stdout.write(`${JSON.stringify({ success: isGood, categories }, null, 2)}\n`);
  else process.stdout.write(textOf(categories, isGood));
  if (!isGood) process.exitCode = EXIT.findings;
}

function textOf(categories: readonly Category[], isGood: boolean): string {
  const signs: Readonly<Record<Result, string>> = { success: '√', warning: '‼', error: '×' };
  const parts = categories.map(({ categoryName, checks }) => {
    const lines = checks.flatMap(({ result, description, error, hint }) => [
      `${signs[result]} ${description}`,
      ...(error === undefined ? [] : [`    ${error}`]),
      ...(hint === undefined ? [] : [`    hint: ${hint}`]),
    ]);
    return `${categoryName}\n${'-'.repeat(categoryName.length)}\n${lines.join('\n')}\n`;
  });
  return `${parts.join('\n')}\nStatus check results are ${isGood ? '√' : '×'}\n`;
}

const good = (description: string): Check => ({ description, result: 'success' });
const bad = (description: string, error: string, hint: string, result: Result = 'error'): Check => ({
  description,
  result,
  error,
  hint,
});

function bootChecks(file: string | undefined): { config: SidecarConfig | undefined; checks: Check[] } {
  try {
    return { config: bootFrom(file, {}, process.env), checks: [good('boot configuration is valid')] };
  } catch (cause) {
    return {
      config: undefined,
      checks: [bad('boot configuration is valid', String(cause), 'see docs/config.md, Sidecar')],
    };
  }
}

async function machineChecks(config: SidecarConfig): Promise<Check[]> {
  const checks: Check[] = [];
  const { stateDir, identity, upstream } = config;
  if (identity.pepperFile !== undefined)
    checks.push(await canAccess(identity.pepperFile, constants.R_OK, 'pepper is readable', 'mount the secret'));
  if (stateDir !== undefined)
    checks.push(
      await canAccess(
        stateDir,
        constants.W_OK,
        'state directory is writable',
        'mount a volume that the user may write',
      ),
    );
  checks.push(
    (await canConnect(upstream))
      ? good('application accepts connections')
      : bad(
          'application accepts connections',
          `nothing listens at ${upstream}`,
          'start the application, or correct upstream',
          'warning',
        ),
  );
  return checks;
}

async function canAccess(path: string, mode: number, description: string, hint: string): Promise<Check> {
  try {
    await access(path, mode);
    return good(description);
  } catch (cause) {
    return bad(description, `${path}: ${(cause as NodeJS.ErrnoException).code}`, hint);
  }
}

function canConnect(upstream: string): Promise<boolean> {
  const target = upstream.startsWith('unix:')
    ? { path: upstream.slice(5) }
    : { host: new URL(upstream).hostname, port: Number(new URL(upstream).port || 80) };
  return new Promise((resolve) => {
    const socket = connect({ ...target, timeout: 1000 } as never, () => end(true));
    const end = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.on('error', () => end(false)).on('timeout', () => end(false));
  });
}

async function tenancyChecks(dir: string): Promise<Check[]> {
  const { findings, snapshot } = await inspectTenancy(dir);
  const toCheck = (finding: Finding): Check =>
    bad('document is sound', formatFinding(finding), finding.remedy ?? 'see docs/config.md', finding.severity);
  const checks = [...findings.slice(0, 20).map(toCheck)];
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
  return checks;
}

interface LiveConfig {
  readonly generation: number;
  readonly isFromLastGood: boolean;
  readonly findings: readonly { readonly severity: string; readonly text: string }[];
}

async function liveChecks(admin: string): Promise<Check[]> {
  let config: LiveConfig;
  try {
    config = await askAdmin<LiveConfig>(admin, '/v1/config');
  } catch (cause) {
    return [bad('sidecar answers', String(cause), 'is it running, and is this its admin port?')];
  }
  const errors = config.findings.filter((each) => each.severity === 'error');
  return [
    good('sidecar answers'),
    config.generation > 0
      ? good(`configuration is loaded (generation ${config.generation})`)
      : bad('configuration is loaded', 'generation 0', 'check the mount of the tenancy directory'),
    config.isFromLastGood
      ? bad(
          'configuration is from its files',
          'it runs on the last known good one',
          'mend the mount of the tenancy directory',
          'warning',
        )
      : good('configuration is from its files'),
    errors.length === 0
      ? good('files hold no errors')
      : bad(
          'files hold no errors',
          errors
            .slice(0, 5)
            .map((each) => each.text)
            .join('\n    '),
          'mend the files; the last good version of each object is live',
        ),
  ];
}
