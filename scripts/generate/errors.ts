/** docs/errors.md: every answer of the sidecar's own. */
import { rescues } from '../../src/proxy/index.ts';

export async function outputs(): Promise<Map<string, string>> {
  const rows = Object.entries(rescues).map(
    ([code, { status, grpcStatus, title, meaning }]) =>
      `| \`${code}\` | ${status} | ${grpcStatus} | ${title} | ${meaning} |`,
  );
  const page = `# Errors

Generated from \`src/proxy/rescue.ts\` by \`npm run generate\`.

An answer of the sidecar's own is \`application/problem+json\` (RFC 9457) with a stable \`code\`, the last part of its \`type\`. gRPC callers (\`content-type: application/grpc\`) get status 200 with
\`grpc-status\` instead. \`Retry-After\` is there where a retry helps. Behind the gate an answer carries \`x-request-id\`, and \`instance\` is
\`urn:request:<id>\`: the id of the log lines. A code that is retired is never used again.

| code | status | gRPC | title | when, and what to do |
|---|---|---|---|---|
${rows.join('\n')}

The command line exits 0 (good), 1 (findings), 2 (usage) or 3 (a sidecar that was asked does not answer); \`reeve config diff\` exits as diff(1): 0 nothing differs, 1 something does, 2 a side has errors, so that nobody knows. Problems of configuration are one line each, \`file:line:column Kind "name" key: message (remedy)\`.
`;
  return new Map([['docs/errors.md', page]]);
}
