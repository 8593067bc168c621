/** The kinds of histories there are, by name. */
import { countsHistory } from './counts-history.ts';
import type { HistoryKind } from './history.ts';
import { logHistory } from './log-history.ts';

export const KINDS: readonly HistoryKind[] = [logHistory, countsHistory];
