/** What people write for an amount or a zone, and what they are told to write. */
import t from 'tap';
import { parseOne } from '../../src/tenants/documents/parse.ts';
import { document, plan, tenant } from '../helpers/tenancy.ts';

const remedyOf = (text: string): string | undefined => {
  const parsed = parseOne(text.replace('\n---\n', ''));
  return parsed.isGood ? 'good' : parsed.problems[0]?.remedy;
};
const limited = (limit: unknown): string | undefined => remedyOf(plan('p', { rate: { requests: { limit } } }));
const egress = (limit: unknown): string | undefined => remedyOf(plan('p', { rate: { egress: { limit } } }));
const quota = (limit: unknown): string | undefined => remedyOf(plan('p', { quotas: { tokens: { limit } } }));

t.test('a rate in other words is told as the one it means', async (t) => {
  for (const [text, meant] of [
    ['5 per second', '5/s'],
    ['5/sec', '5/s'],
    ['10 / s', '10/s'],
    ['90 requests per minute', '90/min'],
    ['1000/hour', '1000/h'],
    ['3 a day', '3/d'],
    ['50rps', '50/s'],
    ['40k/s', '40_000/s'],
    ['40k', '40_000/s'],
    ['1.5M per hour', '1_500_000/h'],
    ['1,000/s', '1_000/s'],
    ['20', '20/s'],
    [20, '20/s'],
  ])
    t.equal(limited(text), `did you mean ${meant}?`, String(text));
  for (const text of [
    'fast',
    '1__0 per second',
    '1_ per second',
    '5 per fortnight',
    '5 MiB per second',
    `${'9'.repeat(100)} per second`,
    '1,00/s',
  ])
    t.equal(limited(text), undefined, text);
  t.equal(egress('5 MiB per second'), 'did you mean 5MiB/s?');
  t.equal(egress('5 MB/sec'), 'did you mean 5MB/s?');
  t.equal(egress('5k per second'), undefined, 'of what');
});

t.test('none, and less, is told what to do instead', async (t) => {
  const above = 'choose a rate above 0, such as 1/s';
  for (const none of [0, '0', -5, '-5/s']) t.equal(limited(none), above);
  t.equal(egress(0), 'choose a rate above 0, such as 1MiB/s');
  for (const none of [0, -5, '-5']) t.equal(quota(none), 'choose a quota above 0');
});

t.test('a quota in thousands is told in digits', async (t) => {
  for (const [text, meant] of [
    ['40k', '40_000'],
    ['2.5M', '2_500_000'],
    ['1,000,000', '1_000_000'],
    ['5 000 000', undefined],
    ['many', undefined],
  ])
    t.equal(quota(text), meant && `did you mean ${meant}?`, String(text));
});

t.test('a zone misspelt, or its city alone, is told by its name', async (t) => {
  const zone = (timezone: string): string | undefined => remedyOf(tenant('acme', { timezone }));
  t.equal(zone('Europe/Berlim'), 'did you mean Europe/Berlin?');
  t.equal(zone('berlin'), 'did you mean Europe/Berlin?');
  t.equal(zone('new york'), 'did you mean America/New_York?');
  t.equal(zone('Mars/Olympus'), 'use a name of the IANA time zone database, or UTC');
  t.equal(zone('+01:00'), 'use a name of the IANA time zone database, or UTC');
  t.equal(zone('Europe/Berlin'), 'good');
  const began = process.cpuUsage().user;
  for (let i = 0; i < 3000; i++) remedyOf(document('Tenant', 'a', { plan: 'free', timezone: `Europe/Berlim${i}` }));
  t.ok(process.cpuUsage().user - began < 8e6, 'very many cost no more than a few');
});
