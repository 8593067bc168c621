/** `reeve collector` by its variables alone, with segments and times so small that a life of seconds comes to all it does. */
import { startCollector } from '../src/cli/collector.ts';
import { collectorValues } from '../src/cli/collector-settings.ts';
import { onStop } from '../src/cli/signals.ts';

const small = { segmentBytes: 128 * 1024, saveMs: 300 };
const starting = startCollector(await collectorValues(undefined, {}, process.env), {
  small,
  onDeath: () => process.exit(1),
});
onStop(starting, (running) => running.close());
await starting;
