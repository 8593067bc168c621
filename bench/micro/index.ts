/** What the parts of the data path cost by themselves: ns of the thread's CPU, median of rounds, and bytes allocated, each time. */
import { ChunkedReader, gate, HeaderList, HeadWriter, RequestReader, ResponseReader } from '../../src/wire/index.ts';
import { median } from '../datapath/statistics.ts';
import type { Suite } from '../run.ts';
import { bytesOf } from './allocation.ts';
import { chainWork } from './chain.ts';
import { BLOCK, CHUNKED, REQUEST, RESPONSE } from './heads.ts';
import { meteringWork } from './metering.ts';
import { quotaWork } from './quotas.ts';
import { staleWork } from './stale.ts';

/** Enough that one round outlasts the clock's grain by far, and that the code is compiled after the first. */
const TIMES = 100_000;
const WARM_ROUNDS = 3;
/** Some kernels count a thread's CPU in steps of 4 ms: one scrape takes less, so the mean of so many is one round. */
const SCRAPES_EACH = 20;

export const suite: Suite = {
  describe: `Parts of the data path by themselves: a request head of ${REQUEST.length} B, a response head of ${RESPONSE.length} B, 1 KiB in 4 chunks; a request through the stages (without metering); its token, verified before or new (HS256); its metrics, a scrape of all that the stages register; three quotas; an answer of 1 KiB kept and given; a record, its append with it, 1 and 16 a turn`,
  targets: {
    request_read_ns: { must: 2400, goal: 1200 },
    response_read_ns: { must: 1500, goal: 700 },
    request_write_ns: { must: 600, goal: 300 },
    response_write_ns: { must: 600, goal: 300 },
    chunked_read_ns: { must: 1000, goal: 400 },
    request_read_bytes: { must: 0, goal: 0 },
    response_read_bytes: { must: 0, goal: 0 },
    request_write_bytes: { must: 0, goal: 0 },
    response_write_bytes: { must: 0, goal: 0 },
    chunked_read_bytes: { must: 0, goal: 0 },
    chain_ns: { must: 8000, goal: 4000 },
    chain_bytes: { must: 1300, goal: 512 },
    token_known_ns: { must: 3000, goal: 1200 },
    token_new_ns: { must: 30_000, goal: 12_000 },
    metrics_counted_ns: { must: 500, goal: 150 },
    metrics_scraped_us: { must: 5000, goal: 1000 },
    quotas_ns: { must: 1000, goal: 300 },
    quotas_bytes: { must: 0, goal: 0 },
    metered_turn_of_1_ns: { must: 5000, goal: 2500 },
    metered_turn_of_16_ns: { must: 1500, goal: 700 },
    stale_kept_ns: { must: 20_000, goal: 8000 },
    stale_known_ns: { must: 3000, goal: 1000 },
    stale_given_ns: { must: 6000, goal: 2500 },
  },
  async run({ quick, progress }) {
    const figures: Record<string, number> = {};
    const { works: ofChain, scrape, check } = await chainWork();
    for (const [name, work] of Object.entries({ ...works(), ...ofChain })) {
      progress(name);
      figures[`${name}_ns`] = nanosecondsOf(work, quick ? 5 : 25);
      if (name !== 'strings_and_gate') figures[`${name}_bytes`] = bytesOf(work);
    }
    await check();
    progress('metrics_scraped');
    figures['metrics_scraped_us'] = await scrapeUs(scrape, quick ? 5 : 15);
    return figures;
  },
};

function works(): Record<string, () => void> {
  const requests = new RequestReader({ headersMax: 100, headBytesMax: 32 * 1024, targetBytesMax: 8192 });
  const responses = new ResponseReader();
  const chunks = new ChunkedReader();
  const writer = new HeadWriter();
  const read = requests.read(REQUEST, 0, REQUEST.length);
  const answered = responses.read(RESPONSE, 0, RESPONSE.length, false);
  if (read !== 'boring' || answered !== 'final') throw new Error(`the messages are not sound: ${read}, ${answered}`);
  const pairs = requests.fields.pairs(false);
  return {
    request_read: () => requests.read(REQUEST, 0, REQUEST.length),
    response_read: () => responses.read(RESPONSE, 0, RESPONSE.length, false),
    request_write: () => writer.request(requests, BLOCK),
    response_write: () => writer.response(responses, false, BLOCK),
    chunked_read: () => readChunks(chunks),
    quotas: quotaWork(),
    metered_turn_of_1: meteringWork(1),
    metered_turn_of_16: meteringWork(16),
    ...staleWork(),
    // For comparison: what the general engine does with the same head once llhttp has read it.
    strings_and_gate: () => judge(pairs),
  };
}

function readChunks(chunks: ChunkedReader): void {
  chunks.begin();
  chunks.at = 0;
  while (chunks.next(CHUNKED, CHUNKED.length) === 'data');
}

function judge(pairs: readonly string[]): void {
  const headers = new HeaderList([...pairs]);
  const head = { method: 'GET', target: '/api/v1/orders/1234567?expand=lines', version: '1.1', headers };
  gate(head, { headersMax: 100, headBytesMax: 32 * 1024, targetBytesMax: 8192, isProtectedName: () => false });
}

/** CPU of this thread, so that neighbours on the machine count only by the caches they empty. */
function nanosecondsOf(work: () => void, rounds: number): number {
  const measured: number[] = [];
  for (let round = -WARM_ROUNDS; round < rounds; round++) {
    const before = process.threadCpuUsage();
    for (let i = 0; i < TIMES; i++) work();
    const { user, system } = process.threadCpuUsage(before);
    if (round >= 0) measured.push(((user + system) * 1000) / TIMES);
  }
  return median(measured);
}

/** CPU of this thread, the waits between its slices left out. */
async function scrapeUs(scrape: () => Promise<void>, rounds: number): Promise<number> {
  const measured: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const before = process.threadCpuUsage();
    for (let i = 0; i < SCRAPES_EACH; i++) await scrape();
    const { user, system } = process.threadCpuUsage(before);
    if (round >= 0) measured.push((user + system) / SCRAPES_EACH);
  }
  return median(measured);
}
