/** How much a simulation runs: seeds, or minutes. */

/** False: CI is not set, so a developer waits for the result. */
const isCi = !['', '0', 'false'].includes(process.env['CI'] ?? '');

/** The amount that the environment variable `name` sets; else `full` in CI, and `few` elsewhere. */
export function runSize(name: string, { few, full }: { readonly few: number; readonly full: number }): number {
  return Number(process.env[name] ?? (isCi ? full : few));
}

/** From 1 on. */
export function seedsUpTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}
