/**
 * Random histories of sidecars, collectors, machines that stop and frames that are damaged, held against what each side knows. The ledger is a list of
 * frames here: what was not synced outlives its machine frame by frame, as chance has it.
 */
import fc from 'fast-check';
import t from 'tap';
import { Collector } from '../../src/collector/collector.ts';
import { type Entry, readEntry, writeEntry } from '../../src/collector/entry.ts';
import type { Committed, Ledger } from '../../src/collector/ledger.ts';
import type { Session } from '../../src/collector/session.ts';
import { lostOf, type Spool } from '../../src/collector/spools.ts';
import { Writer } from '../../src/core/index.ts';
import type { FromSidecar } from '../../src/metering/index.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { FRAME_HEAD, type Place } from '../../src/wal/index.ts';
import { VirtualTime } from '../metering/world.ts';
import { ALL_REQUESTS, MemoryRollups } from './memory-rollups.ts';
import { Heard, message, T0, Teller } from './told.ts';
import { many, turn } from './world.ts';

interface Frame {
  /** Undefined: damaged, or it did not outlive its machine. */
  body: Buffer | undefined;
  isSynced: boolean;
  /** What it was of. */
  readonly spool: string;
  readonly place: string;
}

/** One life of a ledger over frames that outlive it. */
class ListLedger implements Ledger {
  readonly #frames: Frame[];
  readonly #synced: Set<string>;
  readonly #writer = new Writer(10_000);
  #isOver = false;
  highWater: Place;

  constructor(frames: Frame[], synced: Set<string>) {
    this.#frames = frames;
    this.#synced = synced;
    this.#sync();
    this.highWater = this.#end;
  }

