/**
 * Every order of few steps of a sidecar and a collector that report, with crashes of either, cuts and lost acknowledgements between any two:
 * nothing that was synced is lost, nothing is doubled, and in the end all is told.
 *
 * States are reached by running their steps anew, with the real sender; what was seen before is not gone on from.
 */
import t from 'tap';
import type { FromCollector, FromSidecar } from '../../src/metering/messages.ts';
import { comparePositions, NOWHERE, type Position } from '../../src/metering/position.ts';
import type { Next } from '../../src/metering/reader.ts';
import { Sender } from '../../src/metering/sender.ts';
import { type Link, type LinkEvents, noCounts, type Source } from '../../src/metering/sender-ports.ts';
import { ReferenceCollector } from './reference-collector.ts';
import { countedRandom, VirtualTime } from './world.ts';

const BLOCKS = 3;
const EPOCHS = 2;
const FAULTS = 2;

interface Block {
  readonly epoch: number;
  readonly seq: number;
  /** What it says: no two blocks ever made say the same. */
  readonly text: string;
}

const chainOf = (epoch: number, seq: number): number => epoch * 100 + seq;

/** A spool of blocks of one record. */
class ModelSpool implements Source {
  blocks: Block[] = [];
  synced = 0;
  epoch = 1;
  made = 0;
  lastSeq = 0;
  acks: Position = NOWHERE;
  #position: Position = NOWHERE;
  readonly spoolBytes = 0;

  append(): void {
    this.blocks.push({ epoch: this.epoch, seq: ++this.lastSeq, text: `block ${++this.made}` });
  }

  /** Another life begins; of the one before the machine may have taken what was not synced. */
  reopen(isCrash: boolean): void {
    if (isCrash) this.blocks = this.blocks.slice(0, this.synced);
    this.synced = this.blocks.length;
    this.epoch++;
    this.lastSeq = 0;
  }

  seek(position: Position): boolean {
    this.#position = position;
    return comparePositions(position, { epoch: this.epoch, seq: this.lastSeq }) <= 0;
  }

  next(): Next {
    const block = this.blocks.find((each) => comparePositions(each, this.#position) > 0);
    if (block === undefined) return undefined;
    this.#position = block;
    const { epoch, seq, text } = block;
    const payload = Buffer.from(text);
    const chain = { chainBefore: chainOf(epoch, seq - 1), chainAfter: chainOf(epoch, seq) };
    const rest = { watermarkMs: 0, isFolded: false, isPacked: true, crc: 0, payloadBytes: payload.length };
    return { kind: 'batch', epoch, seqFrom: seq, seqTo: seq, ...chain, ...rest, payload };
  }

  get unreadBytes(): number {
    return 0;
  }

  acked(position: Position): void {
    this.acks = position;
    const kept = this.blocks.filter((each) => comparePositions(each, position) > 0);
    this.synced = Math.max(0, this.synced - (this.blocks.length - kept.length));
    this.blocks = kept;
  }

  watermarkMs(): number {
    return 0;
  }
}

const STEPS = [
  'append',
  'sync',
  'turn',
  'toCollector',
  'toSidecar',
  'commit',
  'cut',
  'kill',
  'crash',
  'collectorCrash',
] as const;
type Step = (typeof STEPS)[number];
const FAULTY: readonly Step[] = ['cut', 'kill', 'crash', 'collectorCrash'];

class World {
  readonly spool = new ModelSpool();
  readonly collector = new ReferenceCollector(8);
  readonly time = new VirtualTime();
  readonly durable = new Set<string>();
  sender: Sender = this.#begin();
  faults = 0;
  fences = 0;
  #events: LinkEvents | undefined;
  #toCollector: FromSidecar[] = [];
  #toSidecar: FromCollector[] = [];
  /** Of this connection: what the sender has in mind follows from it. */
  #history: string[] = [];

  #begin(): Sender {
    const sender = new Sender({
      clock: this.time,
      timers: this.time,
      random: countedRandom(),
      counts: noCounts(),
      source: this.spool,
      hello: {
        kind: 'hello',
        spoolId: 's',
        epoch: this.spool.epoch,
        life: `${this.spool.epoch}`,
        service: 's',
        instance: 'i',
      },
      connect: (events) => this.#connect(events),
      pack: (payload, done) => done(payload),
      onFence: () => void this.fences++,
      onFailure: () => {},
      onWelcome: () => {},
    });
    return sender;
  }

  start(): this {
    this.sender.start();
    return this;
  }

  #connect(events: LinkEvents): Link {
    this.#events = events;
    this.#toCollector = [];
    this.#toSidecar = [];
    this.#history = [];
    this.collector.disconnect();
    this.collector.say = (message) => void this.#toSidecar.push(message);
    return {
      send: (message: FromSidecar) => {
        this.#toCollector.push(message);
        this.#history.push(`> ${brief(message)}`);
        return true;
      },
      end() {},
      cut: () => {
        this.#events = undefined;
        this.collector.disconnect();
      },
    };
  }

