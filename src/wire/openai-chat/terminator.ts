import { Buffer } from 'node:buffer';

/** Ends a stream of the OpenAI protocol, if it is complete. */
export const TERMINATOR: Uint8Array = Buffer.from('data: [DONE]\n\n');
