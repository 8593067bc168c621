/** Rows as JSON, CSV (RFC 4180) and NDJSON, and which of them a client wants. */

export type Form = 'json' | 'csv' | 'ndjson';
export const FORM_TYPES: Readonly<Record<Form, string>> = {
  json: 'application/json',
  csv: 'text/csv; charset=utf-8; header=present',
  ndjson: 'application/x-ndjson',
};

export type Cell = string | number;
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** `format` wins over Accept; undefined: no such format. */
export function formOf(format: string | null, accept: string): Form | undefined {
  if (format !== null) return Object.hasOwn(FORM_TYPES, format) ? (format as Form) : undefined;
  const wanted = accept
    .split(',')
    .map((range) => {
      const [type = '', ...rest] = range.split(';').map((part) => part.trim().toLowerCase());
      const quality = rest.find((part) => part.startsWith('q='));
      return { type, quality: quality === undefined ? 1 : Number(quality.slice(2)) };
    })
    .filter(({ quality }) => quality > 0)
    .sort((a, b) => b.quality - a.quality);
  for (const { type } of wanted) {
    if (type === 'text/csv') return 'csv';
    if (type === 'application/x-ndjson' || type === 'application/ndjson') return 'ndjson';
    if (type === 'application/json' || type === '*/*' || type === 'application/*') return 'json';
  }
  return 'json';
}

export function recordsOf({ columns, rows }: Table): Record<string, Cell>[] {
  return rows.map((row) => Object.fromEntries(columns.map((column, at) => [column, row[at] as Cell])));
}

export function csvOf({ columns, rows }: Table): string {
  return [columns, ...rows].map((row) => `${row.map(csvCell).join(',')}\r\n`).join('');
}

export function ndjsonOf(table: Table): string {
  return recordsOf(table)
    .map((record) => `${JSON.stringify(record)}\n`)
    .join('');
}

function csvCell(cell: Cell): string {
  const text = String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
