import t from 'tap';
import { Span } from '../../src/wire/index.ts';

const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');

t.test('a span is a value where it lies', async (t) => {
  const span = new Span();
  t.same([span.length, span.text()], [0, '']);
  span.at(ascii('a: Bearer xé\r\n'), 3, 12);
  t.same([span.length, span.text()], [9, 'Bearer xé']);
  t.same(
    ['Bearer ', 'bearer ', 'Bearer xé!', ''].map((each) => span.startsWith(ascii(each))),
    [true, false, false, true],
  );
  t.same([span.of('é').length, span.text()], [1, 'é']);
});

t.test('optional white space about it is not of it', async (t) => {
  const trimmed = (text: string): string => new Span().of(text).trim().text();
  t.same(['', ' \t ', ' a', 'a\t', '\t a b \t', '\u00a0a\u00a0'].map(trimmed), [
    '',
    '',
    'a',
    'a',
    'a b',
    '\u00a0a\u00a0',
  ]);
});
