/** `reeve run` as it is used beside an editor: the application's code is ours, signals reach it once, settings are what was said. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { freePort } from '../helpers/backends.ts';
import {
  countedEnvironment,
  environment,
  hasTerminal,
  onTerminal,
  reeve,
  reeveProcess,
  terminalEnvironment,
} from '../helpers/command.ts';
import { becomes } from '../helpers/processes.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { COUNTED, REEVE, root } from '../helpers/sidecar.ts';
import { document, makeTenancy } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const PORTS = { REEVE_INBOUND_PORT: '0', REEVE_STATUS_PORT: '0', REEVE_ADMIN_PORT: '0', REEVE_APPLICATION_PORT: '0' };

t.test('the code of the application, also when a signal ended it', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const run = (script: string) => reeve(['run', '--tenancy', dir.dir, '--', process.execPath, '-e', script], PORTS);
  const exited = await run('process.exit(7)');
  t.equal(exited.status, 7);
  t.match(exited.stdout, /the application ended with exit code 7; the sidecar stops\n/);
  const killed = await run("process.kill(process.pid, 'SIGKILL')");
  t.equal(killed.status, 137);
  t.match(killed.stdout, /the application was ended by SIGKILL; the sidecar stops\n/);
});

t.test('the upstream is the one that was said: flag, then variable or boot file, then 8080', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const boot = join(dir.dir, '../boot.yaml');
  writeFileSync(
    boot,
    document('Sidecar', 's', { upstream: 'http://127.0.0.1:7003', tenancy: { dir: 'tenancy' } }).replace('\n---', ''),
  );
  const upstream = async (args: string[], env: Record<string, string> = {}): Promise<string | undefined> =>
    /→ http:\/\/127\.0\.0\.1:(\d+), 2 tenants;/.exec(
      (await reeve(['run', ...args, '--', 'true'], { ...PORTS, ...env })).stdout,
    )?.[1];
  const tenancy = ['--tenancy', dir.dir];
  t.equal(await upstream(tenancy), '8080');
  t.equal(await upstream([...tenancy, '--app-port', '7001']), '7001');
  t.equal(await upstream(tenancy, { REEVE_UPSTREAM: 'http://127.0.0.1:7002' }), '7002');
  t.equal(await upstream([], { REEVE_TENANCY_DIR: dir.dir }), '8080');
  t.equal(await upstream(['--config', boot]), '7003');
  t.equal(await upstream(['--config', boot, '--app-port', '7001']), '7001');
});

t.test('all that the application prints comes out, however fast', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const script = "for (let i = 0; i < 5000; i++) console.log('line', i); console.error('end without a line end')";
  const { stdout, stderr } = reeveProcess(['run', '--tenancy', dir.dir, '--', process.execPath, '-e', script], PORTS);
  t.equal(stdout.match(/^app {3}│ line \d+$/gm)?.length, 5000);
  t.match(stderr, /^app {3}│ end without/m);
});

/** Counts the signals it gets, and ends a moment after the first with that number. */
const COUNTING =
  'let n=0;for(const s of ["SIGINT","SIGTERM"])process.on(s,()=>{if(n++===0)setTimeout(()=>process.exit(n),300)});setInterval(()=>{},1000);console.log("ready")';

t.test('a signal to the command reaches the application', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const child = spawn(
      process.execPath,
      [REEVE, 'run', '--tenancy', dir.dir, '--', process.execPath, '-e', COUNTING],
      { cwd: root, env: { ...environment, ...PORTS }, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    child.stdout.on('data', (chunk: Buffer) => chunk.includes('ready') && child.kill(signal));
    t.equal(await new Promise((resolve) => child.once('close', resolve)), 1, `${signal}, once`);
  }
});

