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
