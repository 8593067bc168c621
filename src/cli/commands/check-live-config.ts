/** What `reeve check --live` says of the configuration that a running sidecar has. */
import { bad, type Check, good } from './check-result.ts';

interface Some {
  readonly total: number;
  readonly first: readonly string[];
}

/** The page `/v1/config`, as far as it is looked at. */
export interface LiveConfig {
  readonly generation: number;
  readonly isFromLastGood: boolean;
  readonly kept: Some;
  readonly leftOut: Some;
  readonly upstreams: Readonly<Record<string, string>>;
  readonly findings: readonly { readonly severity: string; readonly text: string }[];
}

export function liveConfigChecks(config: LiveConfig): Check[] {
  const errors = config.findings.filter((each) => each.severity === 'error');
  return [
    good('sidecar answers'),
    config.generation > 0
      ? good(`configuration is loaded (generation ${config.generation})`)
      : bad('configuration is loaded', 'generation 0', 'check the mount of the tenancy directory'),
    fromFiles(config),
    ...(config.leftOut.total === 0 ? [] : [leftOut(config.leftOut)]),
    errors.length === 0
      ? good('files hold no errors')
      : bad(
          'files hold no errors',
          errors
            .slice(0, 5)
            .map((each) => each.text)
            .join('\n'),
          config.kept.total === 0
            ? 'mend the files; what they say there is not in force'
            : 'mend the files; until then last good versions go on, as named above',
        ),
    ...config.findings
      .filter((each) => each.severity === 'warning')
      .slice(0, 5)
      .map((each) => bad('files hold no warnings', each.text, 'mend it before it matters', 'warning')),
  ];
}

function fromFiles({ isFromLastGood, kept }: LiveConfig): Check {
  const description = 'configuration is from its files';
  if (isFromLastGood)
    return bad(description, 'it runs on the last known good one', 'mend the mount of the tenancy directory', 'warning');
  if (kept.total === 0) return good(description);
  return bad(description, `on the last good version of each: ${someText(kept)}`, 'mend the files', 'warning');
}

function leftOut(some: Some): Check {
  return bad(
    'each tenant of the files is in force',
    `left out: ${someText(some)}`,
    'mend the files; `reeve tenants get NAME` says why',
  );
}

/** `acme, globex, and 3 more` */
export function someText({ total, first }: Some): string {
  return `${first.join(', ')}${total > first.length ? `, and ${total - first.length} more` : ''}`;
}
