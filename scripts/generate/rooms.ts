/** The table and the picture of the rooms in ARCHITECTURE.md, from rooms.mjs. */
import { readFile } from 'node:fs/promises';
import { rooms } from '../../rooms.mjs';

const BEGIN = '<!-- rooms:begin (npm run generate) -->';
const END = '<!-- rooms:end -->';

export async function outputs(): Promise<Map<string, string>> {
  const page = await readFile('ARCHITECTURE.md', 'utf8');
  const before = page.slice(0, page.indexOf(BEGIN) + BEGIN.length);
  const after = page.slice(page.indexOf(END));
  return new Map([['ARCHITECTURE.md', `${before}\n${table()}\n${picture()}\n${after}`]]);
}

function table(): string {
  const rows = Object.entries(rooms)
    .sort(([, a], [, b]) => b.rank - a.rank)
    .map(
      ([name, room]) =>
        `| ${room.rank} | [\`${name}\`](src/${name}/README.md) | ${room.holds} | ${room.packages.map((each) => `\`${each}\``).join(' ')} |`,
    );
  return ['| rank | room | what lives in it | owns |', '|---|---|---|---|', ...rows, ''].join('\n');
}

/** Only the arrows that are not implied by others, or nobody could read it. */
function picture(): string {
  const arrows: string[] = [];
  for (const [name, { imports }] of Object.entries(rooms)) {
    const implied = new Set(imports.flatMap((each) => [...reach(each)]));
    for (const each of imports) if (!implied.has(each)) arrows.push(`  ${name} --> ${each}`);
  }
  return ['```mermaid', 'graph TD', ...arrows, '```'].join('\n');
}

function reach(room: string): Set<string> {
  const reached = new Set<string>();
  for (const next of rooms[room]?.imports ?? []) {
    reached.add(next);
    for (const each of reach(next)) reached.add(each);
  }
  return reached;
}
