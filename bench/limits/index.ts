/** What the limits cost a request, and what a neighbour's flood costs a light tenant. */
import { measureMemory } from '../../sim/memory.ts';
import type { Suite } from '../run.ts';
import { measureDecision } from './decision.ts';
import { AT_ONCE, measureNeighbours } from './neighbours.ts';
import { measureCpuShare } from './share.ts';

/** The limit that is the application's. */
const FIXED = { 'admission.max': String(AT_ONCE) };
const LEARNED = { 'admission.min': '20' };

export const suite: Suite = {
  describe: `Limits: a decision among 10,000 tenants and what each takes; a light tenant beside 100 times its traffic, before an application of ${AT_ONCE} at once`,
  targets: {
    decision_ns: { must: 150, goal: 60 },
    decision_alloc_bytes: { must: 0, goal: 0 },
    decision_fleet_ns: { must: 150, goal: 60 },
    decision_fleet_alloc_bytes: { must: 0, goal: 0 },
    idle_bytes_per_tenant: { must: 128, goal: 64 },
    hot_bytes_per_tenant: { must: 1500, goal: 800 },
    light_tenant_p99_ratio: { must: 1.2, goal: 1.05 },
    light_tenant_p99_ratio_general: { must: 1.2, goal: 1.05 },
    light_tenant_refused: { must: 0, goal: 0 },
  },
  async run({ quick, progress }) {
    progress('decisions');
    // First: what has run alone before is compiled for both.
    const inFleet = measureDecision(quick ? 10 : 50, 20_000, 20);
    const decision = measureDecision(quick ? 10 : 50, 20_000);
    // Far beyond what they may have: nearly all are refused.
    const refusal = measureDecision(quick ? 10 : 50, 2_000_000_000);
    progress('memory of 10,000 tenants');
    const memory = await measureMemory();
    progress('a simulated fleet of 50');
    const cpuShare = await measureCpuShare();
    const rounds = quick ? 2 : 6;
    progress(`the fast engine, ${rounds} pairs of rounds`);
    const fast = await measureNeighbours(FIXED, rounds);
    progress('the general engine');
    const general = await measureNeighbours({ ...FIXED, 'wire.fastPath': 'false' }, rounds);
    progress('the limit learned');
    const learned = await measureNeighbours(LEARNED, rounds);
    progress('without admission');
    const without = await measureNeighbours({ 'admission.enabled': 'false' }, rounds);
    return {
      decision_ns: decision.ns,
      decision_alloc_bytes: decision.bytes,
      decision_fleet_ns: inFleet.ns,
      decision_fleet_alloc_bytes: inFleet.bytes,
      refusal_ns: refusal.ns,
      refusal_alloc_bytes: refusal.bytes,
      idle_bytes_per_tenant: memory.idle,
      idle_bytes_plain: memory.idlePlain,
      hot_bytes_per_tenant: memory.hot,
      cpu_share_10k_rows: cpuShare,
      light_tenant_p99_ratio: fast.ratio,
      light_tenant_p99_ratio_general: general.ratio,
      light_tenant_refused: fast.refused + general.refused,
      light_tenant_p99_alone_ms: fast.aloneMs,
      light_tenant_p99_ms: fast.besideMs,
      heavy_tenant_per_sec: fast.heavyPerSec,
      learned_p99_ratio: learned.ratio,
      learned_refused: learned.refused,
      without_p99_ratio: without.ratio,
    };
  },
};
