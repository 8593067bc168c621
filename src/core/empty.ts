/** Empties a list and leaves it its room for those that come next: to set its length would give that away. */
export function empty(list: unknown[]): void {
  while (list.length > 0) list.pop();
}
