/**
 * `npm run fuzz -- [--engines] [--cases N] [--seed S]`: the differential fuzz of the byte readers (G2) for as long as one likes; half the
 * cases are requests, half responses. With `--engines` the requests go to a sidecar of each engine, and what applications executed is
 * compared. Prints every disagreement, then one line; ends with 1 when there was any. A seed repeats a run.
 */
import { parseArgs } from 'node:util';
import { fuzz, type Tally, tally } from '../test/helpers/differential.ts';
import { signedCase, TwoEngines } from '../test/helpers/two-engines.ts';

const USAGE = `npm run fuzz [-- [--engines] [--cases N] [--seed S]]

The differential fuzz of the byte readers against Node's: N messages (1,000,000), half requests, half responses, of seed S. Prints every
disagreement, then one line; ends with 1 when there was any. How many a second it does is said on the way.

With --engines: N requests (20,000) to a sidecar with the fast engine and to one without, each before an application that writes down
what it executed; that and the answers must be the same.
`;
const values = given();
const cases = number('cases', values.cases, values.engines === true ? 20_000 : 1_000_000);
const seed = number('seed', values.seed, 20_261_125);
/** Until it is said how many a second are done. */
const STEP = values.engines === true ? 1000 : 25_000;
const PRINTED_MAX = 50;
/** Connections of each engine. */
const AT_ONCE = 64;

function given(): {
  readonly engines?: boolean;
  readonly cases?: string | undefined;
  readonly seed?: string | undefined;
} {
  try {
    const options = {
      engines: { type: 'boolean' },
      cases: { type: 'string' },
      seed: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    } as const;
    const { help, ...rest } = parseArgs({ options }).values;
    if (help !== true) return rest;
    process.stdout.write(USAGE);
    process.exit();
  } catch (cause) {
    process.stderr.write(`${(cause as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

function number(name: string, text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : Number(text.replaceAll('_', ''));
  if (Number.isSafeInteger(value) && value > 0) return value;
  process.stderr.write(`--${name} takes a whole number above 0, not ${text}\n`);
  process.exit(2);
}

const began = performance.now();
const say = (done: number): void => {
  const perSec = Math.round((1000 * done) / (performance.now() - began));
  process.stderr.write(`${done} of ${cases} cases, ${perSec}/s\n`);
};
process.exit((values.engines === true ? await fuzzEngines() : await fuzzReaders()) === 0 ? 0 : 1);

async function fuzzReaders(): Promise<number> {
  const sums: Readonly<Record<string, Tally>> = { requests: tally(), responses: tally() };
  let done = 0;
  for (let from = 0; from < cases / 2; from += STEP) {
    const to = Math.min(from + STEP, Math.ceil(cases / 2));
    for (const [kind, sum] of Object.entries(sums)) {
      const known = sum.disagreements.length;
      await fuzz({ seed, from, to, isResponses: kind === 'responses' }, sum);
      done += to - from;
      for (const each of sum.disagreements.slice(known, PRINTED_MAX)) process.stdout.write(`${kind}: ${each}\n`);
    }
    say(done);
  }
  let disagreements = 0;
  for (const [kind, sum] of Object.entries(sums)) {
    disagreements += sum.disagreements.length;
    process.stdout.write(
      `${kind}: ${sum.cases} cases, ${sum.sound} messages read alike, ${sum.others} handed over or bad (${sum.stricter} of them sound for node), ${sum.waits} incomplete for both\n`,
    );
  }
  process.stdout.write(`G02 differential fuzz: ${disagreements} disagreements in ${done} cases, seed ${seed}\n`);
  return disagreements;
}

async function fuzzEngines(): Promise<number> {
  const ends: (() => unknown)[] = [];
  const engines = await TwoEngines.start({ teardown: (end) => ends.push(end) });
  let disagreements = 0;
  for (let from = 0; from < cases; from += STEP) {
    const some = Array.from({ length: Math.min(STEP, cases - from) }, (_, at) => signedCase(seed, from + at));
    for (const each of await engines.differences(some, AT_ONCE))
      if (disagreements++ < PRINTED_MAX) process.stdout.write(`${JSON.stringify(each)}\n`);
    say(engines.asked);
  }
  for (const end of ends.reverse()) await end();
  process.stdout.write(
    `differential fuzz of the engines: ${disagreements} disagreements in ${cases} cases, ${engines.executed} requests executed by each, seed ${seed}\n`,
  );
  return disagreements;
}
