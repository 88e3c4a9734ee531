/** Converts a model request to the text prompt of a local model. Unsupported features are rejected, never silently dropped. */
import type { ModelRequest, RequestPart, Turn } from '../wire/model.ts';
import { unsupported } from './engine.ts';
import type { ChatMessage, Prompt } from './engine.ts';

const STOPS_MAX = 16;

export interface PromptOptions {
  /** See `Prompt`. */
  readonly isBare: boolean;
  /** The name of the tools member in errors. */
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
  if (tools.length > 0 && toolChoice?.type !== 'none') throw unsupported('local models do not support tools', toolsField);
  const field = format === null ? rest.find(({ handling }) => handling === 'refuse')?.name : 'response_format';
  if (field === 'response_format') throw unsupported('local models do not support response_format', field);
  if (field !== undefined) throw unsupported(`local models do not support ${field}`, field);
  if ((countOrNull(choices) ?? 1) > 1) throw unsupported('local models return one choice', 'n');
}

/** One message, or one for each tool result of the turn. */
function messagesOf({ role, parts }: Turn): ChatMessage[] {
  const results = parts.filter((part) => part.type === 'tool_result');
  if (results.length > 0) return results.map((result) => ({ role: 'tool', content: textOf(result.parts) }));
  return [{ role, content: textOf(parts) }];
}

/** Drops reasoning and tool calls of earlier turns, which no chat template needs. An image is rejected: the response would ignore it. */
function textOf(parts: readonly RequestPart[]): string {
  const texts: string[] = [];
  for (const part of parts) {
    if (part.type === 'text' || part.type === 'refusal') texts.push(part.text);
    else if (part.type !== 'reasoning' && part.type !== 'tool_call') throw unsupported('local models accept text only', 'messages');
  }
  return texts.join('\n');
}

function finiteOrNull(value: number | null): number | null {
  return value !== null && Number.isFinite(value) ? value : null;
}

function countOrNull(value: number | null): number | null {
  return value !== null && Number.isInteger(value) && value > 0 ? value : null;
}
