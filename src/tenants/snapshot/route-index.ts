// hot path
/**
 * Routes found by a request's path in as many steps as the path has segments that routes know of, however many routes there are:
 *
 *   exact:   path ─▶ choice
 *   prefix:  / ─▶ exports/ ─▶ 2024/     one node a segment; the deepest one passed that has a choice for the method wins
 *
 * A choice is made by method: a route that names it before one for every method. The order is that of `sortRoutes`.
 */
import type { Route, RouteLookup } from '../model.ts';

interface Choice {
  readonly byMethod: Map<string, Route>;
  ofEvery: Route | undefined;
}

interface Node extends Choice {
  readonly children: Map<string, Node>;
}

export class RouteIndex implements RouteLookup {
  readonly #exact = new Map<string, Choice>();
  readonly #root: Node = node();

  /** `routes`: most specific first; of two that are alike the first one is found. */
  constructor(routes: readonly Route[]) {
    for (const route of routes) add(route, route.path.kind === 'exact' ? this.#exactAt(route) : this.#prefixAt(route));
  }

  find(method: string, path: string): Route | undefined {
    const exact = this.#exact.get(path);
    return (exact && choose(exact, method)) ?? this.#longest(method, path);
  }

  #longest(method: string, path: string): Route | undefined {
    if (path.charCodeAt(0) !== SLASH) return undefined;
    let at: Node | undefined = this.#root;
    let found: Route | undefined;
    let from = 1;
    while (at !== undefined) {
      found = choose(at, method) ?? found;
      const end = at.children.size === 0 ? -1 : path.indexOf('/', from);
      if (end === -1) break;
      at = at.children.get(path.slice(from, end));
      from = end + 1;
    }
    return found;
  }

  #exactAt({ path: { text } }: Route): Choice {
    const known = this.#exact.get(text) ?? { byMethod: new Map(), ofEvery: undefined };
    this.#exact.set(text, known);
    return known;
  }

  /** A prefix begins and ends with a slash. */
  #prefixAt({ path: { text } }: Route): Choice {
    let at = this.#root;
    for (const segment of text.split('/').slice(1, -1)) {
      const child = at.children.get(segment) ?? node();
      at.children.set(segment, child);
      at = child;
    }
    return at;
  }
}

const SLASH = 47;

function node(): Node {
  return { byMethod: new Map(), ofEvery: undefined, children: new Map() };
}

function add(route: Route, choice: Choice): void {
  if (route.methods === undefined) choice.ofEvery ??= route;
  else for (const method of route.methods) if (!choice.byMethod.has(method)) choice.byMethod.set(method, route);
}

function choose({ byMethod, ofEvery }: Choice, method: string): Route | undefined {
  return byMethod.size === 0 ? ofEvery : (byMethod.get(method) ?? ofEvery);
}
