import { bootFrom } from '../boot.ts';
import { startSidecar } from '../sidecar.ts';
import { onStop } from '../signals.ts';

/** `reeve sidecar`: runs until a signal. */
export async function sidecar(options: { config?: string } & Record<string, unknown>): Promise<void> {
  // A log that nobody reads any more is no reason to stop serving.
  process.stdout.removeAllListeners('error').on('error', () => {});
  const running = await startSidecar(bootFrom(options.config, options, process.env));
  onStop(() => running.drain());
}
