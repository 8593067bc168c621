/** Whatever stages do, the rules of the chain hold. */
import fc from 'fast-check';
import t from 'tap';
import { chain, type Filter, type Outcome, type Reply } from '../../src/pipeline/index.ts';
import { HeaderList } from '../../src/wire/index.ts';
import { exchangeForTest } from './exchange-for-test.ts';

const SEED = 42;
const forwarded: Outcome = { kind: 'forwarded', status: 200 };
const refusal: Reply = { code: 'tenant-unknown', detail: 'No such tenant.' };

const behaviour = fc.record({
  does: fc.constantFrom('go', 'go', 'go', 'reply', 'throw', 'nothing'),
  isLate: fc.boolean(),
  onThrow: fc.constantFrom('deny', 'skip'),
  isThrowingBack: fc.boolean(),
});
type Behaviour = typeof behaviour extends fc.Arbitrary<infer B> ? B : never;

function stageOf({ does, isLate, onThrow, isThrowingBack }: Behaviour, at: number, calls: string[]): Filter {
  const act = (): Reply | undefined => {
    calls.push(`request ${at}`);
    if (does === 'throw') throw new Error(`${at}`);
    return does === 'reply' ? refusal : undefined;
  };
  const back = (phase: string) => (): void => {
    calls.push(`${phase} ${at}`);
    if (isThrowingBack) throw new Error(`${at}`);
  };
  return {
    name: `stage_${at}`,
    onThrow,
    onResponse: back('response'),
    onDone: back('done'),
    ...(does === 'nothing' ? {} : { onRequest: isLate ? async () => act() : act }),
  };
}

t.test(
  'each stage is met once and in order, up to the first that answers or fails closed; exactly those see the rest',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(behaviour, { maxLength: 8 }), async (stages) => {
        const calls: string[] = [];
        let built = chain(() => {});
        for (const [at, each] of stages.entries()) built = built.use(stageOf(each, at, calls));
        const pipeline = built.compile();
        const x = exchangeForTest();
        const pending = pipeline.request(x);
        const verdict = await pending;
        pipeline.response(x, { status: 200, headers: new HeaderList([]) });
        pipeline.done(x, forwarded);
        pipeline.done(x, forwarded);

        const stop = stages.findIndex(
          ({ does, onThrow }) => does === 'reply' || (does === 'throw' && onThrow === 'deny'),
        );
        const met = stages.slice(0, stop === -1 ? undefined : stop + 1);
        const forth = met.flatMap(({ does }, at) => (does === 'nothing' ? [] : [`request ${at}`]));
        const back = met.map((_, at) => at).reverse();
        const expected = [...forth, ...back.map((at) => `response ${at}`), ...back.map((at) => `done ${at}`)];
        const code = stop === -1 ? undefined : stages[stop]?.does === 'reply' ? 'tenant-unknown' : 'stage-failed';
        const isLate = met.some(({ does, isLate }) => isLate && does !== 'nothing');
        return (
          calls.join() === expected.join() &&
          (verdict as Reply | undefined)?.code === code &&
          pending instanceof Promise === isLate
        );
      }),
      { seed: SEED, numRuns: 500 },
    );
    t.pass(`seed ${SEED}`);
  },
);
