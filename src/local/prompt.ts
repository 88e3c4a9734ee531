/** A model request as a local model takes it: text only. What no local model supports is refused, never silently left out. */
import type { ModelRequest, RequestPart, Turn } from '../wire/model.ts';
import { unsupported } from './engine.ts';
import type { ChatMessage, Prompt } from './engine.ts';

const STOPS_MAX = 16;

export interface PromptOptions {
  /** See `Prompt`. */
  readonly isBare: boolean;
  /** What an error calls the tools of the request. */
  readonly toolsField: string;
}

/** Throws an EngineRefusal for what a local model does not support. */
export function promptOf(request: ModelRequest, { isBare, toolsField }: PromptOptions): Prompt {
  refuseUnsupported(request, toolsField);
  return {
    messages: request.turns.flatMap(messagesOf),
    isBare,
    maxTokens: countOrNull(request.outputBound),
    temperature: finiteOrNull(request.temperature),
    topP: finiteOrNull(request.topP),
    seed: finiteOrNull(request.seed),
    stop: request.stop.filter((text) => text !== '').slice(0, STOPS_MAX),
  };
}

function refuseUnsupported({ tools, toolChoice, format, choices, rest }: ModelRequest, toolsField: string): void {
  if (tools.length > 0 && toolChoice?.type !== 'none') throw unsupported('a local model calls no tools', toolsField);
  const field = format === null ? rest.find(({ handling }) => handling === 'refuse')?.name : 'response_format';
  if (field === 'response_format') throw unsupported('a local model keeps to no response format', field);
  if (field !== undefined) throw unsupported(`local models do not support ${field}`, field);
  if ((countOrNull(choices) ?? 1) > 1) throw unsupported('a local model gives one answer at a time', 'n');
}

/** One message, or one for each tool result of the turn. */
function messagesOf({ role, parts }: Turn): ChatMessage[] {
  const results = parts.filter((part) => part.type === 'tool_result');
  if (results.length > 0) return results.map((result) => ({ role: 'tool', content: textOf(result.parts) }));
  return [{ role, content: textOf(parts) }];
}

/** Reasoning and tool calls of earlier turns are left out: no chat template needs them. An image cannot be left out: the response would ignore it. */
function textOf(parts: readonly RequestPart[]): string {
  const texts: string[] = [];
  for (const part of parts) {
    if (part.type === 'text' || part.type === 'refusal') texts.push(part.text);
    else if (part.type !== 'reasoning' && part.type !== 'tool_call') throw unsupported('a local model reads text only', 'messages');
  }
  return texts.join('\n');
}

function finiteOrNull(value: number | null): number | null {
  return value !== null && Number.isFinite(value) ? value : null;
}

function countOrNull(value: number | null): number | null {
  return value !== null && Number.isInteger(value) && value > 0 ? value : null;
}
