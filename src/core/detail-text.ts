/** The details of a message as one text: `store: sqlite:a.db, fault: locked`. */
export function detailText(facts: Readonly<Record<string, unknown>>): string {
  return Object.entries(facts)
    .map(([name, value]) => `${name}: ${value instanceof Error ? value.message : String(value)}`)
    .join(', ');
}
