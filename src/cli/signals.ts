/** Signals that end a command. */
import { systemClock } from '../core/index.ts';
import { EXIT } from './exit.ts';
import { explainFailure } from './failure.ts';

/** A Ctrl-C reaches the whole group, and npm passes it on once more: what comes within this time, ms, is the same one. A person is slower. */
const ECHO_MS = 300;

/** Each signal once, however many times a terminal and npm send it for one key. */
export function onSignals(signals: readonly NodeJS.Signals[], stop: (signal: NodeJS.Signals) => void): void {
  let lastAt = Number.NEGATIVE_INFINITY;
  const listener = (signal: NodeJS.Signals): void => {
    const isEcho = signal === 'SIGINT' && systemClock.now() - lastAt < ECHO_MS;
    lastAt = systemClock.now();
    if (!isEcho) stop(signal);
  };
  for (const signal of signals) process.on(signal, listener);
}

/**
 * Those that ask a process to end: the first ends what was started gracefully, the second at once. A start that fails is for who awaits it to tell;
 * an end that fails is told here.
 */
export function onStop<T>(starting: Promise<T>, end: (running: T) => Promise<void>): void {
  let isStopping = false;
  onSignals(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'], () => {
    if (isStopping) process.exit(EXIT.findings);
    isStopping = true;
    const ended = (running: T): Promise<void> =>
      end(running).then(
        () => process.exit(EXIT.good),
        (cause: unknown) => {
          explainFailure(cause);
          process.exit(EXIT.findings);
        },
      );
    void starting.then(ended, () => {});
  });
}
