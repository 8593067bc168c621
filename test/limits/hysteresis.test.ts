/** What lasts, and what does not. */
import fc from 'fast-check';
import t from 'tap';
import { Hysteresis } from '../../src/limits/hysteresis.ts';

const of = (slots: number): Hysteresis => {
  const made = new Hysteresis();
  made.grow(slots);
  return made;
};
const markEach = (h: Hysteresis, slot: number, from: number, to: number, everyMs: number): void => {
  for (let now = from; now <= to; now += everyMs) h.mark(slot, now);
};

t.test('on after a second, off five after the last mark; a clock may begin anywhere', async (t) => {
  for (const began of [0, 700, 1e9, 2 ** 32 - 500]) {
    const h = of(2);
    markEach(h, 1, began, began + 999, 0.25);
    t.notOk(h.isOn(1, began + 999));
    h.mark(1, began + 1000);
    t.ok(h.isOn(1, began + 1000), `${began}`);
    t.ok(h.isOn(1, began + 5999));
    t.notOk(h.isOn(1, began + 6000));
    t.notOk(h.isOn(0, began + 1000), 'nobody else');
  }
});

t.test('a second without a mark, and it begins anew; not while it is on', async (t) => {
  const h = of(1);
  markEach(h, 0, 0, 900, 100);
  h.mark(0, 1901);
  h.mark(0, 2800);
  t.notOk(h.isOn(0, 2800));
  h.mark(0, 2901);
  t.ok(h.isOn(0, 2901));
  h.mark(0, 7900);
  t.ok(h.isOn(0, 12_899), 'five seconds from the last');
  h.mark(0, 12_900);
  t.notOk(h.isOn(0, 12_900));
});

t.test('it holds for whoever is there when it grows, and goes with who goes; a clock set back ends it', async (t) => {
  const h = of(1);
  h.forget(0);
  t.notOk(h.isOn(0, 0), 'nothing was ever marked');
  markEach(h, 0, 0, 1000, 500);
  h.grow(3);
  markEach(h, 2, 0, 1000, 500);
  t.ok(h.isOn(0, 1000) && h.isOn(2, 1000));
  h.forget(0);
  t.notOk(h.isOn(0, 1000));
  h.mark(0, 1500);
  t.notOk(h.isOn(0, 1500));
  t.notOk(h.isOn(2, 999));
});

t.test('it is what a list of all marks says', async (t) => {
  const gaps = fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 400 }) },
    { weight: 1, arbitrary: fc.integer({ min: 900, max: 1100 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 6000 }) },
  );
  let on = 0;
  fc.assert(
    fc.property(fc.array(gaps, { minLength: 20, maxLength: 60 }), (all) => {
      const h = of(1);
      const marks: number[] = [];
      let now = 0;
      return all.every((gap, at) => {
        now += gap;
        const isOn = says(marks, now);
        if (isOn) on++;
        const isSame = h.isOn(0, now) === isOn;
        if (at % 3 !== 2) marks.push(now);
        if (at % 3 !== 2) h.mark(0, now);
        return isSame;
      });
    }),
    { seed: 42, numRuns: 500 },
  );
  t.ok(on > 1000, `on at ${on} looks, seed 42`);
});

/** Goes through them from the first. */
function says(marks: readonly number[], now: number): boolean {
  let began = 0;
  let isOn = false;
  marks.forEach((at, index) => {
    const gap = at - (marks[index - 1] ?? Number.NEGATIVE_INFINITY);
    if (gap > 1000 && !(isOn && gap < 5000)) began = at;
    isOn = at - began >= 1000;
  });
  return isOn && now - (marks.at(-1) as number) < 5000;
}
