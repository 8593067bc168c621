/**
 * `npm run crash -- --kills N`: real processes, killed again and again; `npm run crash -- --simulated N`: random histories of appending, syncing,
 * killing and crashing on a simulated disk. The result goes to stdout, progress to stderr. Ends with 1 when a promise was broken, with 2 when
 * it was asked for what there is not.
 */
import { parseArgs } from 'node:util';
import { runKills } from './kills.ts';
import { KINDS } from './kinds.ts';
import { runSimulated } from './simulated.ts';

const USAGE = `usage: npm run crash -- --kills N [--small] [--seed FIRST] [--json]
       npm run crash -- --simulated N [--seed FIRST] [--history NAME] [--json]

  --kills N       so many SIGKILLs of two sidecars and a collector under load
  --small         of spools that fill, are folded and refuse, beside a collector that saves all the time
  --simulated N   so many random histories on a simulated disk
  --seed FIRST    the first one's seed, the next one's is one more (1)
  --history NAME  of one kind alone
  --json          for programs

Kinds of histories:
${KINDS.map(({ name, describe }) => `  ${name.padEnd(14)}  ${describe}`).join('\n')}

Examples:
  npm run crash -- --kills 1000
  npm run crash -- --kills 300 --small
  npm run crash -- --simulated 100000
  npm run crash -- --simulated 1 --seed 4711
`;

const { values } = parse();
if (values.help === true) process.stdout.write(USAGE);
else if (values.simulated !== undefined)
  process.exitCode = await runSimulated({
    count: wholeNumber('simulated', values.simulated),
    seed: wholeNumber('seed', values.seed ?? '1'),
    kinds: chosen(values.history),
    isJson: values.json === true,
  });
else if (values.kills !== undefined)
  process.exitCode = await runKills({
    kills: wholeNumber('kills', values.kills),
    seed: wholeNumber('seed', values.seed ?? '1'),
    isSmall: values.small === true,
    isJson: values.json === true,
  });
else refuse('say what to run: --kills N or --simulated N');

function parse() {
  try {
    return parseArgs({
      options: {
        kills: { type: 'string' },
        small: { type: 'boolean' },
        simulated: { type: 'string' },
        seed: { type: 'string' },
        history: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (cause) {
    return refuse((cause as Error).message);
  }
}

function chosen(name: string | undefined): typeof KINDS {
  const kinds = KINDS.filter((each) => name === undefined || each.name === name);
  if (kinds.length > 0) return kinds;
  return refuse(`there is no history ${name}; known: ${KINDS.map((each) => each.name).join(', ')}`);
}

function wholeNumber(flag: string, text: string): number {
  const value = Number(text.replaceAll('_', ''));
  return Number.isSafeInteger(value) && value > 0
    ? value
    : refuse(`--${flag} takes a whole number above 0, not ${text}`);
}

function refuse(message: string): never {
  process.stderr.write(`crash: ${message} (try --help)\n`);
  process.exit(2);
}
