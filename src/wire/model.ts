/**
 * What a request asks and a response says, in no dialect of its own: the middle of a conversion between two dialects. Between equal
 * dialects nothing here is used; the bytes pass.
 *
 * A dialect's `parse*` functions produce these values and its `write*` functions take them. JSON values inside (schemas, tool arguments
 * of dialects that nest them) come from `parseExact`, so that numbers keep their digits.
 */
import type { TokenUsage } from '../core/facts.ts';

/** Bytes of an image, a sound or a file: inline as base64, by address, or by the id of an upload at one account. */
export type MediaSource =
  | { readonly kind: 'data'; readonly mime: string; readonly base64: string }
  | { readonly kind: 'url'; readonly url: string; readonly mime: string | null }
  | { readonly kind: 'file_id'; readonly id: string };

/**
 * A piece that only its author can read: encrypted reasoning, a signature, a thought signature. `dialect` names the dialect it was
 * found in; it is written back only into the same one.
 */
export interface Opaque {
  readonly dialect: DialectName;
  readonly value: string;
}

export type RequestPart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'refusal'; readonly text: string }
  | { readonly type: 'image'; readonly source: MediaSource; readonly detail: string | null }
  /** `format` is the short name: `wav`, `mp3`. */
  | { readonly type: 'audio'; readonly source: MediaSource; readonly format: string }
  | { readonly type: 'file'; readonly source: MediaSource; readonly name: string | null }
  | { readonly type: 'reasoning'; readonly text: string; readonly opaque: Opaque | null }
  | ToolCall
  | ToolResult
  /** Something that only its own dialect has, named as there: a server tool's call, a compaction. */
  | { readonly type: 'foreign'; readonly name: string };

export interface ToolCall {
  readonly type: 'tool_call';
  readonly id: string;
  readonly name: string;
  /** `custom` takes free text, `function` a JSON object. */
  readonly kind: 'function' | 'custom';
  /** The JSON text of the arguments, or a custom tool's input; `{}` where a dialect leaves them out. */
  readonly arguments: string;
  readonly opaque: Opaque | null;
}

export interface ToolResult {
  readonly type: 'tool_result';
  readonly callId: string;
  /** The tool's name, where the dialect repeats it or the conversation tells. */
  readonly name: string | null;
  readonly parts: readonly RequestPart[];
  readonly isError: boolean;
}

/** Text of the system stands in turns of its own, wherever they are; tool results stand in `user` turns. */
export interface Turn {
  readonly role: 'system' | 'user' | 'assistant';
  readonly parts: readonly RequestPart[];
}

export type ModelTool =
  | {
      readonly type: 'function';
      readonly name: string;
      readonly description: string | null;
      /** JSON Schema of the arguments; null: the tool takes none. */
      readonly schema: unknown;
      readonly strict: boolean | null;
      readonly origin?: ToolOrigin;
    }
  | {
      readonly type: 'custom';
      readonly name: string;
      readonly description: string | null;
      readonly format: unknown;
      readonly origin?: ToolOrigin;
    }
  | { readonly type: 'foreign'; readonly name: string };

/** Where a tool of a namespace (Responses) comes from; its name here is unique over all namespaces. */
export interface ToolOrigin {
  readonly namespace: string;
  readonly name: string;
}

export type ToolChoice =
  | { readonly type: 'auto' | 'none' | 'required' }
  | { readonly type: 'tool'; readonly name: string }
  | { readonly type: 'allowed'; readonly mode: 'auto' | 'required'; readonly names: readonly string[] };

export type OutputFormat =
  | { readonly type: 'json_object' }
  | {
      readonly type: 'json_schema';
      readonly name: string | null;
      readonly description: string | null;
      readonly schema: unknown;
      readonly strict: boolean | null;
    };

export const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const;
export type Effort = (typeof EFFORTS)[number];

export interface ReasoningRequest {
  /** Null where only a budget was given, or reasoning was asked for without saying how much. */
  readonly effort: Effort | null;
  readonly budgetTokens: number | null;
}

export interface ModelRequest {
  readonly stream: boolean;
  /** The caller of a stream asked for the usage in it. */
  readonly includeUsage: boolean;
  readonly turns: readonly Turn[];
  readonly tools: readonly ModelTool[];
  readonly toolChoice: ToolChoice | null;
  readonly parallelToolCalls: boolean | null;
  /** Tokens of one choice. */
  readonly outputBound: number | null;
  readonly choices: number;
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly topK: number | null;
  readonly seed: number | null;
  readonly presencePenalty: number | null;
  readonly frequencyPenalty: number | null;
  readonly stop: readonly string[];
  readonly format: OutputFormat | null;
  readonly reasoning: ReasoningRequest | null;
  /** Who the end user is, as a stable opaque name. */
  readonly userId: string | null;
  readonly cacheKey: string | null;
  readonly serviceTier: string | null;
  /** Members that the model has no place for, by the fate that the dialect's table gives them. */
  readonly rest: readonly Unmodelled[];
}

