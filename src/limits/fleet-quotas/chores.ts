/** Long work in slices: a step is what a generator does until it yields, and a turn of the loop takes so many. */

/** A step is a row or a window that is looked at: a turn is less than a millisecond. */
const TURN_STEPS = 400;

export class Chores {
  /** What is under way, by name. */
  readonly #running = new Map<string, Iterator<void>>();

  get isBehind(): boolean {
    return this.#running.size > 0;
  }

  /** Begins it, unless it is under way. */
  begin(name: string, work: () => Iterator<void>): void {
    if (!this.#running.has(name)) this.#running.set(name, work());
  }

  /** Takes steps of all that was begun, of each as many. */
  turn(steps: number = TURN_STEPS): void {
    const each = Math.ceil(steps / Math.max(1, this.#running.size));
    for (const [name, work] of this.#running) if (isDone(work, each)) this.#running.delete(name);
  }

  /** Takes all steps of one. */
  finish(name: string): void {
    const work = this.#running.get(name);
    if (work !== undefined) isDone(work, Number.POSITIVE_INFINITY);
    this.#running.delete(name);
  }
}

/** Takes so many steps. */
function isDone(work: Iterator<void>, steps: number): boolean {
  for (let step = 0; step < steps; step++) if (work.next().done === true) return true;
  return false;
}
