/**
 * Many sidecars as one program: `node streams-load.ts PORT STREAMS`. Each has a connection of its own. Says `ready` when all are welcomed and
 * have told something; then `tell` on its input lets all tell at once, which ends with `told`. While nothing is to tell they say so each second.
 */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { recordOf } from './ingest.ts';
import { packRecords, Teller } from './teller.ts';

/** That connect at once. */
const WAVE = 100;
const RECORDS = 100;
const BEAT_MS = 1000;

const [port, streams] = process.argv.slice(2).map(Number) as [number, number];
const batch = packRecords(Array.from({ length: RECORDS }, (_, i) => recordOf(i, Date.now())));
const tellers: Teller[] = [];
for (let from = 0; from < streams; from += WAVE) {
  const wave = Array.from(
    { length: Math.min(WAVE, streams - from) },
    (_, i) => new Teller(port, `service-${(from + i) % 100}`, true),
  );
  tellers.push(...wave);
  await Promise.all(wave.map((each) => each.tell([batch])));
}
// Not all at once: a hundredth of a second's worth at a time.
let turn = 0;
const beats = setInterval(() => {
  for (let i = turn++ % 100; i < tellers.length; i += 100) tellers[i]?.heartbeat();
}, BEAT_MS / 100);
process.stdout.write('ready\n');
for await (const _ of createInterface({ input: process.stdin })) {
  await Promise.all(tellers.map((each) => each.tell([batch, batch, batch])));
  process.stdout.write('told\n');
  await sleep(0);
}
clearInterval(beats);
for (const each of tellers) each.close();
