/** What `reeve check --live` says of the metering of a running sidecar: whether what is used arrives, and what to do where it does not. */
import type { MeteringStatus } from '../../metering/index.ts';
import { bad, type Check, good } from './check-result.ts';

/** A collector acks within a second; for so long a sidecar waits before it leaves one that does not, s. */
const ACKED_SEC = 30;

export function liveMeteringChecks(status: MeteringStatus): Check[] {
  return [collectorCheck(status), ...ackCheck(status), roomCheck(status), lossCheck(status), ...spoolChecks(status)];
}

function collectorCheck({ collector, isConnected, why, ...rest }: MeteringStatus): Check {
  if (collector === null)
    return bad(
      'a collector is told what is used',
      `none is configured; ${waitingText(rest)}`,
      'set metering.collector.address: until then the spool keeps what is used, and fills',
      'warning',
    );
  if (isConnected) return good(`collector ${collector} is told what is used`);
  return bad(
    `collector ${collector} is told what is used`,
    `${why ?? 'it has not answered yet'}; ${waitingText(rest)}`,
    `${remedyOf(why)}; until then the spool keeps what is used`,
    'warning',
  );
}

function remedyOf(why: string | null): string {
  if (why !== null && /token|certificate/i.test(why))
    return 'give metering.collector.tokenFile or tls what the collector asks for';
  return 'start it, or correct metering.collector.address';
}

/** Who is not connected waits for that. */
function ackCheck(status: MeteringStatus): Check[] {
  if (!status.isConnected) return [];
  if (status.unackedAgeSec <= ACKED_SEC) return [good(`records are acked (${waitingText(status)})`)];
  return [
    bad(
      'records are acked',
      waitingText(status),
      "look at the collector's /readyz and log: it acks what its ledger has synced, so a full or slow disk there holds all",
      'warning',
    ),
  ];
}

function roomCheck({ step, dir, spoolBytes, maxBytes, onFull }: MeteringStatus): Check {
  const filled = `${dir} has ${spoolBytes} of ${maxBytes} bytes`;
  if (step === 'single') return good(`spool has room (${spoolBytes} of ${maxBytes} bytes)`);
  if (step === 'full')
    return bad(
      'spool has room',
      `${filled}, and takes no more: ${onFull === 'failOpen' ? 'requests pass, their records are lost' : 'requests are refused'} (metering.onFull: ${onFull})`,
      'make room on its disk, let the collector be reached, or raise metering.maxBytes',
    );
  return bad(
    'spool has room',
    `${filled}: single records are folded to sums by ${step === 'minutes' ? 'the second or minute' : 'the hour'}`,
    'let the collector be reached, or raise metering.maxBytes',
    'warning',
  );
}

function lossCheck({ lostRecords }: MeteringStatus): Check {
  if (lostRecords === 0) return good('no record was lost since the start');
  return bad(
    'no record was lost since the start',
    `${lostRecords} records found no room in the spool or on its disk`,
    'make room, or raise metering.maxBytes; the collector is told their number, `reeve usage spools` shows it as LOST',
    'warning',
  );
}

function spoolChecks({ dir, syncFailures, damages, fences }: MeteringStatus): Check[] {
  const found: Check[] = [];
  if (syncFailures > 0)
    found.push(
      bad(
        'spool is synced',
        `${dir}: ${syncFailures} syncs failed since the start`,
        'look at its disk: a crash of the machine may cost records',
        'warning',
      ),
    );
  if (damages > 0)
    found.push(
      bad(
        'spool is sound',
        `${dir}: ${damages} files were found damaged or cut short since the start`,
        `look at its disk; reeve wal inspect ${dir} says what is there`,
        'warning',
      ),
    );
  if (fences > 0)
    found.push(
      bad(
        'spool is its own',
        `${dir}: fenced ${fences} times since the start: the collector has another history of it`,
        'no two sidecars may share a spool, and none be restored from a copy; what was not told lies beside it',
        'warning',
      ),
    );
  return found;
}

function waitingText({
  unackedRecords,
  unackedAgeSec,
}: Pick<MeteringStatus, 'unackedRecords' | 'unackedAgeSec'>): string {
  if (unackedRecords === 0) return 'no record waits';
  return `${unackedRecords} ${unackedRecords === 1 ? 'record waits' : 'records wait'}, the oldest for ${timeText(unackedAgeSec)}`;
}

function timeText(sec: number): string {
  if (sec < 120) return `${Math.round(sec)} s`;
  return sec < 7200 ? `${Math.round(sec / 60)} min` : `${Math.round(sec / 3600)} h`;
}
