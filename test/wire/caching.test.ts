/** What may be kept of an answer, and to whom it may be given again: RFC 9111, rule by rule. */
import fc from 'fast-check';
import t from 'tap';
import { Directives } from '../../src/wire/cache-control.ts';
import {
  ageOf,
  CacheWish,
  HeaderList,
  isUnchanged,
  type Life,
  lifeOf,
  mayKeepFor,
  variationsOf,
} from '../../src/wire/index.ts';

const head = (...raw: string[]): HeaderList => new HeaderList(raw);
const control = (value: string, ...more: string[]): HeaderList => head('Cache-Control', value, ...more);
const life = (headers: HeaderList, o: { status?: number; isPersonal?: boolean } = {}): Life | undefined =>
  lifeOf(o.status ?? 200, headers, o.isPersonal ?? false);
const UNBOUNDED = Number.POSITIVE_INFINITY;

t.test(
  'directives are read in any case, quoted or not, over several fields, and the first of a name counts',
  async (t) => {
    const says = new Directives(
      head(
        'Cache-Control',
        'No-Cache="X-A, no-store", , MAX-AGE="60"',
        'cache-control',
        'max-age=9,s-maxage=abc, a="q\\"r,',
        'X',
        'y',
      ),
    );
    t.ok(says.has('no-cache'));
    t.notOk(says.has('no-store'), 'a comma in quotes ends nothing');
    t.equal(says.seconds('max-age'), 60);
    t.equal(says.seconds('s-maxage'), 0, 'no number is the cautious one');
    t.ok(says.has('a'), 'quotes that nobody closes');
    t.equal(new Directives(control('max-age=99999999999999999999')).seconds('max-age'), 2 ** 31);
    t.equal(says.seconds('min-fresh'), undefined);
    t.notOk(says.isBare('max-age'));
    t.ok(new Directives(control('max-stale')).isBare('max-stale'));
    t.ok(new Directives(head()).isEmpty);
  },
);

t.test('what must not be kept is not, however it is written', async (t) => {
  const never = [
    ...[
      'no-store',
      'private',
      'no-cache',
      'No-Store',
      'PRIVATE',
      'public, private',
      'private="x-user"',
      'no-cache="a,b"',
    ].map((text) => control(`max-age=60, ${text}`)),
    control('public, max-age=60', 'Set-Cookie', 'a=b'),
    control('public, max-age=60', 'Content-Range', 'bytes 0-1/2'),
    head('Pragma', 'no-cache'),
    // Fresh for no time, and stale for none: of no use.
    control('max-age=0, must-revalidate'),
    control('s-maxage=0'),
    control('must-revalidate'),
  ];
  for (const headers of never) t.equal(life(headers), undefined, headers.raw.join(' '));
  for (const status of [201, 204, 206, 302, 304, 307, 400, 401, 403, 429, 500, 503])
    t.equal(life(control('public, max-age=60'), { status }), undefined, `${status}`);
  for (const status of [200, 203, 300, 301, 308, 404, 410]) t.ok(life(control('max-age=60'), { status }), `${status}`);
  // With Cache-Control, Pragma says nothing.
  t.ok(life(control('max-age=60', 'Pragma', 'no-cache')));
});

t.test('for a user, only what says that others may have it', async (t) => {
  for (const text of ['max-age=60', 'stale-while-revalidate=9', 'immutable'])
    t.equal(life(control(text), { isPersonal: true }), undefined, text);
  t.equal(life(head(), { isPersonal: true }), undefined);
  for (const text of ['public', 'public, max-age=1', 's-maxage=60', 'max-age=60, must-revalidate'])
    t.ok(life(control(text), { isPersonal: true }), text);
});

