/**
 * Sidecars and a collector are killed by SIGKILL in mid-traffic, at any moment and in their work with the disk: whatever a client saw whole is
 * in the ledger, once. `npm run crash -- --kills 1000` is the long form.
 */
import t from 'tap';
import { isGood, killAndJudge } from '../../crash/kills.ts';
import { scaled } from '../helpers/scale.ts';

t.test(
  'killed again and again: nothing a client saw whole is missing, nothing is there twice',
  { timeout: 200_000 },
  async (t) => {
    const seed = Date.now() % 1_000_000;
    const result = await killAndJudge({ kills: scaled(6), seed }, (text) => t.comment(text));
    t.ok(isGood(result), JSON.stringify(result));
    t.ok(result.between > 0, 'some were served before the last kill');
    t.comment(
      `figure crash: ${result.kills} kills, ${result.requests} answers seen whole, ${result.lost} lost, ${result.doubled} doubled, ${result.gaps} gaps`,
    );
  },
);
