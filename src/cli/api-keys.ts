/** API keys that a sidecar would refuse, every one, because of what its boot configuration leaves out. */
import type { Finding, SidecarConfig, Snapshot } from '../tenants/index.ts';

/** A warning at the place that would let them in; undefined when they can be verified, or there are none. `file`: the boot file. */
export function refusedApiKeys(
  { name, identity }: SidecarConfig,
  { tenantByApiKeyId }: Snapshot,
  file: string,
): Finding | undefined {
  const [first] = tenantByApiKeyId.values();
  const hasSource = identity.sources.includes('apiKey');
  if (first === undefined || (hasSource && identity.pepperFile !== undefined)) return undefined;
  return {
    severity: 'warning',
    file,
    line: 0,
    column: 0,
    kind: 'Sidecar',
    name,
    path: hasSource ? 'spec.identity.pepperFile' : 'spec.identity.sources',
    message: `tenants such as ${JSON.stringify(first.id)} have API keys, but every one will be refused`,
    remedy: hasSource
      ? 'name the file with the secret under which they were hashed'
      : 'add apiKey, or remove the keys from the tenants',
  };
}
