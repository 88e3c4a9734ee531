/** The text of simulated prompts. */
let filler = 'The ships lay in the harbour and waited for the tide. ';

/** Text of this length. */
export function fill(length: number): string {
  while (filler.length < length) filler += filler;
  return filler.slice(0, length);
}

/**
 * A prompt of this many tokens at four bytes each, of which the JSON around it takes some. It ends with the mark, however short it is: a
 * provider finds a request by it where the conversion to its dialect leaves out the caller's name for it.
 */
export function promptText(tokens: number, around: number, mark: string): string {
  return `${fill(Math.max(0, tokens * 4 - around - mark.length))}${mark}`;
}

export function markOf(id: string): string {
  return `[${id}]`;
}

/** The id of the request whose mark ends the text; empty if there is none. */
export function markedIn(text: string): string {
  return /\[([^\]\s]+)\]$/.exec(text.slice(-100))?.[1] ?? '';
}
