/**
 * Configuration files of the peers, written once for all work levels. A line that ends in a condition is kept when it holds:
 *
 *     js_set $tid jwt.tid;  #: W2- HS256        from W2 on, with HS256
 *
 * `W2` is that level alone, `W2-` it and all above, `W2-W4` a range; both parts may be absent. `//:` serves for JavaScript.
 * `@NAME@` is replaced.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Job } from './job.ts';

const CONDITION = /\s*(?:#|\/\/): *(?:(W\d)(-(W\d)?)?)? *(HS256|RS256)?$/;

export function renderPeer(name: string, job: Job, values: Readonly<Record<string, string | number>>): string {
  return render(readFileSync(join(import.meta.dirname, '../peers', name), 'utf8'), job, values);
}

export function render(text: string, job: Job, values: Readonly<Record<string, string | number>>): string {
  return text
    .split('\n')
    .flatMap((line) => {
      const condition = CONDITION.exec(line);
      if (condition === null) return [line];
      return isKept(condition, job) ? [line.slice(0, condition.index)] : [];
    })
    .join('\n')
    .replaceAll(/@([A-Z]+)@/g, (_, name: string) => {
      const value = values[name];
      if (value === undefined) throw new Error(`the template has @${name}@, which has no value`);
      return String(value);
    });
}

function isKept([, from, range, to, algorithm]: RegExpExecArray, job: Job): boolean {
  if (algorithm !== undefined && algorithm !== job.algorithm) return false;
  if (from === undefined) return true;
  if (range === undefined) return job.level === from;
  return job.level >= from && (to === undefined || job.level <= to);
}
