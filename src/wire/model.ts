/**
 * Requests and responses independent of any dialect: the intermediate form of a conversion between two dialects. Not used between equal
 * dialects, where the bytes are passed through.
 *
 * A dialect's `parse*` functions produce these values and its `write*` functions take them. JSON values inside (schemas, tool arguments of
 * dialects that nest them) come from `parseExact`, so that numbers keep their digits.
 */
import type { TokenUsage } from '../core/facts.ts';

/** The bytes of an image, audio or a file: inline as base64, by URL, or by the id of an upload to one account. */
export type MediaSource =
  | { readonly kind: 'data'; readonly mime: string; readonly base64: string }
  | { readonly kind: 'url'; readonly url: string; readonly mime: string | null }
  | { readonly kind: 'file_id'; readonly id: string };

/**
 * A value that only its issuer can read: encrypted reasoning, a signature, a thought signature. `dialect` is the dialect in which it was
 * found; it is written back to that one only.
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
  /** A feature that only one dialect has, by its name there: a server tool's call, a compaction. */
  | { readonly type: 'foreign'; readonly name: string };

export interface ToolCall {
  readonly type: 'tool_call';
  readonly id: string;
  readonly name: string;
  /** `custom` takes free text, `function` a JSON object. */
  readonly kind: 'function' | 'custom';
  /** The JSON text of the arguments, or a custom tool's input; `{}` if the dialect omits them. */
  readonly arguments: string;
  readonly opaque: Opaque | null;
}

export interface ToolResult {
  readonly type: 'tool_result';
  readonly callId: string;
  /** The tool's name, if the dialect repeats it or the conversation contains the call. */
  readonly name: string | null;
  readonly parts: readonly RequestPart[];
  readonly isError: boolean;
}

/** System text is in turns of its own, at any position; tool results are in `user` turns. */
export interface Turn {
  readonly role: 'system' | 'user' | 'assistant';
  readonly parts: readonly RequestPart[];
}

export type ModelTool =
  | {
      readonly type: 'function';
      readonly name: string;
      readonly description: string | null;
      /** JSON Schema of the arguments; null: none. */
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

/** The namespace (Responses) that a tool belongs to, and its name there; its name here is unique across namespaces. */
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
  /** Null if only a budget was given, or reasoning was requested without a level. */
  readonly effort: Effort | null;
  readonly budgetTokens: number | null;
}

export interface ModelRequest {
  readonly stream: boolean;
  /** The caller requested usage in the stream. */
  readonly includeUsage: boolean;
  readonly turns: readonly Turn[];
  readonly tools: readonly ModelTool[];
  readonly toolChoice: ToolChoice | null;
  readonly parallelToolCalls: boolean | null;
  /** Maximum output tokens of one choice. */
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
  /** A stable opaque identifier of the end user. */
  readonly userId: string | null;
  readonly cacheKey: string | null;
  readonly serviceTier: string | null;
  /** Fields that the model has no place for, handled as the dialect's table says. */
  readonly rest: readonly Unmodelled[];
}

/**
 * A request field without a place in the model. `drop`: the response may be worse but not wrong; the field is removed and listed in
 * `x-breakwater-dropped`. `refuse`: without it the response would be wrong. Fields that change nothing are not listed.
 */
export interface Unmodelled {
  readonly name: string;
  readonly handling: 'drop' | 'refuse';
}

/** A request in the target's dialect, or the field that can't be converted. */
export type Encoded =
  | { readonly ok: true; readonly body: Uint8Array; readonly dropped: readonly string[] }
  | { readonly ok: false; readonly field: string; readonly message: string };

/** The dialects that callers can use. */
export const DIALECT_NAMES = ['openai-chat', 'openai-responses', 'anthropic-messages', 'gemini'] as const;
export type DialectName = (typeof DIALECT_NAMES)[number] | 'bedrock-converse';

/** Why a choice ended, by class. `pause`: the provider expects the turn back to continue. */
export const FINISH_CLASSES = ['stop', 'length', 'tool_calls', 'content_filter', 'pause', 'other'] as const;
export type FinishClass = (typeof FINISH_CLASSES)[number];

/** The start of a response part. */
export type PartHead =
  | { readonly type: 'text' | 'refusal' }
  | { readonly type: 'reasoning' }
  | { readonly type: 'tool_call'; readonly id: string; readonly name: string; readonly kind: 'function' | 'custom' }
  | { readonly type: 'media'; readonly source: MediaSource }
  /** A feature that only one dialect has (a server tool's call or result, a citation). Its deltas are omitted. */
  | { readonly type: 'foreign'; readonly name: string };

/**
 * A response in order. For each choice: parts, each started, extended by text (for a tool call: by its arguments, `{}` if it has none) and
 * ended, interleaved only if the dialect interleaves them; then one `finish`. `usage` is cumulative: the last one counts. `end` follows
 * only a complete response.
 */
export type ModelEvent =
  /** `createdAt`: seconds since the epoch, if the dialect reports it. */
  | { readonly type: 'start'; readonly id: string | null; readonly model: string | null; readonly createdAt?: number | null }
  | { readonly type: 'part_start'; readonly choice: number; readonly part: number; readonly head: PartHead }
  | { readonly type: 'delta'; readonly choice: number; readonly part: number; readonly text: string }
  | { readonly type: 'part_end'; readonly choice: number; readonly part: number; readonly opaque: Opaque | null }
  | {
      readonly type: 'finish';
      readonly choice: number;
      readonly reason: FinishClass;
      /** The provider's own finish reason. */
      readonly raw: string;
      /** The stop sequence that matched, if the provider reports it. */
      readonly stopSequence: string | null;
    }
  | { readonly type: 'usage'; readonly usage: TokenUsage }
  | { readonly type: 'end' };

/** A complete response: its events folded. */
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
 * Parses a stream of one dialect that its watcher has passed: complete events, in order, in any chunking. The watcher has caught everything
 * malformed or failed; unknown data is skipped.
 */
export interface StreamParser {
  /** The `part_start` of a tool call, or a `finish`, is still held. Absent: never held. */
  readonly holdsEvents?: boolean;
  parse(pieces: readonly Uint8Array[]): readonly ModelEvent[];
  /** Called when the watcher finds the response complete. */
  end(): readonly ModelEvent[];
}

/** Writes a stream of one dialect; returns the text of each event, possibly empty. */
export interface StreamWriter {
  write(event: ModelEvent): string;
}

/** What a written response needs in addition to its events. */
export interface WriteOptions {
  /** Used if the provider sent no id or model. */
  readonly id: string;
  readonly model: string;
  /** Seconds since the epoch. */
  readonly createdAt: number;
  /** The caller requested usage in the stream. */
  readonly includeUsage: boolean;
  /** False: usage is written as totals only, without cached and reasoning tokens. Default: true. */
  readonly usageDetails?: boolean;
  /** The tools of the request. */
  readonly tools: readonly ModelTool[];
  /** Request fields that the dialect echoes in the response. */
  readonly echo: Readonly<Record<string, unknown>>;
}
