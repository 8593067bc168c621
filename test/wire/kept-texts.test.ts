import t from 'tap';
import { KeptTexts } from '../../src/wire/kept-texts.ts';

const lower = (): { texts: KeptTexts; made: string[] } => {
  const made: string[] = [];
  const texts = new KeptTexts((bytes) => {
    made.push(bytes.toString('latin1'));
    return bytes.toString('latin1').toLowerCase();
  });
  return { texts, made };
};

t.test('a text is made once, and is that of its bytes wherever they lie', async (t) => {
  const { texts, made } = lower();
  for (const around of ['Host: ', '', 'x']) {
    const bytes = Buffer.from(`${around}Shop.example\r\n`);
    t.equal(texts.of(bytes, around.length, around.length + 12), 'shop.example');
  }
  t.same(made, ['Shop.example']);
});

t.test('of two texts in one slot each is its own, also when the bytes they were made of are overwritten', async (t) => {
  const { texts, made } = lower();
  // The same length, first, middle and last byte.
  const [one, two] = [Buffer.from('acme-a.example'), Buffer.from('acme-b.example')];
  for (let i = 0; i < 2; i++) {
    t.equal(texts.of(one, 0, 14), 'acme-a.example');
    t.equal(texts.of(two, 0, 14), 'acme-b.example');
  }
  t.equal(made.length, 4, 'they push each other out');
  const shared = Buffer.from('globex.example');
  t.equal(texts.of(shared, 0, 14), 'globex.example');
  shared.write('globey.example');
  t.equal(texts.of(shared, 0, 14), 'globey.example');
});

t.test('what is empty or long is made each time and kept nowhere', async (t) => {
  const { texts, made } = lower();
  const long = Buffer.from('a'.repeat(65));
  for (let i = 0; i < 2; i++) {
    t.equal(texts.of(long, 0, 65), 'a'.repeat(65));
    t.equal(texts.of(long, 3, 3), '');
  }
  t.equal(made.length, 4);
  texts.of(long, 0, 64);
  texts.of(long, 1, 65);
  t.equal(made.length, 5);
});
