/**
 * Histories of the log of own counts on a simulated disk: several lives of counting, giving back, reporting levels, granting and closing days, also with a
 * clock that is set back to a day that was closed, and with others who say what days were closed with, and say it again to the next life. Each is ended by a
 * kill, a stop of the machine or an orderly end, at any time and in any call of the disk; some with a disk that fails or is full.
 *
 * What must hold: what was committed is never lost, and by an end of any kind at most the last second is; nothing is there that was not counted, and nothing
 * twice; an orderly end loses nothing; no life has two heirs.
 */
import { SimDisk } from '../sim/disk.ts';
import { SimOwnDisk } from '../sim/own-disk.ts';
import { SeededRandom, SimProcess, SimTime } from '../sim/time.ts';
import { Allowance, freeOf } from '../src/limits/fleet-quotas/allowance.ts';
import { Claims } from '../src/limits/fleet-quotas/claims.ts';
import { willRow } from '../src/limits/fleet-quotas/heirs.ts';
import { OnDisk } from '../src/limits/fleet-quotas/on-disk.ts';
import type { FleetRow } from '../src/limits/fleet-quotas/row.ts';
import { Line } from '../src/limits/quotas/account.ts';
import { type ClosedTotal, CounterStore } from '../src/limits/quotas/counter-store.ts';
import { GaugeStore } from '../src/limits/quotas/gauge-store.ts';
import type { OwnDisk } from '../src/limits/quotas/own-disk.ts';
import { COMMIT_MS, type LastLife, OwnLog, RETRY_MS } from '../src/limits/quotas/own-log.ts';
import { silentLog } from '../src/telemetry/index.ts';
import type { Quota } from '../src/tenants/index.ts';
import { CountsModel, stateOf } from './counts-model.ts';
import type { HistoryKind, Outcome } from './history.ts';

/** What a commit and the one before it take at most, on the simulated disk. */
const UNDER_WAY_MS = 300;
const LIVES_MAX = 6;
const STEPS_MAX = 40;
const METER = 'api_calls';
const DAY = 100;
/** No day is older. */
const OLDEST = 0;

const QUOTA = { meter: METER, limit: 1000, isHard: true, per: 'day', thresholds: [] } as unknown as Quota;

function versionOf(row: object): number {
  return (row as { readonly version: number }).version;
}

export const countsHistory: HistoryKind = {
  name: 'counts',
  describe: 'what a sidecar counted, on a disk that writes sectors and names in any order, fails and fills up',
  run: (seed) => runCountsOn(seed, (disk) => disk),
};

/** The same on a disk that does something else, to see that it is noticed. */
export async function runCountsOn(seed: number, through: (disk: OwnDisk) => OwnDisk): Promise<Outcome> {
  const history = new CountsHistory(seed, through);
  const violation = await history.run().catch((cause: Error) => String(cause.stack));
  return { violation, counts: history.counts };
}

/** One life of a process. */
interface Life {
  readonly actor: string;
  readonly process: SimProcess;
  readonly counters: CounterStore;
  readonly gauges: GaugeStore;
  readonly claims: Claims;
  readonly own: OwnLog;
  readonly onDisk: OnDisk;
  readonly allowance: Allowance;
  /** Of a hard quota, as it is spent. */
  readonly line: Line;
  isHeirless: boolean;
}

/** What a life may rely on that its next life knows. */
interface Relied {
  /** Undefined: nothing stands on disk that says how far it went. */
  readonly claims: readonly FleetRow[] | undefined;
  readonly spent: number;
}

class CountsHistory {
  readonly counts = {
    lives: 0,
    steps: 0,
    kills: 0,
    crashes: 0,
    ends: 0,
    faults: 0,
    mended: 0,
    unopened: 0,
    reopened: 0,
    told: 0,
    spent: 0,
    inherited: 0,
  };
  readonly #time = new SimTime();
  readonly #random: SeededRandom;
  readonly #disk: SimDisk;
  readonly #model = new CountsModel();
  readonly #through: (disk: OwnDisk) => OwnDisk;
  readonly #logBytesMax: number;
  readonly #faultRate: number;
  /** Until somebody mends it. */
  #isFaulty = true;
  /** Whose heirs there are, and who ended in order and left something. */
  readonly #inherited = new Set<string>();
  readonly #heirless = new Set<string>();
  readonly #relied = new Map<string, Relied>();
  /** An heir must be the next. */
  #ended: string | undefined;
  #today = DAY;
  /** What others closed days with, by tenant and day: each life hears it. */
  readonly #told = new Map<string, ClosedTotal>();
  #wrong: string | undefined;

