import t from 'tap';
import { RefusalSample } from '../../src/proxy/refusal-sample.ts';

const CODE = 3;

t.test('of a kind the first ten of a second are written, and of the rest a share', (t) => {
  const thrown = [0.05, 0.5, 0.9];
  const sample = new RefusalSample({ float: () => thrown.shift() ?? 1 } as never, 0.1);
  const ask = (who: number, times: number, wallMs: number, code = CODE): number =>
    Array.from({ length: times }, () => sample.isWritten(who, code, wallMs)).filter((is) => is).length;
  t.equal(ask(7, 13, 1000), 11, 'ten, and of three one by chance');
  t.equal(ask(7, 5, 1999), 0, 'the second is not over');
  t.equal(ask(8, 12, 1500), 10, 'another tenant is heard beside it');
  t.equal(ask(7, 12, 1500, CODE + 1), 10, 'and so is another code');
  t.equal(ask(7, 12, 2000), 10, 'a second later');
  t.end();
});

t.test('whoever else is refused in the same second hides nobody', (t) => {
  const sample = new RefusalSample({ float: () => 1 } as never, 0.1);
  for (let who = 0; who < 1000; who++) for (let time = 0; time < 20; time++) sample.isWritten(who, CODE, 1000);
  const written = Array.from({ length: 500 }, (_, who) => sample.isWritten(100_000 + who, CODE, 1000));
  t.ok(
    written.every((is) => is),
    'each of 500 more has its line',
  );
  for (let who = 0; who < 20_000; who++) sample.isWritten(who, CODE, 2000);
  t.notOk(sample.isWritten(30_000, CODE, 2000), 'when all places are taken it is left to chance');
  t.ok(sample.isWritten(30_000, CODE, 3000), 'for that second');
  t.end();
});
