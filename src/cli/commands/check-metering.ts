/** What `reeve check` says of metering: the spool as it lies there, and whether the collector can be reached. */
import { connect } from 'node:net';
import type { CollectorConfig, MeteringConfig } from '../../tenants/index.ts';
import { logChecks } from './check-log.ts';
import { bad, type Check, good } from './check-result.ts';

/** From that share on single records are folded. */
const FILLS_AT = 0.7;

export async function meteringChecks({ dir, maxBytes, onFull, collector }: MeteringConfig): Promise<Check[]> {
  const { fencedBeside, SPOOL_KIND, spoolIdOf } = await import('../../metering/index.ts');
  const words = {
    name: 'spool',
    dir,
    kind: SPOOL_KIND,
    missing:
      'if there was one, what it had not told is lost, and `reeve usage spools` names it until it is written off',
    full: `what the disk refuses is a gap, or refuses requests (metering.onFull: ${onFull})`,
    lost: 'the records that stood there are a gap, which the collector counts (`reeve usage spools`). It is said until their segment is told; remove what was put aside once it was looked at',
    torn: 'a machine that stopped leaves this, and nothing is lost but what no client saw; if none did, something cut the file: the next start tells what it can and says the rest',
  };
  const { checks: log, found } = logChecks(words, maxBytes);
  const segments = found?.segments ?? [];
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  const checks = [...log, roomCheck(dir, bytes, maxBytes)];
  // The first segment of each.
  const owners = new Map<string, string>();
  for (const { path, owner } of segments) {
    const id = owner === undefined ? undefined : spoolIdOf(Buffer.from(owner, 'hex'));
    if (id !== undefined && !owners.has(id)) owners.set(id, `${path} is of spool ${id}`);
  }
  if (owners.size > 1)
    checks.push(
      bad(
        'spool is of one sidecar',
        [...owners.values()].join('\n'),
        'a start ends with spool-mixed: move what does not belong here away',
      ),
    );
  const fenced = fencedBeside(dir);
  if (fenced.length > 0)
    checks.push(
      bad(
        'spool is its own',
        fenced.map((path) => `${path} was fenced: a collector has another history of it`).join('\n'),
        'no two sidecars may share a spool, and none be restored from a copy; what was not told of it stands there. Remove it once it was looked at',
        'warning',
      ),
    );
  if (collector !== undefined) checks.push(...clearTextCheck(collector), await collectorCheck(collector.address));
  return checks;
}

function roomCheck(dir: string, bytes: number, maxBytes: number): Check {
  const share = bytes / maxBytes;
  if (share < FILLS_AT) return good('spool has room');
  return bad(
    'spool has room',
    `${dir} has ${bytes} of ${maxBytes} bytes`,
    share < 1
      ? 'single records are folded to sums; let the collector be reached'
      : 'let the collector be reached, or raise metering.maxBytes',
    share < 1 ? 'warning' : 'error',
  );
}

/** What tenants used is nobody else's business, and the token opens the collector to whoever reads it. */
function clearTextCheck({ address, tls }: CollectorConfig): Check[] {
  if (tls !== undefined || /^(127\.|\[::1\]|localhost:)/.test(address)) return [];
  return [
    bad(
      'collector is told over TLS',
      `${address} is told in the clear, and so is the token`,
      'set metering.collector.tls.caFile, or leave it to a mesh that encrypts',
      'warning',
    ),
  ];
}

async function collectorCheck(address: string): Promise<Check> {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  const answers = await canReach(host, Number(address.slice(at + 1)));
  return answers
    ? good('collector accepts connections')
    : bad(
        'collector accepts connections',
        `nothing listens at ${address}`,
        'start it, or correct metering.collector.address; until then the spool keeps what is used',
        'warning',
      );
}

function canReach(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1000 }, () => end(true));
    const end = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.on('error', () => end(false)).on('timeout', () => end(false));
  });
}
