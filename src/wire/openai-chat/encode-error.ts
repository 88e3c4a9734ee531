import { Buffer } from 'node:buffer';

/** The error object of the OpenAI protocol. */
export interface WireError {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
}

function errorJson({ message, type, param, code }: WireError): string {
  return JSON.stringify({ error: { message, type, param, code } });
}

/** The body of an error answer. */
export function encodeErrorBody(error: WireError): Uint8Array {
  return Buffer.from(errorJson(error));
}

/**
 * The error as the last event of a stream: clients know it by its top-level `error`. No terminator may follow; a clean end
 * without an error would be taken for a complete answer.
 */
export function encodeStreamError(error: WireError): Uint8Array {
  return Buffer.from(`data: ${errorJson(error)}\n\n`);
}

/** A comment that clients skip; line ends in `text` become spaces, or it could forge events. */
export function encodeComment(text: string): Uint8Array {
  // oxlint-disable-next-line no-control-regex
  return Buffer.from(`: ${text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')}\n\n`);
}
