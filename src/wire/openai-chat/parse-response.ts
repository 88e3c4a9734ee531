import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import { foldEvents } from '../model-fold.ts';
import type { ModelResponse } from '../model.ts';
import { completionToStream } from './completion-to-stream.ts';
import { createChatStreamParser } from './parse-stream.ts';

/** Parses a valid chat response, by converting it to a stream. */
export function parseChatResponse(body: Uint8Array): ModelResponse {
  const parser = createChatStreamParser();
  const events = parser.parse([completionToStream(asBuffer(body).subarray(byteOrderMarkLength(body)), true)]);
  return foldEvents([...events, ...parser.end()]);
}
