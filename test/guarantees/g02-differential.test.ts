/**
 * G2: the byte readers of the fast engine and node's parser with the gate read the same bytes in the same way. 25,000 requests and
 * 25,000 responses made from the grammar and damaged, and the payloads of G1; what ours call sound, the other must read alike: fields,
 * host, framing, body, the place of the next message, and what our writer makes of it. `npm run fuzz` does any number of others.
 */
import t from 'tap';
import { fuzz, fuzzRequests, fuzzResponses, tally } from '../helpers/differential.ts';
import { payloads } from '../helpers/smuggling.ts';

const CASES = 25_000;
const SEED = 20_261_125;

t.test('no damaged request or response is read in two ways', async (t) => {
  const [requests, responses] = [tally(), tally()];
  await fuzz({ seed: SEED, from: 0, to: CASES, isResponses: false }, requests);
  await fuzz({ seed: SEED, from: 0, to: CASES, isResponses: true }, responses);
  for (const sum of [requests, responses]) {
    t.same(sum.disagreements.slice(0, 10), []);
    t.equal(sum.cases, CASES);
    t.ok(sum.sound > CASES / 5, `${sum.sound} messages were sound: the comparison is not empty`);
    t.ok(sum.others > CASES / 5, `${sum.others} were not: the damage does something`);
  }
  const disagreements = requests.disagreements.length + responses.disagreements.length;
  t.comment(`G02 differential fuzz: ${disagreements} disagreements in ${2 * CASES} cases, seed ${SEED}`);
});

t.test('no payload of the smuggling corpus is read in two ways', async (t) => {
  const sum = tally();
  const cases = payloads().map(({ bytes }) => Buffer.from(bytes('Authorization: Bearer a.b.c'), 'latin1'));
  await fuzzRequests(cases, sum);
  t.same(sum.disagreements, []);
  t.ok(sum.others > cases.length / 2, `${sum.others} of ${cases.length} are handed over`);
});

t.test('the comparison finds a difference where there is one', async (t) => {
  const wire = (text: string): Buffer => Buffer.from(text, 'latin1');
  const replacing = (what: string, by: string) => (bytes: Buffer) => wire(bytes.toString('latin1').replace(what, by));
  const request = wire('POST /a?b HTTP/1.1\r\nHost: a:80\r\nX: 1\r\nContent-Length: 5\r\n\r\nhello');
  // As if we had read the first while node, the gate or the next hop read the second.
  for (const [ours, nodes] of [
    ['POST', 'PUT'],
    ['/a?b', '/a?c'],
    ['a:80', 'b:80'],
    ['a:80', 'a,b'],
    ['X: 1', 'X: 2'],
    ['X: 1', 'x: 1'],
    ['X: 1', 'X: 1\r\nX: 1'],
    ['X: 1', 'Connection: x-tenant-id'],
    ['Length: 5', 'Length: 4'],
    ['Length: 5', 'Length: 6'],
    ['Content-Length: 5', 'Transfer-Encoding: chunked'],
    ['hello', 'hallo'],
    ['hello', 'hell'],
  ] as const) {
    const sum = tally();
    await fuzzRequests([request], sum, replacing(ours, nodes));
    t.ok(sum.disagreements.length > 0, `${ours} for ${nodes}`);
  }
  const response = wire('HTTP/1.1 200 OK\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nY: 2\r\n\r\n');
  for (const [ours, nodes] of [
    ['200', '201'],
    ['1.1', '1.0'],
    ['X: 1', 'X: 2'],
    ['X: 1', 'Connection: close'],
    ['hello', 'hallo'],
    ['0\r\n', '1\r\n'],
    ['Y: 2', 'Y: 3'],
    ['Y: 2\r\n', ''],
    ['Transfer-Encoding: chunked', 'Content-Length: 5'],
    ['HTTP/1.1 200 OK', 'HTTP/1.1 204 OK'],
  ] as const) {
    const sum = tally();
    await fuzzResponses([response], ['GET'], sum, replacing(ours, nodes));
    t.ok(sum.disagreements.length > 0, `${ours} for ${nodes}`);
  }
});

t.test('being stricter is no disagreement', async (t) => {
  const sum = tally();
  const body = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a="b"\r\nx\r\n0\r\n\r\n';
  await fuzzResponses([Buffer.from(body)], ['GET'], sum);
  t.same([sum.stricter, sum.disagreements], [1, []]);
});
