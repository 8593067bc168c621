/** Where the first peers are found. */
import { createSocket } from 'node:dgram';
import { getServers, setServers } from 'node:dns';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { formatAddress, parseAddress } from '../../src/gossip/address.ts';
import { type Resolver, systemResolver } from '../../src/gossip/dns-seeds.ts';
import { dnsSeeds, fileSeeds, type Seeds, staticSeeds } from '../../src/gossip/index.ts';
import { seedsText } from '../../src/gossip/seeds.ts';

type Found = readonly string[] | undefined;
const look = (seeds: Seeds): Promise<Found> => new Promise((resolve) => seeds.look(resolve));
/** Why there is no answer. */
const why = (seeds: Seeds): Promise<string | undefined> =>
  new Promise((resolve) => seeds.look((found, cause) => resolve(found === undefined ? cause : 'there is one')));

t.test('addresses are written and read', async (t) => {
  t.equal(formatAddress('::ffff:10.0.0.1', 80), '10.0.0.1:80');
  t.equal(formatAddress('fd00::1', 80), '[fd00::1]:80');
  t.equal(formatAddress('pod', 80), 'pod:80');
  t.same(parseAddress('[fd00::1]:80'), { host: 'fd00::1', port: 80 });
  t.same(parseAddress('pod.local:7946'), { host: 'pod.local', port: 7946 });
  for (const wrong of ['', 'pod', ':80', 'pod:', 'pod:0', 'pod:65536', 'pod:8x', 'pod:-1'])
    t.equal(parseAddress(wrong), undefined);
});

t.test('a static list is what it was, and no more than can be known', async (t) => {
  t.same(await look(staticSeeds(['a:1'])), ['a:1']);
  t.notOk(staticSeeds(['a:1']).isComplete);
  t.ok(staticSeeds([], true).isComplete);
  t.equal((await look(staticSeeds(Array(5000).fill('a:1'))))?.length, 4096);
});

t.test('people are told what is asked, and of a long list five', async (t) => {
  const list = Array.from({ length: 8 }, (_, at) => `10.0.0.${at}:7946`);
  t.equal(seedsText(staticSeeds(list.slice(0, 5))), list.slice(0, 5).join(', '));
  t.equal(seedsText(staticSeeds(list)), `${list.slice(0, 5).join(', ')} and 3 more`);
  t.equal(seedsText(dnsSeeds('svc:7946')), 'svc:7946');
  t.equal(seedsText(dnsSeeds('_all')), '_all');
  t.equal(seedsText(fileSeeds('/etc/seeds')), '/etc/seeds');
  t.equal(seedsText({ isComplete: true, look: (done) => done([]) }), '');
});

t.test('DNS names a port for all, or SRV records each with its own; a part of an answer is none', async (t) => {
  const hosts: Record<string, readonly string[]> = {
    svc: ['10.0.0.1', 'fd00::1'],
    a: ['10.0.0.2'],
    b: ['10.0.0.1'],
    none: [],
  };
  const services: Record<string, { name: string; port: number }[]> = {
    _all: [
      { name: 'a', port: 1 },
      { name: 'b', port: 2 },
    ],
    _part: [
      { name: 'a', port: 1 },
      { name: 'gone', port: 2 },
    ],
    _none: [],
  };
  const resolver: Resolver = {
    addresses: (host, done) => done(hosts[host], `ENOTFOUND ${host}`),
    services: (name, done) => done(services[name], `ESERVFAIL ${name}`),
  };
  const ask = (name: string): Promise<Found> => look(dnsSeeds(name, resolver));
  t.same(await ask('svc:7946'), ['10.0.0.1:7946', '[fd00::1]:7946']);
  t.equal(await ask('none:7946'), undefined);
  t.equal(await ask('gone:7946'), undefined);
  t.same(await ask('_all'), ['10.0.0.1:2', '10.0.0.2:1']);
  for (const name of ['_part', '_none', '_gone']) t.equal(await ask(name), undefined, name);
  const causes = {
    'none:7946': 'none has no addresses',
    'gone:7946': 'ENOTFOUND gone',
    _part: 'ENOTFOUND gone',
    _none: '_none has no SRV records',
    _gone: 'ESERVFAIL _gone',
  };
  for (const [name, cause] of Object.entries(causes)) t.equal(await why(dnsSeeds(name, resolver)), cause);
  t.throws(() => dnsSeeds('svc'), { message: 'seeds by DNS need host:port or a name of SRV records, got svc' });
  t.ok(dnsSeeds('svc:1').isComplete && dnsSeeds('_svc').isComplete);
});

