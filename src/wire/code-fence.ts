/**
 * The text inside a code fence that encloses a whole text, as models like to wrap their JSON; null: there is none.
 * White space around it is left out.
 */
export function insideFence(text: string): string | null {
  const said = text.trim();
  if (!said.startsWith('```') || !said.endsWith('```') || said.length < 7) return null;
  const firstLine = said.indexOf('\n');
  if (firstLine < 0 || !/^```\w{0,20}[ \t]*\r?$/.test(said.slice(0, firstLine))) return null;
  const inside = said.slice(firstLine + 1, -3).trim();
  return inside.includes('\n```') ? null : inside;
}