t.test('a SIGINT that npm passes on once more is no second one', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const child = spawn(process.execPath, [REEVE, 'run', '--tenancy', dir.dir, '--', process.execPath, '-e', COUNTING], {
    cwd: root,
    env: { ...environment, ...PORTS },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const exited = new Promise((resolve) => child.once('close', resolve));
  t.ok(await becomes(() => printed.includes('│ ready'), 20_000));
  child.kill('SIGINT');
  t.ok(await becomes(() => printed.includes('sidecar.draining')));
  child.kill('SIGINT');
  t.equal(await exited, 1, 'the application got one');
  t.match(printed, /sidecar\.stopped/, 'after the drain');
});

t.test('a Ctrl-C at a terminal reaches it once', { skip: !hasTerminal }, async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const words = [process.execPath, REEVE, 'run', '--tenancy', dir.dir, '--', process.execPath, '-e', COUNTING];
  const { child, shown, exited } = atTerminal(t, words);
  t.ok(await becomes(() => /http:\/\/localhost:\d+/.test(shown()) && shown().includes('│ ready'), 20_000), shown());
  child.stdin.write(CTRL_C);
  t.equal(await exited, 1, shown());
});

/** Answers `/slow` after a moment and `/never` not at all; a SIGTERM ends it at once with 5, a SIGINT with 6. */
const SERVING =
  'process.on("SIGTERM",()=>process.exit(5)).on("SIGINT",()=>process.exit(6));require("http").createServer((q,s)=>{console.log("got "+q.url);if(q.url==="/slow")setTimeout(()=>s.end("whole"),700)}).listen(process.argv[1],"127.0.0.1",()=>console.log("ready"))';

const ask = (port: number, path: string): ReturnType<typeof exchangeRaw> =>
  exchangeRaw(port, `GET ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${tokenFor('org_acme')}\r\n\r\n`, {
    responses: 1,
    waitMs: 10_000,
  });

t.test(
  'what is in flight at a SIGTERM is finished before the application hears of it; a second does not wait',
  async (t) => {
    const dir = makeTenancy();
    t.teardown(() => dir.cleanUp());
    for (const [path, signals] of [
      ['/slow', 1],
      ['/never', 2],
    ] as const) {
      const appPort = await freePort();
      const child = spawn(
        process.execPath,
        [
          ...[COUNTED, 'run', '--tenancy', dir.dir, '--app-port', String(appPort), '--'],
          ...[process.execPath, '-e', SERVING, String(appPort)],
        ],
        { cwd: root, env: { ...countedEnvironment, ...PORTS }, stdio: ['ignore', 'pipe', 'inherit'] },
      );
      t.teardown(() => child.kill('SIGKILL'));
      let printed = '';
      child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
      const exited = new Promise((resolve) => child.once('close', resolve));
      t.ok(await becomes(() => printed.includes('│ ready'), 20_000), 'the application runs');
      const port = Number(/http:\/\/localhost:(\d+)/.exec(printed)?.[1]);
      const answer = ask(port, path);
      t.ok(await becomes(() => printed.includes(`got ${path}`)), 'a request is in flight');
      const began = performance.now();
      child.kill('SIGTERM');
      t.ok(await becomes(() => printed.includes('sidecar.draining')));
      if (signals === 2) child.kill('SIGTERM');
      const { responses } = await answer;
      t.equal(await exited, 5, `${path}: the code of the application`);
      if (path === '/slow') t.match(responses[0], { status: 200, body: 'whole', headers: { connection: 'close' } });
      else t.ok(performance.now() - began < 8000, 'long before the grace is over');
    }
  },
);

