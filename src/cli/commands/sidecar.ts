import { inlineMore, systemClock, systemHeap, systemTimers } from '../../core/index.ts';
import { LoaderThread } from '../../tenants/index.ts';
import { bootFrom } from '../boot.ts';
import { MemoryKeeper } from '../memory-keeper.ts';
import { ResidentMemory } from '../resident-memory.ts';
import { onStop } from '../signals.ts';

/** `reeve sidecar`: runs until a signal. */
export async function sidecar(options: { config?: string } & Record<string, unknown>): Promise<void> {
  // A log that nobody reads any more is no reason to stop serving.
  process.stdout.removeAllListeners('error').on('error', () => {});
  const config = await bootFrom(options.config, options, process.env);
  // The tenancy is read while the rest of the program is loaded.
  const loader = new LoaderThread({ ...config.tenancy, stateDir: config.stateDir, timers: systemTimers });
  const { startSidecar } = await import('../sidecar.ts');
  const starting = startSidecar(config, { loader });
  let keeper: MemoryKeeper | undefined;
  // From now on: a signal may come before its caller hears that it serves.
  onStop(starting, (running) => {
    keeper?.close();
    return running.drain();
  });
  const { log } = await starting;
  inlineMore();
  const resident = new ResidentMemory((cause) => log.info('memory.not_given_back', { cause }));
  keeper = new MemoryKeeper({ clock: systemClock, timers: systemTimers, heap: systemHeap, resident });
}
