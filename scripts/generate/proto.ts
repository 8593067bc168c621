/** src/metering/generated: the messages of proto/metering.proto as code. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export async function outputs(): Promise<Map<string, string>> {
  const out = mkdtempSync(join(tmpdir(), 'reeve-proto-'));
  const template = { version: 'v2', plugins: [{ local: 'protoc-gen-es', out, opt: ['target=js+dts'] }] };
  const { status, stderr, error } = spawnSync('buf', ['generate', 'proto', '--template', JSON.stringify(template)], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`buf: ${error?.message ?? stderr}`);
  const files = readdirSync(out)
    .sort()
    .map((name) => [`src/metering/generated/${name}`, readFileSync(join(out, name), 'utf8')] as const);
  rmSync(out, { recursive: true });
  return new Map(files);
}
