/** Whether the sidecar lives, is ready, has started: each as the list of reasons why not. */
import { type LoopLag, quantileOf } from '../core/index.ts';

export interface Health {
  live(): readonly string[];
  ready(): readonly string[];
  started(): readonly string[];
}

export interface HealthFacts {
  readonly lag: LoopLag;
  readonly generation: () => number;
  readonly isDraining: () => boolean;
  /** Whether what the fleet has taken is known here. */
  readonly isPulled: () => boolean;
}

/** A loop that is late by this much at the median of a minute does not recover by itself. */
const LAG_MS_MAX = 2000;
const WINDOW_MS = 60_000;

export function createHealth({ lag, generation, isDraining, isPulled }: HealthFacts): Health {
  const started = (): readonly string[] => [
    ...(generation() > 0 ? [] : ['no configuration has been loaded yet']),
    ...(isPulled() ? [] : ['the state of the fleet has not been pulled yet']),
  ];
  return {
    live() {
      const medianMs = quantileOf(lag.over(WINDOW_MS), 0.5);
      return medianMs < LAG_MS_MAX ? [] : [`the event loop is ${Math.round(medianMs)} ms late`];
    },
    ready: () => (isDraining() ? ['draining'] : started()),
    started,
  };
}