  isEnabled(step: Step): boolean {
    if (FAULTY.includes(step) && this.faults >= FAULTS) return false;
    switch (step) {
      case 'append':
        return this.spool.made < BLOCKS;
      case 'sync':
        return this.spool.synced < this.spool.blocks.length;
      case 'turn':
        return true;
      case 'toCollector':
        return this.#toCollector.length > 0;
      case 'toSidecar':
        return this.#events !== undefined && this.#toSidecar.length > 0;
      case 'commit':
        return this.collector.pending > 0;
      case 'cut':
        return this.#events !== undefined;
      case 'kill':
      case 'crash':
        return this.spool.epoch < EPOCHS;
      case 'collectorCrash':
        return this.collector.pending > 0 || this.#events !== undefined;
    }
  }

  step(step: Step): void {
    const { spool, collector, sender } = this;
    if (FAULTY.includes(step)) this.faults++;
    switch (step) {
      case 'append':
        spool.append();
        break;
      case 'sync':
        for (const { text } of spool.blocks) this.durable.add(text);
        spool.synced = spool.blocks.length;
        break;
      case 'turn':
        this.time.advance(sender.state === 'waiting' ? 10_000 : 200);
        break;
      case 'toCollector':
        collector.hear(this.#toCollector.shift() as FromSidecar);
        break;
      case 'toSidecar': {
        const message = this.#toSidecar.shift() as FromCollector;
        this.#history.push(`< ${brief(message)}`);
        this.#events?.onMessage(message);
        break;
      }
      case 'commit':
        collector.commit();
        break;
      case 'cut':
        this.#cut();
        break;
      case 'kill':
      case 'crash':
        // Nothing of the old one is there any more; what it sent may still arrive, or not.
        sender.close();
        collector.disconnect();
        spool.reopen(step === 'crash');
        if (step === 'kill') for (const { text } of spool.blocks) this.durable.add(text);
        this.sender = this.#begin();
        this.start();
        break;
      case 'collectorCrash':
        collector.crash();
        this.#cut();
    }
  }

  #cut(): void {
    const events = this.#events;
    this.#events = undefined;
    this.#toCollector = [];
    this.collector.disconnect();
    events?.onClose('cut');
  }

  /** What the collector has, and what the sidecar dropped. */
  check(): void {
    const texts = this.collector.ledger.map((each) => (each.kind === 'batch' ? String(each.payload) : 'gap'));
    if (new Set(texts).size !== texts.length) throw new Error(`doubled: ${texts.join(', ')}`);
    if (comparePositions(this.spool.acks, this.collector.mark) > 0)
      throw new Error('dropped what the collector has not synced');
    if (this.fences > 0) throw new Error('fenced');
  }

  /** Without any more faults all that is there is told. */
  finish(): void {
    for (let i = 0; i < 12; i++) {
      for (const step of [
        'turn',
        'toCollector',
        'toCollector',
        'toCollector',
        'commit',
        'toSidecar',
        'toSidecar',
      ] as const)
        if (this.isEnabled(step)) this.step(step);
      this.check();
      if (this.spool.blocks.length === 0 && this.sender.state === 'telling') break;
    }
    const has = new Set(this.collector.ledger.map((each) => (each.kind === 'batch' ? String(each.payload) : '')));
    for (const text of this.durable) if (!has.has(text)) throw new Error(`lost: ${text}, though it was synced`);
    for (const { text } of this.spool.blocks) if (!has.has(text)) throw new Error(`not told: ${text}`);
  }

  get key(): string {
    const { spool, collector, sender, faults } = this;
    const wire = [this.#toCollector.map(brief), this.#toSidecar.map(brief), this.#history, this.#events === undefined];
    return JSON.stringify([spool, [...this.durable], collector.state, sender.state, faults, wire]);
  }
}

function brief(message: FromSidecar | FromCollector): string {
  switch (message.kind) {
    case 'batch':
    case 'gap':
      return `${message.kind} ${message.epoch}:${message.seqFrom}`;
    case 'heartbeat':
      return 'heartbeat';
    case 'hello':
      return `hello ${message.epoch}`;
    default:
      return JSON.stringify(message);
  }
}

function run(path: readonly Step[]): World {
  const world = new World().start();
  for (const step of path) world.step(step);
  return world;
}

t.test('nothing that was synced is lost, nothing is doubled, and all that is there is told in the end', async (t) => {
  const seen = new Set<string>();
  let edge: { readonly path: readonly Step[]; readonly enabled: readonly Step[] }[] = [
    { path: [], enabled: STEPS.filter((step) => run([]).isEnabled(step)) },
  ];
  let steps = 0;
  while (edge.length > 0) {
    const next: typeof edge = [];
    for (const { path, enabled } of edge) {
      for (const step of enabled) {
        const longer = [...path, step];
        const world = run(longer);
        steps++;
        const { key } = world;
        if (seen.has(key)) continue;
        seen.add(key);
        next.push({ path: longer, enabled: STEPS.filter((each) => world.isEnabled(each)) });
        try {
          world.check();
          world.finish();
        } catch (cause) {
          t.fail(`${(cause as Error).message} behind ${longer.join(' ')}`);
          return;
        }
      }
    }
    edge = next;
  }
  t.ok(seen.size > 1000);
  t.comment(`figure: ${seen.size} states of the protocol, ${steps} steps between them, all of them sound`);
});
