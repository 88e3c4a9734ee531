/** The conversation of a request as readable text, in any dialect. Media, reasoning and tool calls are left out. */
import { asBuffer } from './bytes.ts';
import { CODECS } from './codecs.ts';
import type { DialectName, RequestPart, Turn } from './model.ts';
import type { RequestBody } from './request-body.ts';

/** For a larger request, the end of the raw JSON is returned. */
const PARSED_BYTES_MAX = 1024 * 1024;
const PARSED_VALUES_MAX = 20_000;

/** The members that hold a conversation, in all dialects. */
const CONVERSATION_MEMBERS: ReadonlySet<string> = new Set(['messages', 'contents', 'input', 'prompt']);

/** At most the last `charsMax` characters of a decoded request. */
export function conversationText(dialect: DialectName, body: RequestBody, charsMax: number): string {
  const { bytes, members, values } = body;
  if (bytes.byteLength > PARSED_BYTES_MAX || values > PARSED_VALUES_MAX) {
    const end = members.findLast(({ name }) => CONVERSATION_MEMBERS.has(name))?.end ?? bytes.byteLength;
    return asBuffer(bytes.subarray(Math.max(0, end - charsMax), end)).toString();
  }
  const text = asBuffer(bytes).toString();
  const { turns } = CODECS[dialect].parseRequest(text, false);
  return (turns.length === 0 ? promptIn(text) : turns.flatMap(linesOf).join('\n')).slice(-charsMax);
}

/** The texts to embed, at most the last `charsMax` characters. */
export function embeddedText({ bytes }: RequestBody, charsMax: number): string {
  if (bytes.byteLength > PARSED_BYTES_MAX) return asBuffer(bytes.subarray(-charsMax)).toString();
  const { input } = JSON.parse(asBuffer(bytes).toString()) as { input?: unknown };
  return (typeof input === 'string' ? input : (JSON.stringify(input) ?? '')).slice(-charsMax);
}

/** One line per tool result, and one for the rest of the turn. */
function linesOf({ role, parts }: Turn): string[] {
  const results = parts.filter((part) => part.type === 'tool_result');
  const own = parts.filter((part) => part.type !== 'tool_result');
  const lines = results.map((result) => `tool: ${textOf(result.parts)}`);
  return own.length > 0 || results.length === 0 ? [...lines, `${role}: ${textOf(own)}`] : lines;
}

function textOf(parts: readonly RequestPart[]): string {
  return parts
    .map((part) => (part.type === 'text' || part.type === 'refusal' ? part.text : ''))
    .join('\n')
    .trim();
}

/** The prompt of a legacy completion. */
function promptIn(text: string): string {
  const { prompt } = JSON.parse(text) as { prompt?: unknown };
  return typeof prompt === 'string' ? prompt : (JSON.stringify(prompt) ?? '');
}
