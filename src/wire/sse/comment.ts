import { Buffer } from 'node:buffer';

/** A comment, which clients skip; line breaks in `text` become spaces, so that it can't forge events. */
export function encodeComment(text: string): Uint8Array {
  // oxlint-disable-next-line no-control-regex
  return Buffer.from(`: ${text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')}\n\n`);
}
