/** Requests of tenants whose plan has the rung `stale`, and an application that says what the test tells it to say. */
import type { Admitted, Exchange, Identified, KeptAnswer, Outcome, Verdict } from '../../../src/pipeline/index.ts';
import { HeaderList } from '../../../src/wire/index.ts';
import { exchangeForTest } from '../../pipeline/exchange-for-test.ts';
import { plan, type World, world } from '../world.ts';

export interface Asked {
  readonly x: Exchange;
  readonly verdict: Verdict;
  /** What it was given of an answer from before: status, content and fields. */
  readonly kept: { status: number; content: string; fields: HeaderList } | undefined;
}

export interface Asking {
  readonly method?: string;
  readonly target?: string;
  readonly host?: string;
  readonly port?: number;
  readonly headers?: readonly string[];
  readonly source?: 'jwt' | 'apiKey' | 'header' | 'host' | 'path';
  readonly isWhole?: boolean;
}

export interface Answering {
  readonly status?: number;
  readonly headers?: readonly string[];
  readonly content?: string | Buffer;
  readonly outcome?: Outcome;
  /** The head of the answer came before all of the request was sent. */
  readonly isEarly?: boolean;
  /** Until then. */
  readonly tookMs?: number;
  /** Before its end. */
  readonly meanwhile?: () => void;
}

export interface StaleWorld extends World {
  /** A request, answered by the application when it is let through, and ended. */
  pass(name: string, asking?: Asking, answering?: Answering): Asked;
  /** A request of a tenant that is over its limit. */
  over(name: string, asking?: Asking): Asked;
  value(metric: string): Promise<number>;
}

export const PLAN: string = plan('free', {
  rate: { requests: { limit: '1/s', burst: 1 } },
  degrade: [{ stale: '60s' }, 'reject'],
});

export async function staleWorld(plans: string = PLAN, tenants?: string, routes = ''): Promise<StaleWorld> {
  const w = await world(plans, tenants, routes);
  const spentAt = new Map<string, number>();
  const ask = (name: string, o: Asking, answering: Answering): Asked => {
    const target = o.target ?? '/';
    spentAt.set(name, w.clock.now());
    const x = exchangeForTest({
      snapshot: w.snapshot,
      method: o.method ?? 'GET',
      target,
      path: target,
      headers: new HeaderList([...(o.headers ?? [])]),
      ...(o.host === undefined ? {} : { host: o.host }),
      ...(o.port === undefined ? {} : { port: o.port }),
      isWhole: o.isWhole ?? true,
      route: w.snapshot.routes.find(({ path }) => path.text === target),
    });
    x.tenant = w.tenant(name);
    x.source = o.source ?? 'host';
    const verdict = w.limits.filter.onRequest?.(x as Identified) as Verdict;
    if (verdict === undefined) answer(x, answering);
    const given = verdict !== undefined && 'content' in verdict ? verdict : undefined;
    const kept = given && givenOf(x, given);
    if (verdict !== undefined) w.limits.filter.onDone?.(x as Admitted, { kind: 'kept', status: 200 });
    return { x, verdict, kept };
  };
  const givenOf = (x: Exchange, { status, fields, content }: KeptAnswer): NonNullable<Asked['kept']> => {
    const headers = new HeaderList(fields);
    w.limits.filter.onResponse?.(x as Admitted, { status, headers });
    return { status, content: content.toString(), fields: headers };
  };
  const answer = (
    x: Exchange,
    { status = 200, headers = [], content = 'content', outcome, meanwhile, isEarly, tookMs = 0 }: Answering,
  ): void => {
    if (isEarly !== true) x.sentAt = w.clock.now();
    w.clock.advance(tookMs);
    x.headAt = w.clock.now();
    w.limits.filter.onResponse?.(x as Admitted, { status, headers: new HeaderList([...headers]) });
    const bytes = Buffer.from(content);
    for (let at = 0; at < bytes.length; at += 1000) x.copy?.add(bytes, at, Math.min(at + 1000, bytes.length));
    meanwhile?.();
    w.limits.filter.onDone?.(x as Admitted, outcome ?? { kind: 'forwarded', status });
  };
  return Object.assign(w, {
    pass: (name: string, asking: Asking = {}, answering: Answering = {}) => {
      // It may have one, and what was copied before is copied again.
      w.clock.advance(1001);
      return ask(name, asking, answering);
    },
    over: (name: string, asking: Asking = {}) => {
      // What came back since is spent.
      if (spentAt.get(name) !== w.clock.now()) ask(name, { target: '/burn', isWhole: false }, { status: 500 });
      return ask(name, asking, { status: 500 });
    },
    async value(metric: string) {
      let text = '';
      for await (const chunk of w.metrics.exposition()) text += chunk;
      return Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${metric} `))
          ?.slice(metric.length) ?? 0,
      );
    },
  });
}
