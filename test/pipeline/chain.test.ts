import t from 'tap';
import { chain, type Exchange, type Filter, type Outcome, type Reply } from '../../src/pipeline/index.ts';
import { HeaderList } from '../../src/wire/index.ts';
import { exchangeForTest } from './exchange-for-test.ts';

const refusal: Reply = { code: 'tenant-unknown', detail: 'No such tenant.' };
const forwarded: Outcome = { kind: 'forwarded', status: 200 };

/** A filter that writes down every call it gets. */
function recorder(name: string, calls: string[], more: Partial<Filter> = {}): Filter {
  return {
    name,
    onThrow: 'deny',
    onRequest: () => void calls.push(`${name} request`),
    onResponse: () => void calls.push(`${name} response`),
    onDone: () => void calls.push(`${name} done`),
    ...more,
  };
}

function build(filters: Filter[], thrown: string[] = []) {
  let built = chain((name, cause) => thrown.push(`${name}: ${(cause as Error).message}`));
  for (const filter of filters) built = built.use(filter);
  return built.compile();
}

const head = () => ({ status: 200, headers: new HeaderList([]) });

t.test('requests go in reading order, responses and ends in reverse', async (t) => {
  const calls: string[] = [];
  const pipeline = build([recorder('a', calls), recorder('b', calls)]);
  const x = exchangeForTest();
  t.equal(pipeline.request(x), undefined, 'stays synchronous');
  pipeline.response(x, head());
  pipeline.done(x, forwarded);
  t.same(calls, ['a request', 'b request', 'b response', 'a response', 'b done', 'a done']);
});

t.test('a reply stops the chain, and only the stages that saw the request see the rest', async (t) => {
  const calls: string[] = [];
  const pipeline = build([
    recorder('a', calls),
    recorder('b', calls, { onRequest: () => refusal }),
    recorder('c', calls),
  ]);
  const x = exchangeForTest();
  t.equal(pipeline.request(x), refusal);
  pipeline.response(x, head());
  pipeline.done(x, { kind: 'replied', by: 'b', reply: refusal, status: 403, contentBytes: 0 });
  t.same(calls, ['a request', 'b response', 'a response', 'b done', 'a done']);
});

t.test('a promise suspends the chain and it goes on where it stopped', async (t) => {
  const calls: string[] = [];
  const late = recorder('late', calls, { onRequest: async () => void calls.push('late request') });
  const pipeline = build([late, recorder('next', calls)]);
  const pending = pipeline.request(exchangeForTest());
  t.ok(pending instanceof Promise);
  t.equal(await pending, undefined);
  t.same(calls, ['late request', 'next request']);
});

t.test('a promised reply stops the chain too', async (t) => {
  const calls: string[] = [];
  const pipeline = build([recorder('late', calls, { onRequest: async () => refusal }), recorder('next', calls)]);
  t.equal(await pipeline.request(exchangeForTest()), refusal);
  t.same(calls, []);
});

for (const how of ['throws', 'rejects'] as const) {
  const onRequest: (x: Exchange) => never | Promise<never> =
    how === 'throws'
      ? () => {
          throw new Error('broken');
        }
      : async () => {
          throw new Error('broken');
        };

  t.test(`a stage that ${how} and fails closed denies`, async (t) => {
    const thrown: string[] = [];
    const calls: string[] = [];
    const pipeline = build([recorder('bad', calls, { onRequest }), recorder('next', calls)], thrown);
    const verdict = await pipeline.request(exchangeForTest());
    t.match(verdict, { code: 'stage-failed' });
    t.same(thrown, ['bad: broken']);
    t.same(calls, []);
  });

  t.test(`a stage that ${how} and fails open is skipped`, async (t) => {
    const thrown: string[] = [];
    const calls: string[] = [];
    const pipeline = build([recorder('bad', calls, { onRequest, onThrow: 'skip' }), recorder('next', calls)], thrown);
    t.equal(await pipeline.request(exchangeForTest()), undefined);
    t.same(thrown, ['bad: broken']);
    t.same(calls, ['next request']);
  });
}

t.test('a throw on the way back reaches nobody else', async (t) => {
  const thrown: string[] = [];
  const calls: string[] = [];
  const fail = () => {
    throw new Error('broken');
  };
  const pipeline = build([recorder('a', calls), recorder('bad', calls, { onResponse: fail, onDone: fail })], thrown);
  const x = exchangeForTest();
  pipeline.request(x);
  pipeline.response(x, head());
  pipeline.done(x, forwarded);
  t.same(thrown, ['bad: broken', 'bad: broken']);
  t.same(calls, ['a request', 'bad request', 'a response', 'a done']);
});

t.test('absent phases cost nothing and break nothing', async (t) => {
  const pipeline = build([{ name: 'empty', onThrow: 'deny' }]);
  const x = exchangeForTest();
  t.equal(pipeline.request(x), undefined);
  pipeline.response(x, head());
  pipeline.done(x, forwarded);
  t.equal(x.entered, 0, 'an ended exchange cannot end twice');
});