/**
 * A request member without a place in the model. `drop`: the response may be worse but not wrong; it is left out and named in
 * `x-breakwater-dropped`. `refuse`: without it the response would be wrong. What changes nothing is not listed at all.
 */
export interface Unmodelled {
  readonly name: string;
  readonly fate: 'drop' | 'refuse';
}

/** A request in the target's dialect, or the field that the target can't be asked for. */
export type Encoded =
  | { readonly ok: true; readonly body: Uint8Array; readonly dropped: readonly string[] }
  | { readonly ok: false; readonly field: string; readonly message: string };

/** Those that callers speak. */
export const DIALECT_NAMES = ['openai-chat', 'openai-responses', 'anthropic-messages', 'gemini'] as const;
export type DialectName = (typeof DIALECT_NAMES)[number] | 'bedrock-converse';

/** Why a choice ended, by class. `pause`: the provider wants the turn back to go on. */
export const FINISH_CLASSES = ['stop', 'length', 'tool_calls', 'content_filter', 'pause', 'other'] as const;
export type FinishClass = (typeof FINISH_CLASSES)[number];

/** What begins a part of a response. */
export type PartHead =
  | { readonly type: 'text' | 'refusal' }
  | { readonly type: 'reasoning' }
  | { readonly type: 'tool_call'; readonly id: string; readonly name: string; readonly kind: 'function' | 'custom' }
  | { readonly type: 'media'; readonly source: MediaSource }
  /** Something that only its own dialect has (a server tool's call or result, a citation). Its deltas are not given. */
  | { readonly type: 'foreign'; readonly name: string };

/**
 * A response in order. Of each choice: parts, each begun, continued by text (for a tool call: of its arguments, `{}` where it has none)
 * and ended, several at a
 * time only where the dialect interleaves them; then one `finish`. `usage` grows: the last one counts. `end` comes only after a
 * complete response.
 */
export type ModelEvent =
  /** `createdAt`: seconds since the epoch, where the dialect says. */
  | { readonly type: 'start'; readonly id: string | null; readonly model: string | null; readonly createdAt?: number | null }
  | { readonly type: 'part_start'; readonly choice: number; readonly part: number; readonly head: PartHead }
  | { readonly type: 'delta'; readonly choice: number; readonly part: number; readonly text: string }
  | { readonly type: 'part_end'; readonly choice: number; readonly part: number; readonly opaque: Opaque | null }
  | {
      readonly type: 'finish';
      readonly choice: number;
      readonly reason: FinishClass;
      /** The provider's own word. */
      readonly raw: string;
      /** The stop sequence that was met, where the provider says. */
      readonly stopSequence: string | null;
    }
  | { readonly type: 'usage'; readonly usage: TokenUsage }
  | { readonly type: 'end' };

/** A whole response: its events folded. */
export interface ModelResponse {
  readonly id: string | null;
  readonly model: string | null;
  readonly choices: readonly ResponseChoice[];
  readonly usage: TokenUsage | null;
}

export interface ResponseChoice {
  readonly index: number;
  readonly parts: readonly ResponsePart[];
  readonly finish: { readonly reason: FinishClass; readonly raw: string; readonly stopSequence: string | null } | null;
}

export interface ResponsePart {
  readonly head: PartHead;
  /** Text, or a tool call's arguments. */
  readonly text: string;
  readonly opaque: Opaque | null;
}

/**
 * Reads a stream of one dialect whose watcher has passed it: whole events, in order, in any pieces. What is malformed or failed has been
 * found by the watcher; what is only strange is skipped.
 */
export interface StreamParser {
  parse(pieces: readonly Uint8Array[]): readonly ModelEvent[];
  /** The watcher found the response complete. */
  end(): readonly ModelEvent[];
}

/** Writes a stream of one dialect: each event as the text that says it, possibly none. */
export interface StreamWriter {
  write(event: ModelEvent): string;
}

/** What a written response needs beside its events. */
export interface WriteOptions {
  /** Where the provider gave no id or model of its own. */
  readonly id: string;
  readonly model: string;
  /** Seconds since the epoch. */
  readonly createdAt: number;
  /** The caller of a stream asked for the usage in it. */
  readonly includeUsage: boolean;
  /** False: the usage is written as totals only, without its cached and reasoning tokens. Default: true. */
  readonly usageDetails?: boolean;
  /** Of the request that is answered. */
  readonly tools: readonly ModelTool[];
  /** Members of the request that its dialect repeats in the response. */
  readonly echo: Readonly<Record<string, unknown>>;
}
