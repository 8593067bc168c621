/** The law of the rooms, generated from rooms.mjs. `npm run check` runs it; each rule says what to do. */
import { rooms, sharedPackages } from './rooms.mjs';

const inRooms = (names) => (names.length === 0 ? '^$' : `^src/(${names.join('|')})/`);
const owners = new Map(Object.entries(sharedPackages));
for (const [room, { packages }] of Object.entries(rooms)) for (const each of packages) owners.set(each, [room]);

const roomRules = Object.entries(rooms).map(([room, { imports }]) => ({
  name: `${room}-imports`,
  severity: 'error',
  comment: `${room} may import only: ${imports.join(', ') || 'nothing of ours'}. Move the code down, or change the table in rooms.mjs with a decision.`,
  from: { path: `^src/${room}/` },
  to: { path: '^src/', pathNot: inRooms([room, ...imports]) },
}));

const frontDoorRules = Object.keys(rooms).map((room) => ({
  name: `${room}-front-door`,
  severity: 'error',
  comment: `Enter ${room} through src/${room}/index.ts; export there what others need.`,
  from: { path: '^src/', pathNot: `^src/${room}/` },
  to: { path: `^src/${room}/`, pathNot: `^src/${room}/index\\.ts$` },
}));

const packageRules = [...owners].map(([name, rooms]) => ({
  name: `${name}-owner`,
  severity: 'error',
  comment: `${name} belongs to ${rooms.join(', ')}; ask that room for what you need.`,
  from: { path: '^src/', pathNot: inRooms(rooms) },
  to: { path: `(^|/)node_modules/${name}(/|$)` },
}));

export default {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      comment: 'Split what both need into a third file.',
      from: { path: '^src' },
      to: { circular: true },
    },
    {
      name: 'known-room',
      severity: 'error',
      comment: 'A new room is a decision: add it to rooms.mjs.',
      from: { path: '^src/', pathNot: inRooms(Object.keys(rooms)) },
      to: {},
    },
    {
      name: 'no-test-code',
      severity: 'error',
      comment: 'src runs without test, bench and scripts.',
      from: { path: '^src' },
      to: { path: '^(test|bench|crash|scripts|examples)/' },
    },
    {
      name: 'owned-package',
      severity: 'error',
      comment: 'Name the owner of a package in rooms.mjs.',
      from: { path: '^src' },
      to: {
        dependencyTypes: ['npm', 'npm-dev', 'npm-optional'],
        pathNot: `node_modules/(${[...owners.keys()].join('|')})(/|$)`,
      },
    },
    ...roomRules,
    ...frontDoorRules,
    ...packageRules,
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)generated/' },
  },
};
