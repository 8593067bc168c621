/** Whether the sidecar lives, is ready, has started: each as the list of reasons why not. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Timers } from '../core/index.ts';

export interface Health {
  live(): readonly string[];
  ready(): readonly string[];
  started(): readonly string[];
  close(): void;
}

export interface HealthFacts {
  readonly timers: Timers;
  readonly generation: () => number;
  readonly isDraining: () => boolean;
  /** Whether what the fleet has taken is known here. */
  readonly isPulled: () => boolean;
}

/** A loop that is late by this much at the median of a minute does not recover by itself. */
const LAG_MS_MAX = 2000;
const WINDOW_MS = 60_000;

export function createHealth({ timers, generation, isDraining, isPulled }: HealthFacts): Health {
  const lag = monitorEventLoopDelay({ resolution: 20 });
  lag.enable();
  const window = timers.every(WINDOW_MS, () => lag.reset());
  const started = (): readonly string[] => [
    ...(generation() > 0 ? [] : ['no configuration has been loaded yet']),
    ...(isPulled() ? [] : ['the state of the fleet has not been pulled yet']),
  ];
  return {
    live() {
      const medianMs = lag.percentile(50) / 1e6;
      return medianMs < LAG_MS_MAX ? [] : [`the event loop is ${Math.round(medianMs)} ms late`];
    },
    ready: () => (isDraining() ? ['draining'] : started()),
    started,
    close() {
      window.cancel();
      lag.disable();
    },
  };
}