t.test('the system resolver answers, or says that it could not', async (t) => {
  t.ok((await look(dnsSeeds('localhost:1')))?.some((each) => each === '127.0.0.1:1' || each === '[::1]:1'));
  t.match(await why(dnsSeeds('nowhere.invalid:1')), /^getaddrinfo E\w+ nowhere\.invalid$/);
  // A name that no server is asked for: the answer is an error whatever the network.
  t.match(await why(dnsSeeds('_x.nowhere.invalid')), /^querySrv E\w+ _x\.nowhere\.invalid$/);
});

/** A server that says of `_x.svc` that it is served by two, and of nothing else anything. Its address. */
async function nameServer(t: Test): Promise<string> {
  const server = createSocket('udp4').bind(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  server.on('message', (query, { address, port }) => server.send(answerOf(query), port, address));
  return `127.0.0.1:${server.address().port}`;
}

/** RFC 1035 §4.1: the question, and behind it two records of RFC 2782 or the code of a name that does not exist. */
function answerOf(query: Buffer): Buffer {
  const question = query.subarray(12, query.indexOf(0, 12) + 5);
  const isKnown = question.includes(labels('_x', 'svc'));
  const head = Buffer.from(query.subarray(0, 12));
  head.writeUInt16BE(isKnown ? 0x8180 : 0x8183, 2);
  for (const [at, count] of [1, isKnown ? 2 : 0, 0, 0].entries()) head.writeUInt16BE(count, 4 + 2 * at);
  const services = [service('a', 7), service('b', 8)];
  return Buffer.concat([head, question, ...(isKnown ? services : [])]);
}

/** The question's name, SRV, IN, a second; priority and weight 0, the port, the host. */
function service(host: string, port: number): Buffer {
  const fixed = Buffer.from([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, port]);
  const target = labels(host, 'svc');
  fixed.writeUInt16BE(6 + target.length, 10);
  return Buffer.concat([fixed, target]);
}

function labels(...names: string[]): Buffer {
  return Buffer.concat([...names.map((name) => Buffer.from([name.length, ...Buffer.from(name)])), Buffer.of(0)]);
}

t.test('a name server that is asked for SRV records is understood', async (t) => {
  const ask = (servers: readonly string[]): void => {
    setServers(servers);
    // What was imported by name is of the servers before otherwise.
    syncBuiltinESMExports();
  };
  const before = getServers();
  t.teardown(() => ask(before));
  ask([await nameServer(t)]);
  const services = (name: string): Promise<unknown> => new Promise((resolve) => systemResolver.services(name, resolve));
  t.match(await services('_x.svc'), [
    { name: 'a.svc', port: 7 },
    { name: 'b.svc', port: 8 },
  ]);
  t.equal(await services('_y.svc'), undefined);
});

t.test('a file names one address a line, read anew with each look', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'reeve-seeds-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'seeds');
  const seeds = fileSeeds(path);
  t.ok(seeds.isComplete);
  t.equal(await look(seeds), undefined, 'no file');
  t.match(await why(seeds), /^ENOENT: .*seeds'$/);
  writeFileSync(path, '# ours\n10.0.0.1:7946\n\n  pod:1  # second\n');
  t.same(await look(seeds), ['10.0.0.1:7946', 'pod:1']);
  writeFileSync(path, '');
  t.equal(await look(seeds), undefined, 'a file that is being written names nobody');
  t.equal(await why(seeds), 'the file names nobody');
  writeFileSync(path, '10.0.0.1:7946\n10.0.0.');
  t.equal(await look(seeds), undefined, 'half a line');
  writeFileSync(path, '# ours\n\n10.0.0.1:7946\nkey: of somebody\n');
  t.equal(await why(seeds), 'line 4 is no address', 'and not what stands in it');
});
