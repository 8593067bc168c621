/** How commands print: JSON for programs, a table for a person at a terminal, rows between tabs for what reads a pipe. */
import { stripVTControlCharacters, styleText } from 'node:util';

export type Form = 'text' | 'json';
export type Cell = string | number;

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** Without a terminal there is no head and nothing is padded: `reeve tenants list | cut -f1` gives names. */
export function printRows(head: readonly string[], rows: readonly (readonly Cell[])[]): void {
  process.stdout.write(process.stdout.isTTY ? table(head, rows) : rows.map((row) => `${row.join('\t')}\n`).join(''));
}

/** Aligned columns; numbers to the right. Colours do not count as width. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cells = [head.map((each) => paint('bold', each)), ...rows.map((row) => row.map(String))];
  const width = (text: string): number => stripVTControlCharacters(text).length;
  const widths = head.map((_, column) => Math.max(...cells.map((row) => width(row[column] as string))));
  const isNumber = head.map((_, column) => rows.every((row) => typeof row[column] === 'number'));
  const pad = (cell: string, column: number): string => {
    const space = ' '.repeat((widths[column] as number) - width(cell));
    return isNumber[column] ? space + cell : cell + space;
  };
  return cells.map((row) => `${row.map(pad).join('  ').trimEnd()}\n`).join('');
}

/** Coloured on a terminal that can; NO_COLOR and FORCE_COLOR are obeyed. */
export function paint(style: Parameters<typeof styleText>[0], text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

export const YES = (): string => paint('green', '√');
export const NO = (): string => paint('red', '×');
export const BUT = (): string => paint('yellow', '‼');
