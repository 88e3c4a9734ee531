const LINE_FEED = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;

/** Returns a copy. JSON has line breaks only between tokens, where a space is equivalent. */
export function onOneLine(body: Uint8Array): Uint8Array {
  const line = new Uint8Array(body);
  for (const end of [LINE_FEED, RETURN]) for (let at = line.indexOf(end); at >= 0; at = line.indexOf(end, at + 1)) line[at] = SPACE;
  return line;
}