  constructor(seed: number, through: (disk: OwnDisk) => OwnDisk) {
    this.#random = new SeededRandom(seed);
    this.#through = through;
    this.#logBytesMax = 200 + this.#below(4000);
    this.#faultRate = this.#chance(0.4) ? 0.05 : 0;
    this.#disk = new SimDisk(this.#random.fork(), {
      isStale: this.#chance(0.3),
      writeBack: this.#chance(0.5) ? 0 : 0.1,
    });
    if (this.#chance(0.2)) this.#disk.room = 1000 + this.#below(8000);
    this.#disk.fault = (call) => {
      // To read what cannot be read is another promise (docs/quotas.md).
      if (call === 'read' || call === 'size' || !this.#isFaulty || !this.#chance(this.#faultRate)) return undefined;
      this.counts.faults++;
      return call === 'open' || call === 'write' ? 'ENOSPC' : 'EIO';
    };
  }

  async run(): Promise<string | undefined> {
    for (let lives = 2 + this.#below(LIVES_MAX - 1); lives > 0 && this.#wrong === undefined; lives--) {
      this.counts.lives++;
      this.#isFaulty = true;
      if (this.#chance(0.3)) this.#disk.stopAfter = this.#below(60);
      const life = this.#born();
      if (await this.#opens(life)) await this.#live(life);
      else this.#unopened();
      this.#end(life);
      // Somebody makes room.
      if (this.#chance(0.2)) this.#disk.room = Number.POSITIVE_INFINITY;
    }
    return this.#wrong;
  }

  #born(): Life {
    const actor = this.#random.hex(8);
    const process = new SimProcess(this.#time);
    const [counters, gauges, claims] = [new CounterStore({ actor }), new GaugeStore(actor), new Claims()];
    let last: LastLife | undefined;
    const heritage = (of: LastLife) => {
      last = of;
      return [willRow(DAY, of.actor, actor, 'next')];
    };
    const inherit = (_: readonly string[], { length }: readonly unknown[]): void => {
      if (length > 0 && last !== undefined) this.#inherits(last, claims);
    };
    const allowance = new Allowance(() => {}, 1 / 16);
    const onDisk = new OnDisk(allowance);
    const line = Object.assign(new Line(QUOTA), { from: DAY });
    allowance.open('t0', line);
    const fleet = {
      actor,
      claims,
      onDisk,
      allowance,
      line,
      isHeirless: false,
      comeback: { isWaiting: false },
      heritage,
      inherit,
    };
    const disk = this.#through(new SimOwnDisk(this.#disk, process, this.#random.fork()));
    const own = new OwnLog({
      ...{ dir: '/state', disk, counters, gauges, fleet, timers: process, log: silentLog },
      logBytesMax: this.#logBytesMax,
      sliceLines: 1 + this.#below(5),
    });
    return Object.assign(fleet, { process, counters, gauges, own });
  }

  /** False: it ended before. */
  async #opens(life: Life): Promise<boolean> {
    let isOpen = false;
    void life.own.open().then(() => {
      isOpen = true;
    });
    const most = this.#chance(0.15) ? this.#below(120) : 5000;
    if (!(await this.#time.settleUntil(() => isOpen, most))) return false;
    for (const total of this.#told.values()) life.counters.mergeTotal(total);
    const read = stateOf(life);
    this.#judge(this.#model.judge(read, this.#told));
    if (life.own.isWriting && this.#ended !== undefined && !this.#inherited.has(this.#ended))
      this.#judge(`${this.#ended} ended in order, and nobody is its heir`);
    this.#ended = undefined;
    this.#model.adopt(this.#time.nowMs, read, life.own.isWriting);
    return true;
  }

  /** It may have begun files of its own, and had not inherited: nobody does then. */
  #unopened(): void {
    this.counts.unopened++;
    this.#ended = undefined;
  }

  async #live(life: Life): Promise<void> {
    for (let steps = this.#below(STEPS_MAX); steps > 0; steps--) {
      this.counts.steps++;
      await this.#wait(life, this.#below(this.#chance(0.1) ? 12_000 : 700));
      this.#step(life);
      this.#model.note(this.#time.nowMs, stateOf(life));
      if (!life.own.isWriting && this.#chance(0.2)) await this.#mend(life);
    }
    if (this.#chance(0.3)) await this.#close(life);
    else await this.#wait(life, this.#below(1500));
  }

  /** Then whatever stood there more than a second ago is certain, unless the disk refuses. */
  async #wait({ own }: Life, ms: number): Promise<void> {
    await this.#time.settleUntil(() => false, ms);
    if (own.isWriting && !this.#disk.isStopped) this.#model.certain(this.#time.nowMs - COMMIT_MS - UNDER_WAY_MS);
  }

  /** Then all that is known is written when it is tried again. */
  async #mend(life: Life): Promise<void> {
    this.counts.mended++;
    this.#isFaulty = false;
    this.#disk.room = Number.POSITIVE_INFINITY;
    await this.#wait(life, RETRY_MS + UNDER_WAY_MS);
    if (!life.own.isWriting && !this.#disk.isStopped) this.#judge('the disk takes everything, and nothing is written');
  }

  #step({ counters, gauges, claims, actor, allowance, line, onDisk }: Life): void {
    this.#spend(allowance, line);
    if (this.#chance(0.2)) onDisk.onPress();
    const dice = this.#random.float();
    const tenant = `t${this.#below(4)}`;
    // Now and then a clock is set back.
    const isBack = this.#chance(0.1);
    const day = isBack ? this.#today - 1 : this.#today + this.#below(2);
    const isReopened = isBack && [...counters.closed()].some((each) => each.tenant === tenant && each.day === day);
    if (dice < 0.6) counters.add(counters.open(tenant, METER, day), 1 + this.#below(9));
    else if (dice < 0.7) counters.refund(counters.open(tenant, METER, day), 1);
    else if (dice < 0.8) gauges.set(tenant, 'seats', this.#below(50), this.#time.nowMs);
    else if (dice < 0.93) {
      const key = { kind: 'grant', tenant, meter: METER, day, from: actor, to: 'f'.repeat(16) } as const;
      claims.merge({ ...key, x: 1 + this.#time.nowMs, y: 0 } as FleetRow);
    } else if (dice < 0.97) this.#tell(counters, { tenant, meter: METER, day: this.#today - this.#below(2) });
    else counters.close(++this.#today, OLDEST);
    if (isReopened && dice < 0.7) this.counts.reopened++;
  }

  /** As much as may be, more often than not; now and then more than that is needed at once. */
  #spend(allowance: Allowance, line: Line): void {
    const units = this.#chance(0.2) ? this.#below(300) : this.#below(12);
    if (line.spent + units > allowance.capOf(line)) allowance.lacks(line, units);
    else {
      line.spent += units;
      allowance.asks(line);
      this.counts.spent += units;
    }
  }

  /** Others say what a day was closed with: as much as is known here, or more. */
  #tell(counters: CounterStore, of: Omit<ClosedTotal, 'total'>): void {
    const total = Math.max(0, counters.valueOf(of.tenant, of.meter, of.day)) + this.#below(5);
    if (counters.mergeTotal({ ...of, total }) !== 'merged') return;
    this.counts.told++;
    this.#told.set(`${of.tenant} ${of.day}`, { ...of, total });
  }

  /** An end in order: nothing is lost. */
  async #close(life: Life): Promise<void> {
    life.isHeirless = this.#chance(0.5);
    if (life.isHeirless) this.#heirless.add(life.actor);
    let isClosed = false;
    void life.own.close().then(() => {
      isClosed = true;
    });
    const isWhole = await this.#time.settleUntil(() => isClosed, this.#chance(0.2) ? this.#below(60) : 5000);
    if (!isWhole || !life.own.isWriting) return;
    this.counts.ends++;
    this.#model.certain(this.#time.nowMs);
    if (life.isHeirless) this.#ended = life.actor;
  }

  #end({ process, actor, claims, onDisk, line }: Life): void {
    process.kill();
    const { upTo } = onDisk;
    const rows = Number.isFinite(upTo) ? [...claims.rows()].filter((each) => versionOf(each) <= upTo) : undefined;
    this.#relied.set(actor, { claims: rows, spent: line.spent });
    if (this.#chance(0.5)) {
      this.counts.crashes++;
      this.#disk.crash();
    } else {
      this.counts.kills++;
      this.#disk.kill();
    }
  }

  #inherits(last: LastLife, claims: Claims): void {
    const { actor: from, as } = last;
    if (as !== 'next') this.#knows(last, claims);
    if (this.#inherited.has(from)) this.#judge(`${from} has a second heir`);
    if (as === 'heir' && !this.#heirless.has(from)) this.#judge(`${from} left nothing, and has an heir`);
    this.#inherited.add(from);
  }

  /** Whoever takes what a life had must know what that one gave away, and how much it spent at most. */
  #knows({ actor: from, as, crashes, ahead }: LastLife, claims: Claims): void {
    this.counts.inherited++;
    const relied = this.#relied.get(from);
    if (relied?.claims === undefined) return this.#judge(`${from} went further than its disk, and has an heir`);
    for (const row of relied.claims)
      if ((claims.get(row)?.x ?? 0) < row.x) this.#judge(`its heir does not know what ${from} gave: ${row.x}`);
    if (as !== 'crashed') return;
    const most = Math.max(0, ...ahead.map(({ units }) => units)) + freeOf(QUOTA.limit, crashes);
    if (relied.spent > most) this.#judge(`its heir takes ${from} to have spent ${most} at most, of ${relied.spent}`);
  }

  #judge(wrong: string | undefined): void {
    if (wrong !== undefined) this.#wrong ??= `${wrong} (life ${this.counts.lives}, ${this.#time.nowMs.toFixed(1)} ms)`;
  }

  #below(count: number): number {
    return Math.floor(this.#random.float() * count);
  }

  #chance(share: number): boolean {
    return this.#random.float() < share;
  }
}
