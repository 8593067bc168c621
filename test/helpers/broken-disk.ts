/** Whether it is noticed that a disk does one thing less than it should. */

/** What is wrong with the first of 300 histories that shows it; undefined: nobody noticed. */
export async function firstBroken<T extends object, D extends T>(
  runOn: (seed: number, through: (disk: D) => T) => Promise<{ readonly violation: string | undefined }>,
  broken: (disk: D) => Partial<T>,
): Promise<string | undefined> {
  const through = (disk: D): T =>
    new Proxy<T>(disk, {
      get(_target, name) {
        const own = broken(disk)[name as keyof T] ?? disk[name as keyof T];
        return (own as (...args: unknown[]) => unknown).bind(disk);
      },
    });
  for (let seed = 1; seed <= 300; seed++) {
    const { violation } = await runOn(seed, through);
    if (violation !== undefined) return violation;
  }
  return undefined;
}
