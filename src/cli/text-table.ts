/** Rows as lines of aligned columns: the first `leftColumns` to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[], leftColumns = Infinity): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  const padded = (cell: string, i: number): string => (i < leftColumns ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!));
  return rows.map((row) => `${row.map(padded).join('  ').trimEnd()}\n`).join('');
}
