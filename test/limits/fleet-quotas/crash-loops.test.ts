/**
 * Histories by chance of a small fleet with the real log of own counts, on disks in memory that fail now and then: kills in any call to the disk, crash loops,
 * farewells that are heard or not, cuts. However it goes, a hard quota is never exceeded. `GUARANTEE_SCALE=10` plays ten times as many.
 */
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { SeededRandom } from '../../../sim/time.ts';
import type { OwnDisk } from '../../../src/limits/quotas/own-disk.ts';
import { OwnLog } from '../../../src/limits/quotas/own-log.ts';
import { silentLog } from '../../../src/telemetry/index.ts';
import { scaled } from '../../helpers/scale.ts';
import { Fleet, type Sidecar } from './world.ts';

const STEPS = 50;
/** Turns of the loop in which all that was asked of a disk is done. */
const TURNS = 400;

interface Process {
  isDead: boolean;
}

/** Files in memory. What a process that is dead asks for never comes. */
class MemoryDisk {
  /** Of calls, the part that is refused. */
  refused = 0;
  readonly #files = new Map<string, string[]>();
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  of(process: Process): OwnDisk {
    const call = async <T>(run: () => T): Promise<T> => {
      await turn();
      if (process.isDead) return new Promise(() => {});
      if (this.#random.float() < this.refused) throw Object.assign(new Error('EIO'), { code: 'EIO' });
      const result = run();
      // It may end between what was done and the answer.
      if (this.#random.float() < 0.3) await turn();
      return process.isDead ? new Promise(() => {}) : result;
    };
    const bytesOf = async (path: string): Promise<Buffer> => Buffer.from(this.#at(path).join(''));
    return {
      makeDir: () => call(() => {}),
      create: (path) =>
        call(() => {
          const file: string[] = [];
          this.#files.set(path, file);
          const append = (text: string): Promise<void> => call(() => void file.push(text));
          return { append, sync: () => call(() => {}), close: () => call(() => {}) };
        }),
      size: async (path) => (await bytesOf(path)).length,
      read: bytesOf,
      rename: (from, to) =>
        call(() => {
          this.#files.set(to, this.#at(from));
          this.#files.delete(from);
        }),
      copy: (from, to) => call(() => void this.#files.set(to, [...this.#at(from)])),
      remove: (path) =>
        call(() => {
          this.#at(path);
          this.#files.delete(path);
        }),
      syncDir: () => call(() => {}),
    };
  }

  #at(path: string): string[] {
    const file = this.#files.get(path);
    if (file === undefined) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
    return file;
  }
}

/** Where one life follows the other. */
interface Place {
  readonly disk: MemoryDisk;
  life: { readonly sidecar: Sidecar; readonly process: Process; readonly log: OwnLog } | undefined;
}

class History {
  readonly did: string[] = [];
  readonly #fleet: Fleet;
  readonly #random: SeededRandom;
  readonly #limit: number;
  readonly #places: Place[] = [];
  /** How often a crash is followed by another. */
  readonly #loops: number;

  constructor(fleet: Fleet, random: SeededRandom, limit: number) {
    this.#fleet = fleet;
    this.#random = random;
    this.#limit = limit;
    this.#loops = random.float() < 0.5 ? 0.6 : 0.1;
  }

  async play(): Promise<void> {
    this.#fleet.expected = this.#fleet.sidecars.length;
    for (const sidecar of [...this.#fleet.sidecars]) {
      const place: Place = { disk: new MemoryDisk(this.#random.fork()), life: undefined };
      this.#places.push(place);
      await this.#open(place, sidecar);
    }
    await this.#pass(5000);
    for (let step = 0; step < STEPS; step++) await this.#step(this.#places[this.#below(this.#places.length)] as Place);
    this.#cut(() => 0);
    for (const place of this.#places) {
      place.disk.refused = 0;
      if (place.life === undefined) await this.#start(place);
    }
    await this.#pass(12_000);
    for (let i = 0; i < 60; i++) {
      for (const each of this.#fleet.there) this.#fleet.ask(each, this.#limit / 8);
      await this.#pass(250);
    }
  }

  async #step(place: Place): Promise<void> {
    const dice = this.#random.float();
    if (dice < 0.35) this.#ask(place, 1 + this.#below(this.#limit / 20));
    else if (dice < 0.55) await (place.life === undefined ? this.#start(place) : this.#crash(place));
    else if (dice < 0.62) this.#cut(() => (this.#chance(0.3) ? 1 : 0));
    else if (dice < 0.7) this.#cut(() => 0);
    else if (dice < 0.76) place.disk.refused = place.disk.refused > 0 ? 0 : this.#chance(0.5) ? 1 : 0.2;
    else await this.#pass(250 * (1 + this.#below(this.#chance(0.3) ? 50 : 8)));
  }

  /** Once, or again and again. */
  async #crash(place: Place): Promise<void> {
    await this.#end(place);
    while (this.#chance(this.#loops)) {
      await this.#start(place, this.#chance(0.3) ? this.#below(40) : TURNS);
      await this.#pass(250 * this.#below(18));
      for (let times = 0; times < 2; times++) {
        this.#ask(place, this.#below(40));
        await this.#turns(this.#below(10));
      }
      await this.#end(place);
    }
  }

  #ask({ life }: Place, units: number): void {
    if (life !== undefined) this.did.push(`ask ${this.#fleet.ask(life.sidecar, units)}`);
  }

  async #start(place: Place, turns = TURNS): Promise<void> {
    const sidecar = this.#fleet.add();
    this.#see();
    await this.#open(place, sidecar, turns);
    this.did.push(`start ${this.#places.indexOf(place)}`);
  }

  async #open(place: Place, sidecar: Sidecar, turns = TURNS): Promise<void> {
    const process = { isDead: false };
    const { counters, gauges } = sidecar.fleet;
    const log = new OwnLog({
      ...{ dir: '/state', disk: place.disk.of(process), counters, gauges, fleet: sidecar.fleet },
      ...{ timers: this.#fleet.clock, log: silentLog, logBytesMax: this.#chance(0.5) ? 2000 : 2 ** 20, sliceLines: 3 },
    });
    place.life = { sidecar, process, log };
    let isOpen = false;
    void log.open().then(() => {
      isOpen = true;
    });
    for (let i = 0; i < turns && !isOpen; i++) await turn();
  }

  async #end(place: Place): Promise<void> {
    const { sidecar, process, log } = place.life as NonNullable<Place['life']>;
    const isLeave = this.#chance(0.25);
    if (isLeave) await this.#leave(sidecar, log);
    else if (this.#chance(0.5)) await this.#turns(this.#below(8));
    process.isDead = true;
    this.#fleet.end(sidecar, isLeave ? 'left' : 'dead');
    if (this.#chance(0.3)) this.#fleet.forget(sidecar);
    place.life = undefined;
    this.did.push(`${isLeave ? 'leave' : 'kill'} ${this.#places.indexOf(place)}`);
  }

  /** Heard by others or not, and written or not. */
  async #leave(sidecar: Sidecar, log: OwnLog): Promise<void> {
    void sidecar.fleet.leave();
    await this.#turns(this.#chance(0.7) ? 60 : this.#below(6));
    const others = this.#fleet.there.filter((each) => each !== sidecar && each.side === sidecar.side);
    if (this.#chance(0.6)) for (const each of others) this.#fleet.hear(each, sidecar);
    void log.close();
    await this.#turns(this.#chance(0.7) ? 60 : this.#below(10));
  }

  #cut(sideOf: () => number): void {
    for (const each of this.#fleet.there) each.side = sideOf();
    this.#see();
    this.did.push('cut');
  }

  #see(): void {
    const { there } = this.#fleet;
    for (const of of there)
      for (const other of there)
        if (of !== other) of.fleet.onMember(this.#fleet.member(of, other, of.side === other.side ? 'alive' : 'dead'));
  }

  async #pass(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 250) {
      this.#fleet.pass(250);
      await this.#turns(30);
    }
  }

  async #turns(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await turn();
  }

  #below(count: number): number {
    return Math.floor(this.#random.float() * count);
  }

  #chance(share: number): boolean {
    return this.#random.float() < share;
  }
}

t.test('crash loops with real logs: never more than the quota', async (t) => {
  let served = 0;
  const histories = scaled(3);
  for (let seed = 1; seed <= histories; seed++) {
    const random = new SeededRandom(seed);
    const limit = [300, 3000, 20_000][Math.floor(random.float() * 3)] as number;
    const quotas = { api_calls: { per: 'day', limit, mode: 'hard' } };
    const fleet = await Fleet.of(quotas, random.float() < 0.5 ? 3 : 2);
    const history = new History(fleet, random, limit);
    await history.play();
    t.ok(fleet.admitted <= limit, `${fleet.admitted} of ${limit}, seed ${seed}: ${history.did.join(', ')}`);
    served += fleet.admitted / limit / histories;
  }
  t.comment(`figure: ${histories} fleets in crash loops serve ${(100 * served).toFixed(0)} % of a hard quota`);
  t.ok(served > 0.25, `${served}`);
});
