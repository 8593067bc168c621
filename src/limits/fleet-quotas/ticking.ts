/** The clockwork of shared quotas: a tick each quarter of a second, what it began goes on in the turns of the loop behind it; and their end. */
import type { Timer, Timers } from '../../core/index.ts';
import { type FleetQuotas, QUOTA_TICK_MS } from './fleet-quotas.ts';

/** Others are told what stands on disk: for that who leaves waits so long, ms. */
const DISK_MS = 1000;

/** Says what was spent last and who inherits; a disk that does not answer is not waited for. */
export async function leaveQuotas(quotas: FleetQuotas, timers: Timers): Promise<void> {
  await Promise.race([quotas.leave(), timers.sleep(DISK_MS)]);
}

/** `onUrgent`: something should reach the others at once. */
export function tickQuotas(quotas: FleetQuotas, timers: Timers, onUrgent?: () => void): Timer {
  let isTurning = false;
  const turn = (): void => {
    quotas.turn();
    isTurning = quotas.isBehind;
    if (isTurning) timers.afterPoll(turn);
  };
  return timers.every(QUOTA_TICK_MS, () => {
    if (quotas.tick()) onUrgent?.();
    if (isTurning || !quotas.isBehind) return;
    isTurning = true;
    timers.afterPoll(turn);
  });
}
