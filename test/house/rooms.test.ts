import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { rooms } from '../../rooms.mjs';

const src = join(import.meta.dirname, '../../src');

t.test('the rooms of src are those of the table, each with its front door and its page', async (t) => {
  t.same(readdirSync(src).sort(), Object.keys(rooms).sort());
  for (const room of Object.keys(rooms)) {
    const files = readdirSync(join(src, room));
    if (room !== 'cli') t.ok(files.includes('index.ts'), `${room}/index.ts`);
    t.ok(files.includes('README.md'), `${room}/README.md`);
  }
});

t.test('a room imports only rooms of lower rank', async (t) => {
  for (const [name, room] of Object.entries(rooms)) {
    for (const other of room.imports)
      t.ok((rooms[other]?.rank ?? Number.POSITIVE_INFINITY) < room.rank, `${name} → ${other}`);
  }
});
