/** What operators see of metering. No tenant is a label. */
import type { Metrics } from '../telemetry/index.ts';
import { LADDER_STEPS, type LadderStep } from './ladder.ts';
import { GAP_REASONS } from './messages.ts';
import type { SenderCounts } from './sender-ports.ts';
import { OUTCOMES } from './usage-record.ts';

/** What the room counts; read at scrape. */
export interface MeteringView {
  /** By number of the outcome. */
  readonly records: Float64Array;
  /** Of requests that were not over. */
  readonly parts: number;
  readonly commits: number;
  readonly spoolBytes: number;
  readonly unacked: number;
  /** Of the oldest that is not acked, s; 0: there is none. */
  readonly oldestAgeSec: number;
  readonly lost: number;
  readonly syncFailures: number;
  readonly damages: number;
  readonly step: LadderStep;
  readonly folded: number;
  /** Of all senders of this process. */
  readonly sent: SenderCounts;
  readonly isConnected: boolean;
}

export function registerMetering(metrics: Metrics, view: () => MeteringView): void {
  const gauge = (name: string, help: string, read: (view: MeteringView) => number): void =>
    metrics.gauge({ name: `reeve_meter_${name}`, help, read: () => read(view()) });
  const counter = (name: string, help: string, read: (view: MeteringView) => number): void =>
    metrics.collected({
      name: `reeve_meter_${name}_total`,
      help,
      type: 'counter',
      labels: [],
      collect: (emit) => emit([], read(view())),
    });
  metrics.collected({
    name: 'reeve_meter_records_total',
    help: 'Usage records made, by what became of the request; reported is what the application posted.',
    type: 'counter',
    labels: ['outcome'],
    rowsMax: OUTCOMES.length,
    collect: (emit) => OUTCOMES.forEach((outcome, at) => emit([outcome], view().records[at] as number)),
  });
  counter(
    'parts',
    'Usage records of requests that were not over, such as streams: what they used until then.',
    ({ parts }) => parts,
  );
  counter('commits', 'Appends to the spool, one a turn of the loop in which anything ended.', ({ commits }) => commits);
  gauge('spool_bytes', 'Bytes of the spool’s files.', ({ spoolBytes }) => spoolBytes);
  gauge('unacked_records', 'Records in the spool that no collector acked.', ({ unacked }) => unacked);
  gauge('unacked_age_seconds', 'Age of the oldest of them, about; 0 without any.', ({ oldestAgeSec }) => oldestAgeSec);
  counter(
    'lost_records',
    'Records that the disk refused or the full spool had no room for; they become a gap.',
    ({ lost }) => lost,
  );
  counter('sync_failures', 'Syncs of the spool that the disk refused.', ({ syncFailures }) => syncFailures);
  counter('damages', 'Files of the spool that were found damaged, cut short or put aside.', ({ damages }) => damages);
  counter('folded_segments', 'Segments of the spool folded into windows for want of room.', ({ folded }) => folded);
  metrics.collected({
    name: 'reeve_meter_ladder',
    help: 'What the spool does for want of room: 1 for the step that is in force.',
    type: 'gauge',
    labels: ['step'],
    rowsMax: LADDER_STEPS.length,
    collect: (emit) => LADDER_STEPS.forEach((step) => emit([step], view().step === step ? 1 : 0)),
  });
  gauge('connected', '1 while a collector takes what is told.', ({ isConnected }) => Number(isConnected));
  counter('connects', 'Connections begun to a collector.', ({ sent }) => sent.connects);
  counter('failures', 'Connections to a collector that could not be made, or ended.', ({ sent }) => sent.failures);
  counter(
    'fences',
    'Spools that were fenced: the collector has another history under their numbers.',
    ({ sent }) => sent.fences,
  );
  counter('batches', 'Batches told, those told again included.', ({ sent }) => sent.batches);
  metrics.collected({
    name: 'reeve_meter_sent_bytes_total',
    help: 'Payload of batches, before it was compressed and as it was sent.',
    type: 'counter',
    labels: ['form'],
    rowsMax: 2,
    collect(emit) {
      const { sent } = view();
      emit(['raw'], sent.bytesRaw);
      emit(['compressed'], sent.bytesSent);
    },
  });
  metrics.collected({
    name: 'reeve_meter_gap_records_total',
    help: 'Records that were told as a gap, by why they are not there.',
    type: 'counter',
    labels: ['reason'],
    rowsMax: GAP_REASONS.length,
    collect: (emit) => GAP_REASONS.forEach((reason) => emit([reason], view().sent.gaps[reason])),
  });
}
