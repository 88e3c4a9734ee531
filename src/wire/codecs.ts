/** The codec of each dialect, for conversions. Only this file and `dialects.ts` import from a dialect's folder. */
import { parseChatRequest } from './openai-chat/parse-request.ts';
import { parseChatResponse } from './openai-chat/parse-response.ts';
import { createChatStreamParser } from './openai-chat/parse-stream.ts';
import { writeChatRequest } from './openai-chat/write-request.ts';
import { createChatStreamWriter, writeChatResponse } from './openai-chat/write-response.ts';
import { parseMessagesRequest } from './anthropic-messages/parse-request.ts';
import { createMessagesStreamParser, parseMessage } from './anthropic-messages/parse-stream.ts';
import { writeMessagesRequest } from './anthropic-messages/write-request.ts';
import { createMessagesStreamWriter, writeMessage } from './anthropic-messages/write-response.ts';
import { writeConverseRequest } from './bedrock-converse/write-request.ts';
import { parseGeminiRequest } from './gemini/parse-request.ts';
import { createGeminiStreamParser, parseGeminiResponse } from './gemini/parse-response.ts';
import { writeGeminiRequest } from './gemini/write-request.ts';
import { createGeminiStreamWriter, writeGeminiResponse } from './gemini/write-response.ts';
import { parseResponsesRequest } from './openai-responses/parse-request.ts';
import { createResponsesStreamParser, parseResponse } from './openai-responses/parse-response.ts';
import { writeResponsesRequest } from './openai-responses/write-request.ts';
import { createResponsesStreamWriter, writeResponse } from './openai-responses/write-response.ts';
import type { Fields } from './loose-values.ts';
import { echoOf } from './openai-responses/echo.ts';
import type { TargetCapabilities, WriteEdits } from './conversion-loss.ts';
import type { DialectName, Encoded, ModelRequest, ModelResponse, StreamParser, StreamWriter, WriteOptions } from './model.ts';

/** Converts one dialect to and from the model. Its inputs have been validated and are complete. */
export interface Codec {
  /** `stream`: whether streaming was requested, which Gemini states in the path. */
  parseRequest(text: string, stream: boolean): ModelRequest;
  writeRequest(request: ModelRequest, edits: WriteEdits, can: TargetCapabilities): Encoded;
  parseResponse(body: Uint8Array): ModelResponse;
  writeResponse(response: ModelResponse, options: WriteOptions): Uint8Array;
  /** The request fields that the response echoes. */
  readonly echo?: (text: string) => Fields;
  createParser(): StreamParser;
  createWriter(options: WriteOptions): StreamWriter;
}

export const CODECS: Readonly<Record<DialectName, Codec>> = {
  'openai-chat': {
    parseRequest: parseChatRequest,
    writeRequest: writeChatRequest,
    parseResponse: parseChatResponse,
    writeResponse: writeChatResponse,
    createParser: createChatStreamParser,
    createWriter: createChatStreamWriter,
  },
  'openai-responses': {
    parseRequest: parseResponsesRequest,
    writeRequest: writeResponsesRequest,
    parseResponse,
    writeResponse,
    echo: echoOf,
    createParser: createResponsesStreamParser,
    createWriter: createResponsesStreamWriter,
  },
  'anthropic-messages': {
    parseRequest: parseMessagesRequest,
    writeRequest: writeMessagesRequest,
    parseResponse: parseMessage,
    writeResponse: writeMessage,
    createParser: createMessagesStreamParser,
    createWriter: createMessagesStreamWriter,
  },
  gemini: {
    parseRequest: parseGeminiRequest,
    writeRequest: writeGeminiRequest,
    parseResponse: parseGeminiResponse,
    writeResponse: writeGeminiResponse,
    createParser: createGeminiStreamParser,
    createWriter: (options) => createGeminiStreamWriter(options, 'sse'),
  },
  // Its responses are read in the form of the Messages API. Callers can't use this dialect.
  'bedrock-converse': {
    parseRequest: parseMessagesRequest,
    writeRequest: writeConverseRequest,
    parseResponse: parseMessage,
    writeResponse: writeMessage,
    createParser: createMessagesStreamParser,
    createWriter: createMessagesStreamWriter,
  },
};
