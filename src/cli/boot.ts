/** The boot configuration from its three places: flags win over variables, variables over the file. */
import { nearest, ReeveError } from '../core/index.ts';
import {
  bootSidecar,
  formatFinding,
  type GivenSetting,
  type SidecarConfig,
  sidecarSettings,
} from '../tenants/index.ts';

/** `options`: what commander read, by camel-case flag name. Rejects with every finding. */
export async function bootFrom(
  file: string | undefined,
  options: Readonly<Record<string, unknown>>,
  env: NodeJS.ProcessEnv,
): Promise<SidecarConfig> {
  const given: GivenSetting[] = [];
  for (const { path, flag, env: variable } of sidecarSettings) {
    const option = options[camelCase(flag.slice(2))];
    if (option !== undefined) given.push({ path, text: String(option), place: flag });
    else if (env[variable] !== undefined) given.push({ path, text: env[variable], place: variable });
  }
  refuseUnknown(env);
  const boot = await bootSidecar(file ?? env['REEVE_CONFIG'], given, process.cwd());
  if (boot.config !== undefined) return boot.config;
  throw new ReeveError('usage', boot.findings.map(formatFinding).join('\n'));
}

function camelCase(words: string): string {
  return words.replaceAll(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** A misspelt variable would otherwise be a setting that silently does nothing. */
function refuseUnknown(env: NodeJS.ProcessEnv): void {
  const known = new Set([...sidecarSettings.map((each) => each.env), 'REEVE_CONFIG']);
  const unknown = Object.keys(env).find(
    (name) => name.startsWith('REEVE_') && !known.has(name) && !isKubernetesLink(name),
  );
  if (unknown === undefined) return;
  const near = nearest(unknown, known);
  throw new ReeveError('usage', 'no setting has this variable', {
    place: unknown,
    remedy: near === undefined ? 'see `reeve sidecar --help` for all of them' : `did you mean ${near}?`,
  });
}

/** Kubernetes puts REEVE_SERVICE_HOST, REEVE_PORT_80_TCP and the like into every pod beside a Service named reeve. */
function isKubernetesLink(name: string): boolean {
  return /_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP)(_\w+)?)?)$/.test(name);
}
