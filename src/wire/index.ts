export type { Framing, GateRules, Passed, Refused, RequestHead } from './gate.ts';
export { gate } from './gate.ts';
export { foldName, isToken, listMembers } from './grammar.ts';
export { HeaderList } from './header-list.ts';
export { mayTrail, stripHopByHop } from './hop-by-hop.ts';
