/** Backends that write down what they executed: the judges of the wire tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createNetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Ending, listening } from './sidecar.ts';

export interface Backend {
  readonly name: string;
  readonly url: string;
  readonly isMissing: boolean;
  /** Request targets it executed, in any order, when nothing more comes. */
  executed(): Promise<readonly string[]>;
}

const missing = (name: string): Backend => ({ name, url: '', isMissing: true, executed: async () => [] });

export async function nodeBackend(t: Ending): Promise<Backend> {
  const paths: string[] = [];
  const server = createServer({ keepAliveTimeout: 60_000 }, (req, res) => {
    paths.push(req.url ?? '');
    req
      .resume()
      .on('end', () => res.end('ok'))
      .on('error', () => {});
  });
  const port = await listening(t, server);
  return {
    name: 'node:http',
    url: `http://127.0.0.1:${port}`,
    isMissing: false,
    executed: () => sleep(100, paths),
  };
}

export async function nginxBackend(t: Ending): Promise<Backend> {
  const program = '/usr/sbin/nginx';
  if (!existsSync(program)) return missing('nginx');
  const { dir, port } = await workplace(t);
  const config = `daemon off; master_process off; pid ${dir}/pid; error_log ${dir}/error.log;
events { worker_connections 1024; }
http { access_log ${dir}/access.log main; log_format main '$request_uri'; client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/p; fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
  keepalive_requests 100000; client_max_body_size 10m;
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${port}/-echo-; } location /-echo- { access_log off; return 200 ok; } } }`;
  writeFileSync(
    join(dir, 'nginx.conf'),
    config
      .replace('log_format main', 'log_format  main')
      .replace(/access_log (\S+) main; (log_format {2}main '[^']*';)/, '$2 access_log $1 main;'),
  );
  await start(t, program, ['-c', join(dir, 'nginx.conf'), '-p', dir], port);
  return {
    name: 'nginx',
    url: `http://127.0.0.1:${port}`,
    isMissing: false,
    executed: () => logged(join(dir, 'access.log')),
  };
}

export async function haproxyBackend(t: Ending): Promise<Backend> {
  const program = '/usr/sbin/haproxy';
  if (!existsSync(program)) return missing('haproxy');
  const { dir, port } = await workplace(t);
  writeFileSync(
    join(dir, 'haproxy.cfg'),
    `global
    log stdout format raw local0
defaults
    mode http
    log global
    timeout client 30s
    timeout server 30s
    timeout connect 1s
    timeout http-keep-alive 30s
    log-format "%[var(txn.p)]"
frontend f
    bind 127.0.0.1:${port}
    http-request set-var(txn.p) pathq
    http-request wait-for-body time 1s if { req.body_size gt 0 }
    http-request return status 200 content-type text/plain string ok
`,
  );
  const lines: string[] = [];
  const child = await start(t, program, ['-f', join(dir, 'haproxy.cfg'), '-db'], port);
  child.stdout?.on('data', (chunk: Buffer) => lines.push(...chunk.toString().split('\n')));
  return {
    name: 'haproxy',
    url: `http://127.0.0.1:${port}`,
    isMissing: false,
    executed: () => sleep(300, lines),
  };
}

/** Below those that the system gives out by itself: between the look and the server nobody else is given it. */
const PORTS = { from: 20_000, count: 12_000 };

export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * PORTS.count);
    const probe = createNetServer();
    const isFree = await new Promise((resolve) =>
      probe.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)),
    );
    await new Promise((resolve) => probe.close(resolve));
    if (isFree) return port;
  }
}

async function workplace(t: Ending): Promise<{ dir: string; port: number }> {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-backend-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const port = await freePort();
  return { dir, port };
}

async function start(t: Ending, program: string, args: string[], port: number): Promise<ChildProcess> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  t.teardown(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once('exit', resolve));
  });
  for (let tries = 0; tries < 100; tries++) {
    const isUp = await isListening(port);
    if (child.exitCode !== null) break;
    if (isUp) return child;
    await sleep(50);
  }
  throw new Error(`${program} does not listen: ${said}`);
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket.destroy() !== undefined));
    socket.on('error', () => resolve(false));
  });
}

async function logged(file: string): Promise<string[]> {
  await sleep(300);
  return readFileSync(file, 'utf8').split('\n');
}
