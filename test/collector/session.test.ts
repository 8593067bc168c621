/** The state machine of a stream, with a ledger in memory that commits when the test says. */
import t from 'tap';
import { CreditPool } from '../../src/collector/credits.ts';
import type { Entry } from '../../src/collector/entry.ts';
import { type RefusalKind, Session, type SessionWorld, type Taking } from '../../src/collector/session.ts';
import { type Spool, Spools, settle, take } from '../../src/collector/spools.ts';
import { Heard, LIFE, message, runOf, SPOOL, T0, Teller, usage } from './told.ts';

/** Takes at once, commits with `commit`. */
class Desk implements Taking {
  trouble: string | undefined;
  refuses = false;
  readonly taken: { spool: Spool; entry: Entry; session: Session | undefined }[] = [];
  #waiting: (() => void)[] = [];

  take(spool: Spool, entry: Entry, session: Session | undefined): void {
    if (this.refuses) throw new Error('the ledger takes nothing: ENOSPC');
    take(spool, entry);
    this.taken.push({ spool, entry, session });
  }

  settled({ pending }: Spool): Promise<void> {
    return pending === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  commit(): void {
    for (const { spool, entry, session } of this.taken.splice(0)) {
      settle(spool, entry);
      if (spool.pending === 0) spool.watermarkMs = spool.watermarkTakenMs;
      if (entry.batch !== undefined) session?.release(entry.batch.zstd.length);
      session?.committed(entry);
    }
    for (const each of this.#waiting.splice(0)) each();
  }
}

function world(o: { spoolsMax?: number; budget?: number } = {}) {
  const desk = new Desk();
  const refusals: RefusalKind[] = [];
  const now = { wallMs: T0 };
  const all: SessionWorld = {
    clock: { now: () => 0 as never, wallMs: () => now.wallMs },
    spools: new Spools(o.spoolsMax),
    pool: new CreditPool({ budget: o.budget ?? 1_000_000, base: 1000, most: 8000 }),
    intake: desk,
    sessions: new Map(),
    onRefusal: (kind) => refusals.push(kind),
  };
  const open = (): { session: Session; heard: Heard } => {
    const heard = new Heard();
    return { session: new Session(all, heard), heard };
  };
  return { ...all, desk, refusals, open, now };
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function greeted(w: ReturnType<typeof world>, teller: Teller) {
  const { session, heard } = w.open();
  session.receive(teller.hello());
  await tick();
  return { session, heard };
}

t.test('a spool is welcomed, told, acknowledged once it is synced, and ends with Bye', async (t) => {
  const w = world();
  const teller = new Teller();
  const { session, heard } = await greeted(w, teller);
  t.same(heard.words, ['welcome 0:0']);
  session.receive(teller.batch([usage(), usage()]));
  session.receive(teller.gap(3));
  t.equal(w.spools.get(SPOOL)?.synced.seq, 0);
  t.same(heard.words, ['welcome 0:0'], 'nothing is acknowledged before it is synced');
  w.desk.commit();
  t.same(heard.words.slice(1), ['ack 1:2', 'ack 1:5']);
  t.match(w.spools.get(SPOOL), { records: 2, lost: 3, state: 'live', synced: { epoch: 1, seq: 5 } });
  session.receive(teller.folded([usage(), usage({ tenant: 'globex' })]));
  session.receive(teller.bye());
  w.desk.commit();
  t.same(heard.words.slice(3), ['ack 1:7', 'ack 1:7']);
  t.ok(heard.isEnded && session.isEnded);
  t.equal(w.spools.get(SPOOL)?.state, 'ended');
  t.equal(w.sessions.size, 0);
  t.equal(w.pool.free, 1_000_000);
  session.receive(teller.hello());
  t.equal(heard.words.length, 5, 'behind the end nothing is heard');
});

t.test('a new stream goes on where the ledger ends, waits for what is pending, and ends the old one', async (t) => {
  const w = world();
  const teller = new Teller();
  const first = await greeted(w, teller);
  first.session.receive(teller.batch([usage()]));
  const second = w.open();
  second.session.receive(teller.hello());
  await tick();
  t.match(first.heard.words, ['welcome 0:0', /nack another stream/]);
  t.same(second.heard.words, [], 'the entry of the first is on its way');
  w.desk.commit();
  await tick();
  t.same(second.heard.words, ['welcome 1:1']);
  t.equal(first.heard.words.length, 2, 'the first is told nothing any more');
  t.equal(w.sessions.get(SPOOL), second.session);
  first.session.close();
  t.equal(w.sessions.get(SPOOL), second.session);
  teller.reopen('b0b1b2b3b4b5b6b7');
  const third = await greeted(w, teller);
  third.session.receive(teller.batch([usage()]));
  w.desk.commit();
  t.same(third.heard.words, ['welcome 1:1', 'ack 2:1']);
});

t.test('a stream that goes away while it waits is not welcomed', async (t) => {
  const w = world();
  const teller = new Teller();
  const first = await greeted(w, teller);
  first.session.receive(teller.batch([usage()]));
  const second = w.open();
  second.session.receive(teller.hello());
  second.session.close();
  w.desk.commit();
  await tick();
  t.same(second.heard.words, []);
  t.equal(w.pool.lines, 0);
});

t.test('what does not follow is refused; what follows another history is fenced', async (t) => {
  for (const [what, spoil, word] of [
    ['again', (teller: Teller) => Object.assign(teller, { seq: 0 }), /^nack 1:1 does not follow 1:2/],
    ['a hole', (teller: Teller) => Object.assign(teller, { seq: 5 }), /^nack 1:6 does not follow/],
    ['another history', (teller: Teller) => Object.assign(teller, { chain: 1 }), /^fence 1:3 .* copied or restored/],
    ['an epoch that nobody opened', (teller: Teller) => teller.reopen(LIFE), /^nack 2:1 does not follow/],
  ] as const) {
    const w = world();
    const teller = new Teller();
    const { session, heard } = await greeted(w, teller);
    session.receive(teller.batch([usage(), usage()]));
    w.desk.commit();
    spoil(teller);
    session.receive(teller.batch([usage()]));
    t.match(heard.words[2], word, what);
    t.ok(heard.isEnded, what);
    t.equal(w.desk.taken.length, 0, what);
    t.equal(w.pool.free, 1_000_000, what);
  }
});

t.test('the first of the newest epoch must fit its life; of one between, nobody knows it', async (t) => {
  const w = world();
  const teller = new Teller();
  teller.reopen('0101010101010101');
  const { session, heard } = await greeted(w, teller);
  teller.chain++;
  session.receive(teller.batch([usage()]));
  t.match(heard.words[1], /^fence 2:1/);
  const between = new Teller();
  const later = await greeted(w, Object.assign(new Teller(), { epoch: 3 }));
  between.chain++;
  later.session.receive(between.batch([usage()]));
  w.desk.commit();
  t.same(later.heard.words, ['welcome 0:0', 'ack 1:1']);
  t.same(w.spools.get(SPOOL)?.synced.life, '0000000000000000');
});

t.test('a copied or restored spool is fenced before it disturbs the right one', async (t) => {
  const w = world();
  const teller = new Teller();
  teller.reopen(LIFE);
  const right = await greeted(w, teller);
  const older = w.open();
  older.session.receive(new Teller().hello());
  t.match(older.heard.words, [/^fence epoch 1 is over: the spool was opened as 2/]);
  const copy = w.open();
  copy.session.receive(Object.assign(new Teller(), { epoch: 2, life: 'ffffffffffffffff' }).hello());
  t.match(copy.heard.words, [/^fence epoch 2 is another's/]);
  right.session.receive(teller.batch([usage()]));
  w.desk.commit();
  t.same(right.heard.words, ['welcome 0:0', 'ack 2:1']);
  t.same(w.refusals, ['fenced', 'fenced']);
});

t.test('whoever does not say Hello well is refused with the reason', async (t) => {
  const w = world();
  for (const [more, reason] of [
    [{ version: 3 }, /understands versions 1 to 2, not 3: a newer sidecar needs a newer collector/],
    [{ version: 0 }, /understands versions 1 to 2, not 0/],
    [{ spoolId: Buffer.alloc(15) }, /spool id has 16 bytes/],
    [{ life: Buffer.alloc(9) }, /a life 8/],
    [{ epoch: 0n }, /counted from 1/],
    [{ epoch: 2n ** 60n }, /counted from 1/],
    [{ service: '' }, /a service has a name/],
    [{ service: 'a b' }, /a service has a name/],
    [{ service: 'x'.repeat(64) }, /a service has a name/],
    [{ instance: 'a\nb' }, /an instance/],
    [{ instance: 'x'.repeat(254) }, /an instance/],
  ] as const) {
    const { session, heard } = w.open();
    session.receive(new Teller().hello(more));
    t.match(heard.words, [reason]);
    t.ok(heard.isEnded);
  }
  const { session, heard } = w.open();
  // An older sidecar is welcome.
  session.receive(new Teller().hello({ instance: '', version: 1 }));
  await tick();
  t.same(heard.words, ['welcome 0:0']);
});

t.test('messages out of turn end the stream', async (t) => {
  const w = world();
  const early = w.open();
  early.session.receive(new Teller().heartbeat(T0));
  t.match(early.heard.words, [/first message of a stream is Hello/]);
  const hasty = w.open();
  hasty.session.receive(new Teller().hello());
  hasty.session.receive(new Teller().heartbeat(T0));
  t.match(hasty.heard.words, [/nothing is said before Welcome/]);
  for (const says of [new Teller().hello(), message({ case: undefined } as never)]) {
    const { session, heard } = await greeted(w, new Teller());
    session.receive(says);
    t.match(heard.words[1], /a second Hello/);
  }
});

const large = Buffer.alloc(2 * 2 ** 20 - 16 * 1024 + 1);

/** No sidecar of ours writes such: 5 units are made so many. */
function withInsaneUnits(): Buffer {
  const run = Buffer.from(runOf([usage({ units: [{ meter: 'x', units: 5 }] })]));
  const five = Buffer.alloc(8);
  five.writeDoubleBE(5);
  run.writeDoubleBE(-1e300, run.indexOf(five));
  return run;
}

t.test('what cannot be read is refused, and nothing of it is taken', async (t) => {
  for (const [what, make, reason] of [
    ['no Zstandard', (s: Teller) => s.batch([usage()], { payload: Buffer.from('nonsense') }), /not Zstandard/],
    ['a bomb', (s: Teller) => s.batch([usage()], { payloadBytes: 2 ** 31 }), /1 to 8388608 bytes/],
    ['more than a frame of the ledger holds', (s: Teller) => s.batch([usage()], { payload: large }), /at most 2080768/],
    ['empty', (s: Teller) => s.batch([usage()], { payloadBytes: 0 }), /1 to 8388608 bytes/],
    ['more than it says', (s: Teller) => s.batch([usage()], { payloadBytes: 5 }), /not Zstandard of 5 bytes/],
    ['less than it says', (s: Teller) => s.batch([usage()], { payloadBytes: 5000 }), /fewer bytes/],
    ['another sum', (s: Teller) => s.batch([usage()], { crc: 1 }), /sum of the payload is wrong/],
    ['fewer records than it is of', (s: Teller) => s.payload(runOf([usage()]), 2), /does not hold the records/],
    [
      'sums of more than it is of',
      (s: Teller) => s.folded([usage(), usage()], { seqTo: 1n }),
      /does not hold the records/,
    ],
    [
      'records that are not there',
      (s: Teller) => s.payload(Buffer.from([1, 1, 1, 200]), 1),
      /does not hold the records/,
    ],
    ['folded as raw', (s: Teller) => s.folded([usage()], { isFolded: false }), /does not hold the records/],
    ['an insane amount', (s: Teller) => s.batch([usage({ bytesIn: 2 ** 53 })]), /does not hold the records/],
    ['insane units', (s: Teller) => s.payload(withInsaneUnits(), 1), /does not hold the records/],
    [
      'a watermark beyond all bounds',
      (s: Teller) => s.batch([usage()], { watermarkMs: 2n ** 63n }),
      /beyond all bounds/,
    ],
    ['a range that goes back', (s: Teller) => s.batch([usage()], { seqTo: 0n }), /does not follow/],
    ['a reason that is none', (s: Teller) => s.gap(1, 'a\nb'), /a few plain words/],
    ['a gap that goes back', (s: Teller) => s.gap(1, 'corrupt', { seqTo: 0n }), /does not follow/],
    ['a heartbeat of never', (s: Teller) => s.heartbeat(2 ** 60), /beyond all bounds/],
  ] as const) {
    const w = world();
    const teller = new Teller();
    const { session, heard } = await greeted(w, teller);
    session.receive(make(teller));
    t.match(heard.words[1], reason, what);
    t.ok(heard.isEnded && w.desk.taken.length === 0, what);
    t.equal(w.pool.free, 1_000_000, what);
  }
});

t.test('sums of parts stand for records that they do not count', async (t) => {
  const w = world();
  const teller = new Teller();
  const { session, heard } = await greeted(w, teller);
  const part = usage({ isPart: true });
  session.receive(teller.folded([part, usage(), part]));
  session.receive(teller.folded([part]));
  session.receive(teller.batch([part, usage()]));
  w.desk.commit();
  t.same(heard.words.slice(1), ['ack 1:3', 'ack 1:4', 'ack 1:6']);
});

t.test('whatever a sidecar may write is taken: the largest amounts, and folds of the largest units', async (t) => {
  const w = world();
  const teller = new Teller();
  const { session, heard } = await greeted(w, teller);
  const largest = usage({
    bytesIn: Number.MAX_SAFE_INTEGER,
    bytesOut: 2 ** 50,
    units: [{ meter: 'tokens', units: 1e15 }],
  });
  session.receive(teller.batch([largest]));
  session.receive(teller.folded([largest]));
  const used = usage({ units: [{ meter: 'tokens', units: 1e15 }] });
  session.receive(teller.folded(Array.from({ length: 100 }, () => used)));
  w.desk.commit();
  t.same(heard.words, ['welcome 0:0', 'ack 1:1', 'ack 1:2', 'ack 1:102']);
});

t.test('credit: more than was allowed ends the stream; a large one may come alone', async (t) => {
  const w = world({ budget: 100_000 });
  const teller = new Teller();
  const { session, heard } = await greeted(w, teller);
  const many = Array.from({ length: 2000 }, (_, i) =>
    usage({ tenant: `t${(i * 7919) % 2003}`, bytesIn: (i * 48_271) % 65_537 }),
  );
  session.receive(teller.batch(many));
  t.equal(w.desk.taken.length, 1, 'the first is larger than the window, and may come');
  session.receive(teller.batch(many));
  t.match(heard.words[1], /bytes are more than was allowed/);
  w.desk.commit();
  t.equal(w.pool.free, 100_000, 'all is given back');
});

t.test('when there is no room for a stream or a spool, it is told so', async (t) => {
  const w = world({ budget: 1500 });
  await greeted(w, new Teller());
  const { heard } = await greeted(w, new Teller('ff'.repeat(16)));
  t.match(heard.words, [/no room for another stream/]);
  const small = world({ spoolsMax: 1 });
  const [one, other] = [new Teller(), new Teller('ff'.repeat(16))];
  (await greeted(small, one)).session.receive(one.batch([usage()]));
  const refused = await greeted(small, other);
  refused.session.receive(other.batch([usage()]));
  t.match(refused.heard.words[1], /table of spools is full/);
  const again = await greeted(small, new Teller('ff'.repeat(16)));
  again.session.receive(new Teller('ff'.repeat(16)).gap(1));
  t.match(again.heard.words[1], /table of spools is full/);
  small.desk.commit();
  again.session.close();
  t.equal(small.pool.free, 1_000_000 - 1000);
});

t.test('gaps cost credit until they stand, and many at once end the stream', async (t) => {
  const w = world();
  const teller = new Teller();
  const { session, heard } = await greeted(w, teller);
  const before = w.pool.free;
  session.receive(teller.gap(1));
  session.receive(teller.gap(1));
  t.equal(w.pool.free, before - 2048);
  w.desk.commit();
  t.equal(w.pool.free, before);
  for (let i = 0; i < 8; i++) session.receive(teller.gap(1));
  t.match(heard.words.at(-1), /many gaps/);
  t.equal(w.desk.taken.length, 7, 'what a window has');
  w.desk.commit();
  t.equal(w.pool.free, 1_000_000, 'behind its end too');
});

t.test('a spool has no row before it told something, and its stream is its own all the same', async (t) => {
  const w = world();
  for (let i = 0; i < 100; i++) {
    const stranger = new Teller(i.toString(16).padStart(32, '0'));
    const { session } = await greeted(w, stranger);
    session.receive(stranger.heartbeat(T0));
    session.receive(stranger.bye({ seq: 0n }));
    t.ok(session.isEnded);
  }
  t.equal(w.spools.size, 0);
  t.equal(w.desk.taken.length, 0);
  const teller = new Teller();
  const first = await greeted(w, teller);
  first.session.receive(teller.heartbeat(T0 - 7));
  const second = await greeted(w, teller);
  t.ok(first.session.isEnded);
  w.now.wallMs += 5000;
  second.session.receive(teller.batch([usage()]));
  t.match(w.spools.get(SPOOL), { firstMs: T0, watermarkMs: T0 - 7, newest: { epoch: 1, life: LIFE }, pending: 1 });
  w.desk.commit();
  t.match(w.spools.get(SPOOL), { records: 1, pending: 0, state: 'live' });
});

t.test('a stream without Hello is ended when its time is over; others are not', async (t) => {
  const w = world();
  const mute = w.open();
  mute.session.hurry();
  t.match(mute.heard.words, [/first message of a stream is Hello, and it did not come/]);
  const { session, heard } = await greeted(w, new Teller());
  session.hurry();
  t.same(heard.words, ['welcome 0:0']);
});

t.test('a ledger that refuses: the stream ends and says why, Hello too; nothing is lost of the credit', async (t) => {
  const w = world();
  const teller = new Teller();
  const { session, heard } = await greeted(w, teller);
  w.desk.refuses = true;
  session.receive(teller.batch([usage()]));
  t.match(heard.words[1], /the ledger takes nothing: ENOSPC/);
  t.equal(w.pool.free, 1_000_000);
  w.desk.trouble = 'the ledger takes nothing: ENOSPC';
  const again = await greeted(w, new Teller());
  t.match(again.heard.words, [/ENOSPC/]);
  w.desk.trouble = undefined;
  w.desk.refuses = false;
  const waiting = w.open();
  waiting.session.receive(new Teller().hello());
  w.desk.trouble = 'EIO';
  await tick();
  t.match(waiting.heard.words, ['nack EIO']);
  w.desk.trouble = undefined;
  const stalled = await greeted(w, new Teller());
  stalled.session.stall('EROFS');
  t.match(stalled.heard.words, ['welcome 0:0', 'nack EROFS']);
  const untouched = w.open();
  untouched.session.stall('EROFS');
  t.same(untouched.heard.words, []);
});

t.test('heartbeats move the watermark, but not past what is on its way', async (t) => {
  const w = world();
  const teller = new Teller();
  const { session } = await greeted(w, teller);
  session.receive(teller.gap(1));
  w.desk.commit();
  const spool = w.spools.get(SPOOL) as Spool;
  session.receive(teller.heartbeat(T0 + 5000));
  t.equal(spool.watermarkMs, T0, 'a clock that is ahead says nothing of the future');
  w.now.wallMs = T0 + 10_000;
  session.receive(teller.heartbeat(T0 + 5000));
  t.equal(spool.watermarkMs, T0 + 5000);
  t.equal(spool.spoolBytes, 77);
  session.receive(teller.heartbeat(T0 + 1000));
  t.equal(spool.watermarkMs, T0 + 5000, 'it never goes back');
  session.receive(teller.batch([usage()]));
  session.receive(teller.heartbeat(T0 + 9000));
  t.equal(spool.watermarkMs, T0 + 5000);
  w.desk.commit();
  t.equal(spool.watermarkMs, T0 + 9000);
  session.receive(teller.batch([usage()], { watermarkMs: BigInt(T0 + 99_000) }));
  w.desk.commit();
  t.equal(spool.watermarkMs, T0 + 10_000);
});

t.test('a Bye that leaves something out is only an end; one of an epoch without a record is whole', async (t) => {
  const w = world();
  const teller = new Teller();
  const { session, heard } = await greeted(w, teller);
  session.receive(teller.batch([usage()]));
  w.desk.commit();
  session.receive(teller.bye({ seq: 9n }));
  t.ok(heard.isEnded);
  t.equal(w.spools.get(SPOOL)?.state, 'live');
  teller.reopen('0909090909090909');
  const next = await greeted(w, teller);
  next.session.receive(teller.bye());
  w.desk.commit();
  t.same(next.heard.words, ['welcome 1:1', 'ack 2:0']);
  t.equal(w.spools.get(SPOOL)?.state, 'ended');
  const future = await greeted(w, teller);
  future.session.receive(teller.bye({ epoch: 7n, seq: 0n }));
  t.ok(future.heard.isEnded);
  t.equal(w.spools.get(SPOOL)?.state, 'live', 'who speaks again is live again');
});