  #sync(): void {
    for (const frame of this.#frames) {
      if (!frame.isSynced && frame.body !== undefined) this.#synced.add(frame.place);
      frame.isSynced = true;
    }
  }

  get #end(): Place {
    return { segment: 1, offset: this.#frames.length };
  }

  get bytes(): number {
    return this.#frames.length;
  }

  append(entry: Entry): void {
    if (this.#isOver) throw Object.assign(new Error('over'), { code: 'EIO' });
    const length = writeEntry(this.#writer, entry);
    const body = Buffer.from(this.#writer.bytes.subarray(FRAME_HEAD, length));
    this.#frames.push({ body, isSynced: false, spool: entry.spoolId, place: placeOf(entry.spoolId, entry) });
  }

  async commit(): Promise<void> {
    if (this.#isOver) return new Promise(() => {});
    this.#sync();
    this.highWater = this.#end;
  }

  probe(): void {}

  *scan(from: Place | undefined): Generator<Committed> {
    for (let at = from?.offset ?? 0; at < this.#frames.length; at++) {
      // A new buffer each time: what is read is not what was written.
      const body = this.#frames[at]?.body;
      const entry = body === undefined ? undefined : readEntry(Buffer.from(body));
      if (entry !== undefined) yield { entry, next: { segment: 1, offset: at + 1 }, isSettled: false };
    }
  }

  drop(): void {}

  close(): void {}

  /** Its process is gone. */
  end(): void {
    this.#isOver = true;
  }
}

const placeOf = (spool: string, { epoch, seqTo }: Pick<Entry, 'epoch' | 'seqTo'>): string =>
  `${spool.slice(0, 2)} ${epoch}:${seqTo}`;

interface Piece {
  readonly epoch: number;
  readonly seqTo: number;
  readonly count: number;
  readonly route: string;
  readonly batch: FromSidecar;
  readonly gap: FromSidecar;
  /** Acknowledged: its sidecar has it no more. */
  isAcked: boolean;
}

const isUpTo = ({ epoch, seqTo }: Pick<Piece, 'epoch' | 'seqTo'>, at: { epoch: number; seq: number }): boolean =>
  epoch < at.epoch || (epoch === at.epoch && seqTo <= at.seq);

class Sidecar {
  readonly pieces: Piece[] = [];
  readonly teller: Teller;
  #session: Session | undefined;
  #heard = new Heard();
  #next = 0;
  #lives = 1;

  constructor(spool: string) {
    this.teller = new Teller(spool);
  }

  record(count: number): void {
    const route = `${this.teller.spool.slice(0, 2)}${this.pieces.length}`;
    const batch = this.teller.batch(many(count, { route }));
    const { value } = batch.message;
    const gap = message({ case: 'gap', value: { ...(value as object), reason: 'dropped' } } as never);
    this.pieces.push({ epoch: this.teller.epoch, seqTo: this.teller.seq, count, route, batch, gap, isAcked: false });
  }

  restart(): void {
    this.hangUp();
    this.teller.reopen((++this.#lives).toString(16).padStart(16, 'a'));
  }

  hangUp(): void {
    this.#session?.close();
    this.#session = undefined;
  }

  /** Tells so many pieces, from where the collector says that it stands. */
  async tell(w: History, most: number): Promise<void> {
    if (this.#session === undefined || this.#session.isEnded) {
      this.#heard = new Heard();
      this.#session = w.collector.session(this.#heard);
      this.#session.receive(this.teller.hello());
      await w.run();
      const said = this.#heard.said[0];
      if (said?.case !== 'welcome') return w.fail(`not welcome: ${this.#heard.words}`);
      const at = { epoch: Number(said.value.epoch), seq: Number(said.value.seq) };
      this.#next = this.pieces.filter((each) => isUpTo(each, at)).length;
      for (const each of this.pieces.slice(0, this.#next)) each.isAcked = true;
    }
    for (const each of this.pieces.slice(this.#next, this.#next + most)) {
      this.#session?.receive(each.isAcked ? each.gap : each.batch);
      this.#next++;
    }
  }

  hear(w: History): void {
    for (const said of this.#heard.said.splice(1)) {
      const isRefused = said.case === 'nack' && said.value.reason !== 'the collector stops';
      if (said.case === 'fence' || isRefused) w.fail(`${said.case} ${said.value.reason}`);
      if (said.case !== 'ack') continue;
      const at = { epoch: Number(said.value.epoch), seq: Number(said.value.seq) };
      for (const each of this.pieces) if (isUpTo(each, at)) each.isAcked = true;
    }
  }

  async bye(w: History): Promise<void> {
    await this.tell(w, this.pieces.length);
    await w.run();
    this.#session?.receive(this.teller.bye());
  }
}

class History {
  readonly frames: Frame[] = [];
  readonly sidecars = ['aa', 'bb'].map((each) => new Sidecar(each.repeat(16)));
  readonly time = new VirtualTime();
  readonly kept = { word: undefined as string | undefined, rows: [] as never[] };
  readonly mistakes: string[] = [];
  /** Positions that were on the medium, ever. */
  readonly synced = new Set<string>();
  collector!: Collector;
  readonly replaySaveBytes: number | undefined;
  #store = new MemoryRollups(this.kept);
  #ledger: ListLedger | undefined;

  constructor(replaySaveBytes: number | undefined) {
    this.replaySaveBytes = replaySaveBytes;
    this.time.wall = T0 + 1000;
  }

  fail(mistake: string): void {
    this.mistakes.push(mistake);
  }

  async run(): Promise<void> {
    for (let i = 0; i < 6; i++) {
      this.time.turn();
      await turn();
    }
    for (const each of this.sidecars) each.hear(this);
  }

  /** The collector is gone as it is, and starts. With `survives` its machine is, too. */
  async start(how: { readonly survives?: number; readonly isRebuilt?: boolean } = {}): Promise<void> {
    this.#ledger?.end();
    for (const each of this.sidecars) each.hangUp();
    for (const [i, frame] of this.frames.entries())
      if (!frame.isSynced && how.survives !== undefined && ((how.survives >> (i % 8)) & 1) === 0)
        frame.body = undefined;
    if (how.isRebuilt) Object.assign(this.kept, { word: undefined, rows: [] });
    this.#store = new MemoryRollups(this.kept);
    const before = new Map(Object.entries(this.#lostBefore()));
    const said = new Map<string, number>();
    const error = (event: string, facts?: object): void => {
      const { spool, lost } = facts as { spool: string; lost: number };
      if (event === 'collector.ledger_hole') said.set(spool, (said.get(spool) ?? 0) + lost);
      if (event === 'collector.ledger_doubt') said.set(spool, (said.get(spool) ?? 0) + 1e6);
    };
    this.collector = await Collector.open({
      clock: this.time,
      timers: this.time,
      log: { ...silentLog, error },
      store: this.#store,
      ...{ creditBytes: 10_000_000, graceMs: 60_000, patienceMs: 900_000, keepLedgerMs: 86_400_000 },
      ...(this.replaySaveBytes === undefined ? {} : { replaySaveBytes: this.replaySaveBytes }),
      openLedger: () => (this.#ledger = new ListLedger(this.frames, this.synced)),
    });
    await this.#check(said, before);
  }

  #lostBefore(): Record<string, number> {
    const word = this.kept.word === undefined ? undefined : (JSON.parse(this.kept.word) as { spools: Spool[] });
    return Object.fromEntries((word?.spools ?? []).map(({ id, lost }) => [id, lost]));
  }

  async check(): Promise<void> {
    await this.#check(undefined, new Map());
  }

  /** What the sums have against what sidecars recorded, and what is missing against what is counted and said. */
  async #check(said: Map<string, number> | undefined, before: Map<string, number>): Promise<void> {
    await this.collector.settle();
    const sums = await this.#summed();
    for (const { pieces, teller } of this.sidecars) {
      const row = this.collector.spools.get(teller.spool);
      const at = row?.synced ?? { epoch: 0, seq: 0 };
      let [missing, doubtful, gaps] = [0, 0, 0];
      for (const each of pieces) {
        const name = placeOf(teller.spool, each);
        const summed = sums.get(each.route) ?? 0;
        if (summed !== 0 && summed !== each.count) this.fail(`${name} counts ${summed}, not ${each.count}`);
        if (summed > 0 && !isUpTo(each, at)) this.fail(`${name} counts behind ${at.epoch}:${at.seq}`);
        if (isUpTo(each, at) && summed === 0) missing += each.count;
        if (isUpTo(each, at) && summed === 0 && !this.synced.has(name))
          this.fail(`${name} is lost, and its sidecar has it`);
        if (!isUpTo(each, at) && row?.doubt !== undefined && isUpTo(each, row.doubt)) doubtful += each.count;
        const isPassedOver = each.isAcked && !isUpTo(each, at) && row !== undefined && row.state !== 'live';
        if (isPassedOver && this.#hasBehind(teller.spool, name))
          this.fail(`${name} is acknowledged and beyond the end of a spool that has ended`);
      }
      if (row === undefined) continue;
      for (const { entry } of (this.#ledger as ListLedger).scan(undefined))
        if (entry.spoolId === row.id && entry.kind === 'gap') gaps += entry.seqTo - entry.seqFrom + 1;
      if (missing !== row.lost) this.fail(`${row.id}: ${missing} are missing, ${row.lost} counted`);
      if (doubtful !== (row.doubt?.count ?? 0)) this.fail(`${row.id}: ${doubtful} in doubt, not ${row.doubt?.count}`);
      if (lostOf(row) !== missing + doubtful) this.fail(`${row.id} says ${lostOf(row)}`);
      if (said === undefined) continue;
      if (row.doubt !== undefined && (said.get(row.id) ?? 0) < 1e6) this.fail(`${row.id}: its doubt is not said`);
      const holes = row.lost - (before.get(row.id) ?? 0);
      if (holes > gaps && (said.get(row.id) ?? 0) === 0) this.fail(`${row.id}: its holes are not said`);
    }
  }

  /** Whether anything of the spool stands behind: of the very last that it said nobody else knows. */
  #hasBehind(spool: string, place: string): boolean {
    const at = this.frames.findLastIndex((frame) => frame.place === place);
    return this.frames.slice(at + 1).some((frame) => frame.spool === spool && frame.body !== undefined);
  }

  /** Requests by route. */
  async #summed(): Promise<ReadonlyMap<string, number>> {
    const rows = await this.#store.query({ ...ALL_REQUESTS, by: ['route'], rowsMax: 1e6 });
    return new Map('tooMany' in rows ? [] : rows.map(({ of, value }) => [of[0] as string, value]));
  }
}

type Step = { readonly of: number; readonly at: number } & (
  | { readonly does: 'record' | 'tell' | 'restart' | 'bye' | 'run' | 'save' }
  | { readonly does: 'kill' | 'close' | 'crash' | 'damage' | 'rebuild' }
);

const steps: Readonly<Record<Step['does'], (w: History, sidecar: Sidecar, at: number) => unknown>> = {
  record: (_, sidecar, at) => sidecar.record(1 + (at % 4)),
  tell: (w, sidecar, at) => sidecar.tell(w, 1 + (at % 5)),
  restart: (_, sidecar) => sidecar.restart(),
  bye: (w, sidecar) => sidecar.bye(w),
  run: (w) => w.run(),
  save: async (w) => {
    const saved = w.collector.save();
    await w.run();
    await saved;
  },
  kill: (w) => w.start(),
  close: async (w) => {
    const closed = w.collector.close();
    await w.run();
    await closed;
    await w.start();
  },
  crash: (w, _, at) => w.start({ survives: at }),
  // One that was synced: what else is lost is the crash's.
  damage: (w, _, at) => {
    const frame = w.frames[at % Math.max(1, w.frames.length)];
    if (frame?.isSynced) frame.body = undefined;
  },
  rebuild: (w) => w.start({ isRebuilt: true }),
};

const WEIGHTS: readonly (readonly [Step['does'], number])[] = [
  ['record', 16],
  ['tell', 18],
  ['run', 6],
  ['restart', 4],
  ['bye', 1],
  ['save', 1],
  ['kill', 2],
  ['close', 1],
  ['crash', 4],
  ['damage', 4],
  ['rebuild', 1],
];

const history = fc.array(
  fc.record({
    does: fc.oneof(...WEIGHTS.map(([does, weight]) => ({ weight, arbitrary: fc.constant(does) }))),
    of: fc.nat(1),
    at: fc.nat(255),
  }),
  { minLength: 20, maxLength: 100, size: 'max' },
);

t.test(
  'whatever happens, a record that was synced is in the sums once, or counted as missing and said; one that was not is told again',
  async (t) => {
    const seen = { holes: 0, doubts: 0, histories: 0 };
    await fc.assert(
      fc.asyncProperty(history, fc.constantFrom(undefined, 400), async (all, replaySaveBytes) => {
        const w = new History(replaySaveBytes);
        await w.start();
        for (const { does, of, at } of all) await steps[does](w, w.sidecars[of] as Sidecar, at);
        await w.start({ isRebuilt: true });
        seen.histories++;
        for (const { lost, doubt } of w.collector.spools) {
          if (lost > 0) seen.holes++;
          if (doubt !== undefined) seen.doubts++;
        }
        // Everybody comes back and tells what there is.
        for (const each of w.sidecars) await each.tell(w, Number.POSITIVE_INFINITY);
        await w.run();
        await w.check();
        for (const { id, doubt } of w.collector.spools) if (doubt !== undefined) w.fail(`${id} is in doubt for ever`);
        if (w.mistakes.length > 0) throw new Error(w.mistakes.slice(0, 5).join('\n'));
      }),
      { numRuns: Number(process.env['HISTORIES'] ?? 60) },
    );
    t.ok(seen.holes > 10 && seen.doubts > 0, JSON.stringify(seen));
  },
);
