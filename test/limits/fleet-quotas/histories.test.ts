/**
 * Histories of a small fleet with disks, by chance: requests, cuts, kills, farewells that are heard or not, restarts. However it goes, a hard quota
 * is never exceeded; and where all left in order, nothing of it is lost. `GUARANTEE_SCALE=10` plays ten times as many.
 */
import t from 'tap';
import { SeededRandom } from '../../../sim/time.ts';
import type { FleetRow } from '../../../src/limits/fleet-quotas/row.ts';
import type { AheadRow, Inheritance } from '../../../src/limits/quotas/own-log.ts';
import { scaled } from '../../helpers/scale.ts';
import { type Disk, diskOf } from './next-life.ts';
import { Fleet, type Sidecar } from './world.ts';

const LIMIT = 3000;
const TODAY = 20_783;
const STEPS = 60;

interface Gone {
  readonly disk: Disk;
  readonly actor: string;
  readonly as: Inheritance;
  readonly ahead: readonly AheadRow[];
}

class History {
  readonly did: string[] = [];
  readonly #fleet: Fleet;
  readonly #random: SeededRandom;
  readonly #leaves: number;
  readonly #places: (Sidecar | Gone)[];
  /** What stands on the disk of each beside its claims. */
  readonly #held = new Map<Sidecar, readonly FleetRow[]>();

  /** `leaves`: of those that end, the part that does so in order. */
  constructor(fleet: Fleet, random: SeededRandom, leaves: number) {
    this.#fleet = fleet;
    this.#random = random;
    this.#leaves = leaves;
    this.#places = [...fleet.sidecars];
    fleet.expected = this.#places.length;
    fleet.pass(5000);
  }

  play(): void {
    for (let step = 0; step < STEPS && this.#fleet.admitted <= LIMIT; step++) this.#step();
    this.#askAll(40);
    this.#heal();
    this.#askAll(40);
    for (const [at, place] of this.#places.entries()) if (!('fleet' in place)) this.#start(at, place, 0);
    this.#fleet.pass(8000);
    this.#askAll(80);
  }

  #below(bound: number): number {
    return Math.floor(this.#random.float() * bound);
  }

  #step(): void {
    const at = this.#below(this.#places.length);
    const place = this.#places[at] as Sidecar | Gone;
    const what = this.#random.float();
    if (what < 0.3) {
      if ('fleet' in place) this.#note(`ask ${at}: ${this.#fleet.ask(place, this.#below(60))}`);
    } else if (what < 0.45) {
      if ('fleet' in place) this.#end(at, place);
      else this.#start(at, place, this.#random.float() < 0.3 ? 1 : 0);
    } else if (what < 0.6) {
      for (const each of this.#fleet.there) each.side = this.#random.float() < 0.3 ? 1 : 0;
      this.#note(`cut ${this.#fleet.there.map(({ side }) => side).join('')}`);
      // Else nobody has noticed yet.
      if (this.#random.float() < 0.6) this.#see();
    } else if (what < 0.7) this.#heal();
    else {
      const ms = 250 * (1 + this.#below(this.#random.float() < 0.3 ? 30 : 6));
      this.#note(`pass ${ms}`);
      this.#fleet.pass(ms);
    }
  }

  #end(at: number, sidecar: Sidecar): void {
    const { fleet, actor } = sidecar;
    let as: Inheritance = 'crashed';
    if (this.#random.float() < this.#leaves) {
      if (this.#random.float() < 0.6) this.#fleet.leave(sidecar);
      else {
        void fleet.leave();
        this.#fleet.end(sidecar, 'left');
      }
      const hasHeir = [...fleet.claims.ofKind('will')].some(({ from }) => from === actor);
      as = fleet.isHeirless ? 'heir' : hasHeir ? 'next' : 'crashed';
    } else this.#fleet.end(sidecar, 'dead');
    this.#note(`end ${at} ${as}`);
    const { spent } = this.#fleet.line(sidecar, 'api_calls');
    const ahead = { tenant: 'acme', meter: 'api_calls', day: TODAY, units: spent, spent };
    const { counts, claims } = diskOf(sidecar);
    this.#places[at] = {
      ...{ actor, as, ahead: spent > 0 ? [ahead] : [] },
      disk: { counts, claims: [...claims, ...(this.#held.get(sidecar) ?? [])] },
    };
    if (this.#random.float() < 0.5) this.#fleet.forget(sidecar);
  }

  #start(at: number, { disk, actor, as, ahead }: Gone, side: number): void {
    this.#note(`start ${at} ${as} on side ${side}`);
    const life = this.#fleet.add();
    life.side = side;
    for (const each of disk.counts) life.fleet.counters.merge(each);
    for (const each of disk.claims) life.fleet.claims.merge(each);
    const heritage = life.fleet.heritage({ actor, as, crashes: 0, ahead });
    this.#held.set(life, heritage);
    life.fleet.inherit([actor], heritage);
    this.#places[at] = life;
    this.#see();
  }

  #heal(): void {
    this.#note('heal');
    for (const each of this.#fleet.there) each.side = 0;
    this.#see();
  }

  /** All know who can be reached. */
  #see(): void {
    const { there } = this.#fleet;
    for (const of of there)
      for (const other of there)
        if (of !== other) of.fleet.onMember(this.#fleet.member(of, other, of.side === other.side ? 'alive' : 'dead'));
  }

  #askAll(times: number): void {
    for (let i = 0; i < times; i++) {
      for (const each of this.#fleet.there) this.#fleet.ask(each, 400);
      this.#fleet.pass(250);
    }
  }

  #note(what: string): void {
    this.did.push(what);
  }
}

async function play(seed: number, leaves: number): Promise<{ admitted: number; did: string }> {
  const random = new SeededRandom(seed);
  const fleet = await Fleet.of({ api_calls: { per: 'day', limit: LIMIT, mode: 'hard' } }, random.float() < 0.5 ? 3 : 4);
  const history = new History(fleet, random, leaves);
  history.play();
  return { admitted: fleet.admitted, did: `seed ${seed}: ${history.did.join(', ')}` };
}

t.test('kills and farewells with disks, in cuts: never more than the quota', async (t) => {
  let least = LIMIT;
  for (let seed = 1; seed <= scaled(9); seed++) {
    const { admitted, did } = await play(seed, seed % 3 === 0 ? 0 : 0.5);
    t.ok(admitted <= LIMIT, `${admitted} of ${LIMIT}, ${did}`);
    least = Math.min(least, admitted);
  }
  t.ok(least > 0.85 * LIMIT, `each crash costs 16 units, and nothing else is lost: at least ${least} were admitted`);
});

t.test('farewells alone: all of the quota, and no more', async (t) => {
  for (let seed = 101; seed <= 100 + scaled(6); seed++) {
    const { admitted, did } = await play(seed, 1);
    t.equal(admitted, LIMIT, did);
  }
});
