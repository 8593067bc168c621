/** What is wrong in a boot file, and its schema cannot say. */
import { BlockList, isIP } from 'node:net';
import { parseDurationMs, parseSizeBytes } from '../../core/index.ts';
import { sidecarSettings } from '../generated/settings.ts';
import type { Finding } from '../model.ts';
import type { SidecarDocument } from '../schema.ts';
import { bootFinding } from './boot-finding.ts';

export function object({ spec }: SidecarDocument, file: string): Finding[] {
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