t.test('how long it is fresh, and how long stale', async (t) => {
  const now = new Date(Math.floor(Date.now() / 1000) * 1000);
  const later = (sec: number): string => new Date(now.getTime() + sec * 1000).toUTCString();
  const expires = (sec: number): string[] => ['Date', now.toUTCString(), 'Expires', later(sec)];
  t.same(life(head()), { freshSec: 0, staleSec: UNBOUNDED });
  t.same(life(control('max-age=60')), { freshSec: 60, staleSec: UNBOUNDED });
  t.same(life(control('max-age=60, s-maxage=9')), { freshSec: 9, staleSec: 0 });
  t.same(life(control('max-age=60, proxy-revalidate')), { freshSec: 60, staleSec: 0 });
  t.same(life(control('max-age=60, must-revalidate, stale-if-error=99')), { freshSec: 60, staleSec: 0 });
  t.same(life(control('max-age=60, stale-if-error=20, stale-while-revalidate=7')), { freshSec: 60, staleSec: 20 });
  t.same(life(control('stale-while-revalidate=7')), { freshSec: 0, staleSec: 7 });
  t.same(life(control('stale-if-error=5')), { freshSec: 0, staleSec: 5 });
  t.equal(life(control('stale-if-error=0')), undefined);
  t.same(life(head(...expires(30))), { freshSec: 30, staleSec: UNBOUNDED });
  t.same(life(control('max-age=1', ...expires(30))), { freshSec: 1, staleSec: UNBOUNDED });
  t.same(life(head(...expires(-30))), { freshSec: 0, staleSec: UNBOUNDED });
  for (const wrong of [head('Expires', '0'), head('Expires', later(9)), head(...expires(9), 'Expires', later(9))])
    t.same(life(wrong), { freshSec: 0, staleSec: UNBOUNDED }, wrong.raw.join(' '));
});

t.test('how old it is when it comes', async (t) => {
  const wall = Date.parse('Thu, 26 Nov 2026 08:00:00 GMT');
  const date = (sec: number): string[] => ['Date', new Date(wall - sec * 1000).toUTCString()];
  t.equal(ageOf(head(), wall, 0.5), 0.5);
  t.equal(ageOf(head('Age', '7'), wall, 0.5), 7.5);
  t.equal(ageOf(head('Age', 'x'), wall, 0), 0);
  t.equal(ageOf(head('Age', '7', ...date(20)), wall, 0), 20, 'by its date');
  t.equal(ageOf(head(...date(-20)), wall, 0), 0, 'a clock that is ahead');
  t.equal(ageOf(head('Date', 'never'), wall, 0), 0);
});

t.test('what a request asks of an answer that was kept', async (t) => {
  const accepts = (headers: HeaderList, ageSec: number, staleSecMax = 60, its: Partial<Life> = {}): boolean =>
    new CacheWish('GET', headers).accepts({ freshSec: 10, staleSec: UNBOUNDED, ...its }, ageSec, staleSecMax);
  t.ok(accepts(head(), 9));
  t.ok(accepts(head(), 70), 'as stale as it may be');
  t.notOk(accepts(head(), 70.1));
  t.notOk(accepts(head(), 10, 60, { staleSec: 0 }), 'stale from its last second on');
  t.ok(accepts(head(), 15, 60, { staleSec: 5 }));
  t.notOk(accepts(head(), 15.1, 60, { staleSec: 5 }));
  for (const headers of [
    control('no-cache'),
    control('No-Cache'),
    head('Pragma', 'no-cache'),
    control('max-age=0'),
    control('max-age=what'),
    control('min-fresh=10'),
    ...['Range', 'If-Range', 'If-Match', 'If-Unmodified-Since'].map((name) => head(name, 'x')),
  ])
    t.notOk(accepts(headers, 1), headers.raw.join(' '));
  t.ok(accepts(control('min-fresh=5'), 4));
  t.notOk(accepts(control('min-fresh=5'), 6));
  t.ok(accepts(control('max-age=20'), 15));
  t.notOk(accepts(control('max-age=20'), 21));
  t.ok(accepts(control('max-stale=5'), 15));
  t.notOk(accepts(control('max-stale=5'), 16), 'it bears less than we would give');
  t.notOk(accepts(control('max-stale=1000'), 71), 'more is not ours to give');
  t.ok(accepts(control('max-stale'), 70));
  t.ok(accepts(control('only-if-cached'), 9));
  t.ok(accepts(control('x', 'Pragma', 'no-cache'), 1));
  for (const method of ['POST', 'OPTIONS', 'DELETE'])
    t.notOk(new CacheWish(method, head()).accepts({ freshSec: 10, staleSec: 0 }, 1, 60), method);
  t.ok(new CacheWish('HEAD', head()).accepts({ freshSec: 10, staleSec: 0 }, 1, 60));
});

