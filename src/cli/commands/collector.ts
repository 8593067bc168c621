import { collectorValues } from '../collector-settings.ts';
import { onStop } from '../signals.ts';

/** `reeve collector`: runs until a signal. */
export async function collector(
  options: { config?: string; rebuild?: boolean; trustClock?: boolean } & Record<string, unknown>,
): Promise<void> {
  // A log that nobody reads any more is no reason to stop.
  process.stdout.removeAllListeners('error').on('error', () => {});
  const values = await collectorValues(options.config ?? process.env['REEVE_COLLECTOR_CONFIG'], options, process.env);
  const { startCollector } = await import('../collector.ts');
  // Behind this turn: its first word may have somebody send a signal.
  const starting = Promise.resolve().then(() =>
    startCollector(values, {
      isRebuilding: options.rebuild === true,
      trustsClock: options.trustClock === true,
      // Who started it starts it again.
      onDeath: () => process.exit(1),
    }),
  );
  // From now on: a signal may come before its caller hears that it is up.
  onStop(starting, (running) => running.close());
  await starting;
}
