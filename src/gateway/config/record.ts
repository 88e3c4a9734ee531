/** A record without prototype, so that names such as `constructor` find nothing. */
export function record<In, Out>(entries: readonly (readonly [string, In])[], build: (value: In, key: string) => Out): Record<string, Out> {
  const result = Object.create(null) as Record<string, Out>;
  for (const [key, value] of entries) result[key] = build(value, key);
  return result;
}
