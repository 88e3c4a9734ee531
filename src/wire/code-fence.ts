/**
 * The text inside a code fence that encloses the whole text, as models often wrap JSON; null: there is no such fence. Trimmed.
 */
export function insideFence(text: string): string | null {
  const trimmed = text.trim();
  if (!trimmed.startsWith('```') || !trimmed.endsWith('```') || trimmed.length < 7) return null;
  const firstLine = trimmed.indexOf('\n');
  if (firstLine < 0 || !/^```\w{0,20}[ \t]*\r?$/.test(trimmed.slice(0, firstLine))) return null;
  const inside = trimmed.slice(firstLine + 1, -3).trim();
  return inside.includes('\n```') ? null : inside;
}
