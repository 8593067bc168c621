/**
 * A process that floods a UDP port on loopback, so that what it costs to send is not in what it costs to receive:
 * `fork(path, { serialization: 'advanced' })`, then a message `Flood` for each flood, answered with how many it sent.
 */
import { createSocket } from 'node:dgram';

export interface Flood {
  /** Sent in turn. */
  readonly datagrams: readonly Uint8Array[];
  readonly port: number;
  readonly perSec: number;
  readonly forMs: number;
}

/** It sleeps so long between bursts, ms. */
const STEP_MS = 10;

const socket = createSocket('udp4');
process.on('disconnect', () => process.exit());
process.on('message', ({ datagrams, port, perSec, forMs }: Flood) => {
  const began = performance.now();
  let sent = 0;
  const step = setInterval(() => {
    const ms = Math.min(performance.now() - began, forMs);
    for (const due = Math.floor((ms * perSec) / 1000); sent < due; sent++)
      socket.send(datagrams[sent % datagrams.length] as Uint8Array, port, '127.0.0.1');
    if (ms < forMs) return;
    clearInterval(step);
    process.send?.(sent);
  }, STEP_MS);
});