t.test('whose answer may be kept', async (t) => {
  t.ok(mayKeepFor('GET', head()));
  t.notOk(mayKeepFor('HEAD', head()));
  t.notOk(mayKeepFor('POST', head()));
  t.notOk(mayKeepFor('GET', control('no-store')));
  t.notOk(mayKeepFor('GET', head('Range', 'bytes=0-1')));
});

t.test('what an answer varies with', async (t) => {
  t.same(variationsOf(head()), []);
  t.same(variationsOf(head('Vary', 'Accept-Language, accept', 'vary', 'ACCEPT')), ['accept', 'accept-language']);
  t.same(variationsOf(head('Vary', 'Host, X-Forwarded-Proto, X-Tenant-Id')), [], 'part of the place anyhow');
  for (const text of [
    '*',
    'accept, *',
    'Authorization',
    'Cookie',
    'x-api-key',
    'X-Forwarded-For',
    'traceparent',
    'no token',
    'X-Tenant-Degrade',
  ])
    t.equal(variationsOf(head('Vary', text)), undefined, text);
});

t.test('a client that has it already need not be sent it', async (t) => {
  const kept = head('ETag', 'W/"a,b"', 'Last-Modified', 'Thu, 26 Nov 2026 08:00:00 GMT');
  const isSame = (...raw: string[]): boolean => isUnchanged(head(...raw), kept);
  t.ok(isSame('If-None-Match', '"x", "a,b"'));
  t.ok(isSame('If-None-Match', 'W/"a,b"'));
  t.ok(isSame('If-None-Match', '*'));
  t.notOk(isSame('If-None-Match', '"a"'));
  t.notOk(isSame('If-None-Match', 'a,b'));
  t.notOk(isSame('If-None-Match', '"x"', 'If-Modified-Since', 'Thu, 26 Nov 2026 08:00:00 GMT'), 'the tag alone counts');
  t.ok(isSame('If-Modified-Since', 'Thu, 26 Nov 2026 08:00:00 GMT'));
  t.notOk(isSame('If-Modified-Since', 'Thu, 26 Nov 2026 07:59:59 GMT'));
  t.notOk(isSame('If-Modified-Since', 'soon'));
  t.notOk(isSame());
  t.notOk(isUnchanged(head('If-None-Match', '"a"'), head()));
  t.notOk(isUnchanged(head('If-None-Match', '""'), head()), 'no tag is no empty one');
  t.notOk(isUnchanged(head('If-Modified-Since', 'Thu, 26 Nov 2026 08:00:00 GMT'), head()));
});

t.test('no text makes a forbidden answer one that may be kept', async (t) => {
  const word: fc.Arbitrary<string> = fc.constantFrom(
    'public',
    'max-age=60',
    's-maxage="9"',
    'immutable',
    'x="a, b"',
    'stale-if-error=5',
    '',
    'y=1',
  );
  const forbidden = fc.constantFrom('no-store', 'private', 'no-cache', 'private="a"', 'no-cache="a, b"');
  const spelled = forbidden.chain((text) =>
    fc
      .array(fc.boolean(), { minLength: text.length, maxLength: text.length })
      .map((ups) => [...text].map((letter, at) => (ups[at] ? letter.toUpperCase() : letter)).join('')),
  );
  const blank = fc.constantFrom('', ' ', '\t', ' \t ');
  fc.assert(
    fc.property(
      fc.array(word, { maxLength: 5 }),
      spelled,
      fc.nat(5),
      blank,
      fc.nat(6),
      (words, no, at, space, split) => {
        const all = words.toSpliced(at, 0, no).map((each) => `${space}${each}${space}`);
        const headers = head(
          'Cache-Control',
          all.slice(0, split).join(','),
          'CACHE-CONTROL',
          all.slice(split).join(','),
        );
        return lifeOf(200, headers, false) === undefined;
      },
    ),
    { seed: 42, numRuns: 2000 },
  );
  t.pass('seed 42');
});