t.test(
  'a Ctrl-C at a terminal drains first, also by way of npm; a second does not wait',
  { skip: !hasTerminal },
  async (t) => {
    const dir = makeTenancy();
    t.teardown(() => dir.cleanUp());
    const npm = ['npm', 'run', '-s', 'reeve', '--'];
    for (const [command, path] of [
      [[process.execPath, REEVE], '/slow'],
      [npm, '/slow'],
      [[process.execPath, REEVE], '/never'],
    ] as const) {
      const appPort = await freePort();
      const app = [process.execPath, '-e', SERVING, String(appPort)];
      const words = [...command, 'run', '--tenancy', dir.dir, '--app-port', String(appPort), '--', ...app];
      const { child, shown, exited } = atTerminal(t, words);
      t.ok(await becomes(() => /http:\/\/localhost:\d+/.test(shown()) && shown().includes('│ ready'), 20_000), shown());
      const port = Number(/http:\/\/localhost:(\d+)/.exec(shown())?.[1]);
      const answer = ask(port, path);
      t.ok(await becomes(() => shown().includes(`got ${path}`)), 'a request is in flight');
      const began = performance.now();
      child.stdin.write(CTRL_C);
      t.ok(await becomes(() => shown().includes('sidecar.draining')));
      if (path === '/never') await pressUntil(child, exited);
      const { responses } = await answer;
      // npm's own is that of the signal.
      t.equal(await exited, command === npm ? 130 : 6, `${path}: the code of the application`);
      if (path === '/slow') t.match(responses[0], { status: 200, body: 'whole' }, command[0]);
      else t.ok(performance.now() - began < 8000, 'long before the grace is over');
    }
  },
);

t.test(
  'what is typed reaches the application, and a terminal that goes away ends it',
  { skip: !hasTerminal },
  async (t) => {
    const dir = makeTenancy();
    t.teardown(() => dir.cleanUp());
    const file = join(dir.dir, '../ended');
    const script = `process.stdin.on("data",(d)=>console.log("typed "+d));process.on("SIGHUP",()=>{require("fs").writeFileSync(${JSON.stringify(file).replaceAll('"', '`')},"SIGHUP");process.exit(0)});setInterval(()=>{},1000);console.log("ready")`;
    const { child, shown } = atTerminal(t, [
      process.execPath,
      REEVE,
      'run',
      '--tenancy',
      dir.dir,
      '--',
      process.execPath,
      '-e',
      script,
    ]);
    t.ok(await becomes(() => shown().includes('│ ready'), 20_000), shown());
    child.stdin.write('hello\n');
    t.ok(await becomes(() => shown().includes('typed hello')), shown());
    child.kill('SIGKILL');
    t.ok(await becomes(() => existsSync(file), 20_000), 'the application heard of it');
  },
);

t.test("the application is found in the caller's PATH, without what npm puts before it", async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const own = join(root, 'node_modules/.bin');
  const PATH = ['/x/node-gyp-bin', own, '/x/node_modules/.bin', process.env['PATH']].join(':');
  const script = 'console.log("PATH="+process.env.PATH)';
  const { stdout } = reeveProcess(['run', '--tenancy', dir.dir, '--', process.execPath, '-e', script], {
    ...PORTS,
    PATH,
  });
  const dirs = /PATH=(.*)/.exec(stdout)?.[1]?.split(':') ?? [];
  t.equal(dirs[0], '/x/node_modules/.bin');
  t.notOk(dirs.includes(own));
});

const CTRL_C = '\u0003';

interface AtTerminal {
  readonly child: ChildProcessWithoutNullStreams;
  readonly shown: () => string;
  readonly exited: Promise<unknown>;
}

function atTerminal(t: { teardown(end: () => unknown): void }, words: readonly string[]): AtTerminal {
  const child = spawn('/usr/bin/script', onTerminal(words), {
    cwd: root,
    env: { ...terminalEnvironment, ...PORTS },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let shown = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (shown += chunk.toString()));
  return { child, shown: () => shown, exited: new Promise((resolve) => child.once('close', resolve)) };
}

/** As a person does who presses until it helps; the first is too close to the one before to count. */
async function pressUntil({ stdin }: AtTerminal['child'], exited: Promise<unknown>): Promise<void> {
  // It may end between two.
  stdin.on('error', () => {});
  const timer = setInterval(() => stdin.write(CTRL_C), 400);
  await exited;
  clearInterval(timer);
}
