/** docs/log-events.md and the sources name the same events, severities and fields. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import ts from 'typescript';

const root = join(import.meta.dirname, '../..');
const SEVERITIES: ReadonlySet<string> = new Set(['debug', 'info', 'warn', 'error']);
const EVENT = /^[a-z]+\.[a-z_]+$/;

interface Event {
  readonly severities: Set<string>;
  readonly fields: Set<string>;
  /** It has fields whose names do not stand where it is written. */
  isOpen: boolean;
}

/** What stands in the first cells of a row. */
function documented(page: string): Map<string, Event> {
  const rows = page.matchAll(/^\| `([^`]+)` \| ([^|]+) \| ([^|]*)\|/gm);
  return new Map(
    [...rows].map(([, event, severities, fields]) => [
      event as string,
      {
        severities: new Set((severities as string).trim().split(', ')),
        fields: new Set([...(fields as string).matchAll(/`([^`]+)`/g)].map(([, name]) => name as string)),
        isOpen: false,
      },
    ]),
  );
}

const texts = (node: ts.Node): string[] => {
  const found: string[] = [];
  const visit = (each: ts.Node): void => {
    if (ts.isStringLiteral(each)) found.push(each.text);
    ts.forEachChild(each, visit);
  };
  visit(node);
  return found;
};

/** `log.warn(event, fields)`, `log[isBad ? 'error' : 'warn'](event, fields)` and `log.record(severity, event)`. */
function written(): Map<string, Event> {
  const events = new Map<string, Event>();
  const note = (event: string, severities: readonly string[], fields: ts.Expression | undefined): void => {
    const known = events.get(event) ?? { severities: new Set(), fields: new Set(), isOpen: false };
    events.set(event, known);
    for (const each of severities) if (SEVERITIES.has(each)) known.severities.add(each);
    addFields(known, fields);
  };
  for (const path of globSync('src/**/*.ts', { cwd: root }).filter((each) => !each.includes('generated'))) {
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node)) {
        const { expression: called, arguments: args } = node;
        const name = ts.isPropertyAccessExpression(called) ? called.name.text : undefined;
        const severities =
          name === 'record' && args[0] !== undefined
            ? texts(args[0])
            : ts.isElementAccessExpression(called)
              ? texts(called.argumentExpression)
              : [name ?? ''];
        const event = args[name === 'record' ? 1 : 0];
        if (event !== undefined && ts.isStringLiteral(event) && severities.some((each) => SEVERITIES.has(each)))
          if (EVENT.test(event.text)) note(event.text, severities, name === 'record' ? undefined : args[1]);
      }
      ts.forEachChild(node, visit);
    };
    visit(ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest, true));
  }
  return events;
}

function addFields(event: Event, fields: ts.Expression | undefined): void {
  if (fields === undefined) return;
  if (!ts.isObjectLiteralExpression(fields)) {
    event.isOpen = true;
    return;
  }
  for (const each of fields.properties) {
    if (!ts.isSpreadAssignment(each)) event.fields.add((each.name as ts.Identifier | ts.StringLiteral).text);
    else if (ts.isObjectLiteralExpression(each.expression)) addFields(event, each.expression);
    else event.isOpen = true;
  }
}

t.test('docs/log-events.md names every event with its severities and fields, and no other', async (t) => {
  const page = documented(readFileSync(join(root, 'docs/log-events.md'), 'utf8'));
  const sources = written();
  // Its fields are made once, as bytes.
  const access = readFileSync(join(root, 'src/proxy/access-log.ts'), 'utf8');
  for (const [, name] of access.matchAll(/new FieldName\('([^']+)'\)/g))
    sources.get('http.request')?.fields.add(name as string);
  t.ok(sources.size > 70, `${sources.size} events`);
  t.strictSame([...page.keys()].sort(), [...sources.keys()].sort());
  for (const [event, { severities, fields, isOpen }] of sources) {
    const row = page.get(event);
    if (row === undefined) continue;
    t.strictSame([...row.severities].sort(), [...severities].sort(), `severities of ${event}`);
    if (!isOpen) t.strictSame([...row.fields].sort(), [...fields].sort(), `fields of ${event}`);
    else for (const field of fields) t.ok(row.fields.has(field), `${event} has ${field}`);
  }
});
