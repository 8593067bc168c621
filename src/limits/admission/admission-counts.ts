/** What is counted of admission: how long was waited, who was refused and why, and each upstream's limit and line, read at scrape. */
import { type Metrics, OTHER, UPSTREAMS_SHOWN_MAX } from '../../telemetry/index.ts';
import type { Shed } from './band.ts';
import type { Gate } from './gate.ts';

const REASONS = ['overflow', 'deadline', 'standing'] as const satisfies readonly Shed[];
/** From a turn of the loop to the longest wait that is usual. */
const BUCKETS_SEC = [0.001, 0.005, 0.025, 0.1, 0.25, 1, 5];

export class AdmissionCounts {
  readonly #waited: (seconds: number) => void;
  readonly #refused: (shed: Shed) => void;

  constructor(metrics: Metrics, gates: ReadonlyMap<string, Gate>) {
    const wait = metrics.histogram({
      name: 'reeve_admission_wait_seconds',
      help: 'How long requests waited for their turn at an upstream; those that passed at once are not among them.',
      buckets: BUCKETS_SEC,
    });
    const refused = metrics.counters({
      name: 'reeve_admission_refused_total',
      help: 'Requests that waited for an upstream and were refused, by reason.',
      labels: { reason: REASONS },
    });
    this.#waited = (seconds) => wait.observe(seconds);
    this.#refused = (shed) => refused.add(refused.index(shed));
    const gauge = (name: string, help: string, read: (gate: Gate) => number): void =>
      metrics.collected({
        name,
        help,
        type: 'gauge',
        labels: ['upstream'],
        collect(emit) {
          const all = [...gates];
          for (const [upstream, gate] of all.slice(0, UPSTREAMS_SHOWN_MAX)) emit([upstream], read(gate));
          const rest = all.slice(UPSTREAMS_SHOWN_MAX);
          if (rest.length > 0)
            emit(
              [OTHER],
              rest.reduce((sum, [, gate]) => sum + read(gate), 0),
            );
        },
      });
    gauge(
      'reeve_admission_limit',
      'Requests an upstream may have unanswered at once, as learned.',
      (gate) => gate.limit,
    );
    gauge('reeve_admission_unanswered', 'Requests an upstream has unanswered now.', (gate) => gate.unanswered);
    gauge('reeve_admission_waiting', 'Requests that wait for their turn at an upstream.', (gate) => gate.waiting);
  }

  /** `shed`: undefined when its turn came. */
  waited(ms: number, shed: Shed | undefined): void {
    this.#waited(ms / 1000);
    if (shed !== undefined) this.#refused(shed);
  }
}
