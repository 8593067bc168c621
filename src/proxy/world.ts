/** What the engine is given, and what a passage may use of its listener. */
import type { Clock, Random, Timers } from '../core/index.ts';
import type { Commits, Pipeline } from '../pipeline/index.ts';
import type { Log, Metrics } from '../telemetry/index.ts';
import type { SidecarConfig, Snapshot } from '../tenants/index.ts';
import type { AccessLog, Unadmitted } from './access-log.ts';
import type { Upstreams } from './upstreams.ts';

export interface ProxyOptions {
  readonly config: SidecarConfig;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Of what the gate refuses; the stages' is the same. */
  readonly access: AccessLog;
  readonly upstreams: Upstreams;
  /** Both of one generation; asked once a request. */
  readonly snapshot: () => Snapshot;
  readonly pipeline: () => Pipeline;
  /** There where requests are recorded: an exchange's last bytes wait for its record. */
  readonly commits?: Commits | undefined;
  readonly isProtectedName: (name: string) => boolean;
  readonly isTrustedProxy: (peer: string) => boolean;
}

/** What a passage may use of its listener. */
export interface ProxyWorld extends ProxyOptions {
  isDraining(): boolean;
  /** For the Date field of an answer of ours. */
  date(): string;
  /** Refused before there was an exchange: counted and logged here, for no stage sees it. */
  onRefused(refused: Unadmitted): void;
  /** Something of ours threw: the request is refused, the process lives. */
  onDefect(where: string, cause: unknown): void;
}
