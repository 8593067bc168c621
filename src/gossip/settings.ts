/** The figures of the protocol, each with where it comes from. All times in ms. */

export interface GossipSettings {
  /** Between two exchanges of rows while anything changes. 200: memberlist GossipInterval. */
  readonly exchangeMs: number;
  /** The same while nothing changes. */
  readonly idleExchangeMs: number;
  /** How long a change keeps exchanges fast. Ten turns: a change of 1,000 members is everywhere after about six. */
  readonly activeMs: number;
  /** Peers an exchange goes to. 2: with answers a row reaches about four a turn. */
  readonly fanOut: number;
  /** Frames of rows one turn sends one peer. 3 × 1,200 B, or a burst would fill the peer's socket. */
  readonly framesPerTurn: number;
  /** Of a frame each origin gets an equal part, and at least so many bytes. */
  readonly partBytesMin: number;
  /** Before an exchange that `nudge` starts, since the last one. */
  readonly nudgeMs: number;
  /** How long a nudge makes exchanges very fast, everywhere. Six turns: it is heard by thousands. At most 1,270. */
  readonly urgentMs: number;
  /** Between two exchanges then. */
  readonly urgentExchangeMs: number;
  /** Between two probes. 500: half of memberlist's, for an exchange without an answer brings a probe forward anyway. */
  readonly probeMs: number;
  /** Bounds of three round trips, after which a direct probe is late. 500: memberlist ProbeTimeout. */
  readonly probeTimeoutMinMs: number;
  readonly probeTimeoutMaxMs: number;
  /** After which a probe failed on every way. 300 ms remain for the indirect ways when the direct one took its longest. */
  readonly probeDeadlineMs: number;
  /** Others asked to probe. 3: memberlist IndirectChecks. */
  readonly mediators: number;
  /** T of the suspicion time 4·log10(N)·T. 250: 1.7 s at 50 members, so a crash is known within 4 s. */
  readonly suspicionMs: number;
  /** How long the dead and the left are remembered, so that no late word brings them back. */
  readonly keepMs: number;
  /** Between two exchanges of full state with a random peer. 30 s: memberlist PushPullInterval. */
  readonly syncMs: number;
  /** Between two looks at the seeds, for ever (mimir#16254: who looks once is lost once evicted). */
  readonly seedsMs: number;
  /** Of the first look again while alone; doubles up to `seedsMs`. */
  readonly aloneMs: number;
  /** No peer heard for so long: isolated. */
  readonly isolatedMs: number;
  /** The most that `leave` waits. */
  readonly leaveMs: number;
  /** Bytes of frames a second, UDP and headers not counted; beyond, row frames are dropped, probes never. */
  readonly egressBytesPerSec: number;
  /** What of the above is otherwise for cold rows. */
  readonly cold: Partial<GossipSettings>;
}

export const DEFAULT_SETTINGS: GossipSettings = {
  exchangeMs: 200,
  idleExchangeMs: 1000,
  activeMs: 2000,
  fanOut: 2,
  framesPerTurn: 3,
  partBytesMin: 64,
  nudgeMs: 20,
  urgentMs: 300,
  urgentExchangeMs: 50,
  probeMs: 500,
  probeTimeoutMinMs: 100,
  probeTimeoutMaxMs: 500,
  probeDeadlineMs: 800,
  mediators: 3,
  suspicionMs: 250,
  keepMs: 60_000,
  syncMs: 30_000,
  seedsMs: 30_000,
  aloneMs: 1000,
  isolatedMs: 10_000,
  leaveMs: 1000,
  egressBytesPerSec: 256 * 1024,
  // At the most 60 kB/s in and as much out. One peer a turn and long parts: what is much should come once, and with few heads.
  cold: { exchangeMs: 200, idleExchangeMs: 2000, fanOut: 1, framesPerTurn: 5, partBytesMin: 300 },
};

/** Members that are known at once, the dead included: 4,096. Who comes beyond is not taken in; slots index the arrays of the delegate. */
export const MEMBERS_MAX = 4096;
