/** What `reeve check` says of metering: the spool as it lies there, and whether the collector can be reached. */
import { connect } from 'node:net';
import type { CollectorConfig, MeteringConfig } from '../../tenants/index.ts';
import { bad, type Check, good } from './check-result.ts';

/** From that share on single records are folded. */
const FILLS_AT = 0.7;
/** With less a disk takes no segment more. */
const FREE_BYTES_MIN = 16 * 2 ** 20;

export async function meteringChecks({ dir, maxBytes, onFull, collector }: MeteringConfig): Promise<Check[]> {
  const { inspectSpool } = await import('../../metering/index.ts');
  const { bytes, unwritable, freeBytes, corrupt, fenced } = inspectSpool(dir);
  const checks = [
    unwritable === undefined
      ? good(`spool is writable${bytes === undefined ? `; it will be made: ${dir}` : ''}`)
      : bad('spool is writable', `${dir}: ${unwritable}`, 'mount a volume that the user may write'),
    roomCheck(dir, bytes ?? 0, maxBytes),
  ];
  if (freeBytes !== undefined && freeBytes < Math.min(FREE_BYTES_MIN, maxBytes - (bytes ?? 0)))
    checks.push(
      bad(
        'the disk of the spool has room',
        `${dir}: ${freeBytes} bytes are free`,
        `make room; what the disk refuses is a gap, or refuses requests (metering.onFull: ${onFull})`,
      ),
    );
  if (corrupt.length > 0)
    checks.push(
      bad(
        'spool is sound',
        corrupt.map((path) => `${path} was found damaged and put aside`).join('\n'),
        '`reeve wal inspect` says what of it is lost; what was told as a gap is counted there. Remove it once it was looked at',
        'warning',
      ),
    );
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
