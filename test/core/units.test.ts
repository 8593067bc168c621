import t from 'tap';
import {
  parseByteRatePerSec,
  parseDurationMs,
  parseNumber,
  parsePercent,
  parseRatePerSec,
  parseSizeBytes,
} from '../../src/core/index.ts';

t.test('every unit of the configuration reads as written', async (t) => {
  t.equal(parseRatePerSec('200/s'), 200);
  t.equal(parseRatePerSec('90/min'), 1.5);
  t.equal(parseRatePerSec('3_600/h'), 1);
  t.equal(parseRatePerSec('86400/d'), 1);
  t.equal(parseByteRatePerSec('20MiB/s'), 20 * 2 ** 20);
  t.equal(parseSizeBytes('10KiB'), 10_240);
  t.equal(parseSizeBytes('1GB'), 1e9);
  t.equal(parseSizeBytes('5B'), 5);
  t.equal(parseDurationMs('250ms'), 250);
  t.equal(parseDurationMs('1.5s'), 1500);
  t.equal(parseDurationMs('2m'), 120_000);
  t.equal(parseDurationMs('2min'), 120_000);
  t.equal(parseDurationMs('30d'), 30 * 86_400_000);
  t.equal(parsePercent('20%'), 0.2);
  t.equal(parseNumber('5_000_000'), 5_000_000);
});

t.test('units are never implied', async (t) => {
  for (const text of [
    '200',
    '',
    '200 /s',
    '-1/s',
    '1__0/s',
    '_1/s',
    '1/fortnight',
    'a/s',
    '/s',
    'NaN/s',
    'Infinity/s',
    '1e3/s',
  ]) {
    t.equal(parseRatePerSec(text), undefined, `rate ${JSON.stringify(text)}`);
  }
  for (const text of ['10', '10 KiB', '10kib', '-1B', 'B']) t.equal(parseSizeBytes(text), undefined, `size ${text}`);
  for (const text of ['10', '10 s', '10S', '-1s', 's']) t.equal(parseDurationMs(text), undefined, `duration ${text}`);
  for (const text of ['20', '%', '-1%', '2 %']) t.equal(parsePercent(text), undefined, `percentage ${text}`);
  for (const text of ['', '0x10', '1e3', '--1']) t.equal(parseNumber(text), undefined, `number ${text}`);
  t.equal(parseByteRatePerSec('20/s'), undefined, 'bytes need their unit');
});
