/** What a running sidecar says of its metering to who operates it: numbers and reasons, no tenant. */
import type { MeteringConfig } from '../tenants/index.ts';
import type { LadderStep } from './ladder.ts';
import type { MeteringView } from './metering-metrics.ts';

export interface MeteringStatus {
  /** Whom it tells, host:port; null: nobody. */
  readonly collector: string | null;
  readonly isConnected: boolean;
  /** Why the last connection ended or was not made; null: it is connected, or nothing is known yet. */
  readonly why: string | null;
  readonly unackedRecords: number;
  /** Of the oldest of them, about, s; 0 without any. */
  readonly unackedAgeSec: number;
  readonly step: LadderStep;
  readonly onFull: MeteringConfig['onFull'];
  readonly dir: string;
  readonly spoolBytes: number;
  readonly maxBytes: number;
  /** Since the start. */
  readonly lostRecords: number;
  readonly syncFailures: number;
  readonly damages: number;
  readonly fences: number;
}

export function statusOf(view: MeteringView, config: MeteringConfig, why: string | undefined): MeteringStatus {
  const { isConnected, unacked, oldestAgeSec, step, spoolBytes, lost, syncFailures, damages, sent } = view;
  const { collector, onFull, dir, maxBytes } = config;
  return {
    collector: collector?.address ?? null,
    isConnected,
    why: why ?? null,
    unackedRecords: unacked,
    unackedAgeSec: oldestAgeSec,
    step,
    onFull,
    dir,
    spoolBytes,
    maxBytes,
    lostRecords: lost,
    syncFailures,
    damages,
    fences: sent.fences,
  };
}
