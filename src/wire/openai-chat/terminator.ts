import { Buffer } from 'node:buffer';

/** Ends a complete stream of the OpenAI protocol, and no other. */
export const TERMINATOR: Uint8Array = Buffer.from('data: [DONE]\n\n');
