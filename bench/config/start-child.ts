/** Starts a sidecar's whole process on the directory given and ends when it is ready: what `start_*_ms` measures from outside. */

import { startSidecar } from '../../src/cli/sidecar.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { configFor } from '../../test/helpers/sidecar.ts';

const [dir, stateDir] = process.argv.slice(2) as [string, string];
const sidecar = await startSidecar(
  configFor({
    upstream: 'http://127.0.0.1:9',
    'tenancy.dir': dir,
    stateDir,
    'inbound.host': '127.0.0.1',
    'inbound.port': '0',
    'status.host': '127.0.0.1',
    'status.port': '0',
    'admin.port': '0',
  }),
  { log: silentLog },
);
const { status } = await fetch(`http://127.0.0.1:${sidecar.ports.status}/readyz`);
process.stdout.write(`${status} ${sidecar.tenancy.snapshot.tenants.size}\n`);
await sidecar.close();
process.exit(0);
