import { isRecord } from '../core/json.ts';
import { byteOrderMarkLength } from './bytes.ts';
import { scanObject } from './json-scan.ts';
import type { JsonFault, JsonObjectScan } from './json-scan.ts';
import { isNull, kindOf, parseMember, readBoolean, readCount, readString } from './json-values.ts';
import { foldName, isFolded } from './member-names.ts';
import type { BodyMember } from './request-body.ts';
import { countPrompts, countTokenIds } from './prompt-items.ts';
import type { Operation, RequestFacts } from '../core/request.ts';
import type { DecodedRequest, Dialect, PathFacts } from './dialect.ts';

export type JsonOperation = 'chat' | 'completions' | 'embeddings';

/**
 * Fields that Breakwater acts on. Each must be unambiguous: if one is repeated, or appears under a name that differs in case only, parsers
 * disagree about its value, and a decision made here (by a limit, a list of models) might not match what the provider does. The first
 * `SMALL_FIELDS` of them are parsed, so their size is limited.
 */
const FIELDS = [
  'model', 'stream', 'stream_options', 'max_tokens', 'max_completion_tokens', 'n', 'best_of', 'prompt_cache_key', 'service_tier',
  'reasoning_effort', 'reasoning', 'thinking', 'enable_thinking', 'chat_template_kwargs',
  'messages', 'prompt', 'input', 'tools', 'functions', 'response_format',
] as const; // prettier-ignore
const SMALL_FIELDS = FIELDS.indexOf('messages');
const FIELD_BIT: ReadonlyMap<string, number> = new Map(FIELDS.map((name, index) => [name, 1 << index]));
const SMALL_FIELD_BYTES_MAX = 64 * 1024;
/** More than ten times the length of any provider's model name. */
const MODEL_BYTES_MAX = 1024;
/** A longer cache key is left to the provider, and is not used for credential affinity. */
const CACHE_KEY_LENGTH_MAX = 1024;

/** Fields that are not model input, however long their values are. */
const NOT_INPUT = new Set([
  'model', 'stream_options', 'stop', 'logit_bias', 'user', 'metadata', 'service_tier', 'prompt_cache_key', 'prompt_cache_options',
  'prompt_cache_retention', 'safety_identifier', 'reasoning_effort', 'reasoning', 'thinking', 'verbosity', 'modalities', 'encoding_format',
  'chat_template_kwargs', 'extra_body', 'provider', 'models', 'plugins',
]); // prettier-ignore

const BYTES_PER_TOKEN = 4;
/** Longer than any response. Larger numbers are cut, or sums with them would exceed limits permanently. */
const OUTPUT_MAX = 10_000_000;

/** The most tokens that all choices of a request may generate together; null: not stated. */
export function outputBoundOf(perChoice: number | null, choices = 1): number | null {
  return perChoice === null ? null : Math.min(OUTPUT_MAX, perChoice * choices);
}

/** For paths that state neither the model nor streaming. */
export const NO_PATH_FACTS: PathFacts = { model: null, stream: false };

/**
 * Reads the fields that Breakwater acts on from a request body; everything else is left to the provider. A fault has a message for the
 * caller and the name of the field, as in `error.param`. `body.bytes` are the given bytes, without their byte order mark.
 */
export function decodeRequest(dialect: Dialect, operation: Operation, input: Uint8Array, path = NO_PATH_FACTS): DecodedRequest {
  const bytes = withoutByteOrderMark(input);
  return dialect.request.decode(operation, bytes, scanObject(bytes), path);
}

/** The bytes without their byte order mark, as they are scanned and sent. */
export function withoutByteOrderMark(input: Uint8Array): Uint8Array {
  const mark = byteOrderMarkLength(input);
  return mark === 0 ? input : input.subarray(mark);
}

/** Decodes the fields that all dialects have in common, from a scanned body. */
export function decodeScanned(
  operation: JsonOperation,
  bytes: Uint8Array,
  scan: JsonObjectScan | JsonFault,
  { needsMessages = operation === 'chat', model = null }: { readonly needsMessages?: boolean; readonly model?: string | null } = {},
): DecodedRequest {
  if (!scan.ok) return { ok: false, message: `The request body is ${scan.message}.`, param: null };
  const fields = new FieldReader(bytes, scan, model);
  const fault = fields.fault ?? missingInput(operation, fields, needsMessages);
  if (fault !== null) return { ok: false, ...fault };
  return {
    ok: true,
    facts: fields.toFacts(operation),
    body: { bytes, members: scan.members, values: scan.values, opaque: scan.opaque, contentType: null, passed: null },
  };
}

interface Fault {
  readonly message: string;
  readonly param: string;
}

function missingInput(operation: JsonOperation, fields: FieldReader, needsMessages: boolean): Fault | null {
  if (needsMessages) {
    if (fields.messages === null) return { message: "Missing required parameter: 'messages'.", param: 'messages' };
    if (kindOf(fields.bytes, fields.messages) !== 'array') return { message: "'messages' must be an array.", param: 'messages' };
  }
  // Other providers accept `messages`, `texts`, `images` and more instead.
  if (operation === 'embeddings' && !fields.hasInput) return { message: "Missing required parameter: 'input'.", param: 'input' };
  return null;
}

/** Reads all members in one pass. */
class FieldReader {
  readonly bytes: Uint8Array;
  readonly #scan: JsonObjectScan;
  fault: Fault | null = null;
  messages: BodyMember | null = null;
  input: BodyMember | null = null;
  #prompt: BodyMember | null = null;
  #model: string | null = null;
  #stream = false;
  #includesUsage = false;
  #maxTokens: number | null = null;
  #maxCompletionTokens: number | null = null;
  #choices: number | null = null;
  #bestOf: number | null = null;
  #effort = false;
  #reasoning = false;
  #thinking = false;
  #enableThinking = false;
  #templateThinking = false;
  #hasTools = false;
  #hasFunctions = false;
  #hasResponseFormat = false;
  #cacheKey: string | null = null;
  #serviceTier: string | null = null;
  #inputBytes = 0;
  /** Which of `FIELDS` were given. */
  #seen = 0;

  /** `pathModel`: the model named in the path; null: the body names it. */
  constructor(bytes: Uint8Array, scan: JsonObjectScan, pathModel: string | null) {
    this.bytes = bytes;
    this.#scan = scan;
    for (const member of scan.members) this.#read(member);
    this.#model = pathModel ?? this.#model;
    if (this.fault === null && (this.#model === null || this.#model === '')) {
      this.fault = { message: "'model' is required and must be a non-empty string.", param: 'model' };
    }
  }

  #read(member: BodyMember): void {
    const { bytes } = this;
    if (isInput(bytes, member)) this.#inputBytes += member.end - member.start;
    const bit = FIELD_BIT.get(member.name);
    if (bit === undefined) return this.#refuseVariant(member.name);
    if ((this.#seen & bit) !== 0) return this.#refuse(member.name, `'${member.name}' is given twice.`);
    this.#seen |= bit;
    if (bit < 1 << SMALL_FIELDS && member.end - member.start > SMALL_FIELD_BYTES_MAX) {
      return this.#refuse(member.name, `'${member.name}' is larger than ${SMALL_FIELD_BYTES_MAX} bytes.`);
    }
    switch (member.name) {
      case 'model':
        if (member.end - member.start > MODEL_BYTES_MAX) return this.#refuse('model', `'model' is longer than ${MODEL_BYTES_MAX} bytes.`);
        this.#model = readString(bytes, member) ?? '';
        break;
      case 'messages':
        this.messages = member;
        break;
      case 'prompt':
        this.#prompt = member;
        break;
      case 'input':
        this.input = member;
        break;
      case 'stream':
        this.#stream = readBoolean(bytes, member) ?? false;
        if (readBoolean(bytes, member) === null && !isNull(bytes, member)) {
          this.fault ??= { message: "'stream' must be true or false.", param: 'stream' };
        }
        break;
      case 'stream_options':
        this.#includesUsage = property(bytes, member, 'include_usage') === true;
        break;
      case 'max_tokens':
        this.#maxTokens = readCount(bytes, member);
        break;
      case 'max_completion_tokens':
        this.#maxCompletionTokens = readCount(bytes, member);
        break;
      case 'n':
        this.#choices = readCount(bytes, member);
        break;
      case 'best_of':
        this.#bestOf = readCount(bytes, member);
        break;
      case 'tools':
        this.#hasTools = kindOf(bytes, member) === 'array' && member.items > 0;
        break;
      case 'functions':
        this.#hasFunctions = kindOf(bytes, member) === 'array' && member.items > 0;
        break;
      case 'response_format':
        this.#hasResponseFormat = kindOf(bytes, member) === 'object';
        break;
      case 'prompt_cache_key':
        this.#cacheKey = member.end - member.start > CACHE_KEY_LENGTH_MAX ? null : readString(bytes, member);
        break;
      case 'service_tier':
        this.#serviceTier = readString(bytes, member);
        break;
      default:
        this.#readThinking(member);
    }
  }

  #refuse(param: string, message: string): void {
    this.fault ??= { message, param };
  }

  /** Another parser may read this member instead of the one with the exact name. */
  #refuseVariant(name: string): void {
    if (isFolded(name)) return;
    const folded = foldName(name);
    if (FIELD_BIT.has(folded))
      this.#refuse(folded, `'${name.slice(0, 80)}' differs from '${folded}' in case only: parsers disagree about which field it is.`);
  }

  /** The ways to request reasoning: OpenAI, OpenRouter, Anthropic and Gemini compatible, Qwen, vLLM templates. */
  #readThinking(member: BodyMember): void {
    const { bytes } = this;
    switch (member.name) {
      case 'reasoning_effort':
        this.#effort = isEffort(readString(bytes, member));
        break;
      case 'reasoning':
        this.#reasoning = requestsReasoning(bytes, member);
        break;
      case 'thinking':
        this.#thinking = requestsThinking(bytes, member);
        break;
      case 'enable_thinking':
        this.#enableThinking = readBoolean(bytes, member) === true;
        break;
      case 'chat_template_kwargs':
        this.#templateThinking = property(bytes, member, 'enable_thinking') === true || property(bytes, member, 'thinking') === true;
        break;
      default:
    }
  }

  /** Some member may be the input, under whatever name. */
  get hasInput(): boolean {
    return this.input !== null || this.#inputBytes > 0;
  }

  toFacts(operation: JsonOperation): RequestFacts {
    return {
      operation,
      model: this.#model ?? '',
      stream: operation !== 'embeddings' && this.#stream,
      wantsUsage: this.#stream && this.#includesUsage,
      choices: this.#choiceCount(operation),
      outputBound: this.#outputBound(operation),
      inputTokens: this.#inputTokens(),
      usesReasoning: this.#effort || this.#reasoning || this.#thinking || this.#enableThinking || this.#templateThinking,
      hasTools: this.#hasTools || this.#hasFunctions,
      hasResponseFormat: this.#hasResponseFormat,
      cacheKey: this.#cacheKey === '' ? null : this.#cacheKey,
      serviceTier: this.#serviceTier,
    };
  }

  #choiceCount(operation: JsonOperation): number {
    if (operation === 'embeddings') return this.input === null ? 1 : countPrompts(this.bytes, this.input);
    const each = Math.max(1, this.#choices ?? 1);
    return operation === 'chat' ? each : each * this.#prompts();
  }

  #prompts(): number {
    return this.#prompt === null ? 1 : countPrompts(this.bytes, this.#prompt);
  }

  #outputBound(operation: JsonOperation): number | null {
    if (operation === 'embeddings') return 0;
    const perChoice = this.#maxCompletionTokens ?? this.#maxTokens;
    if (perChoice === null) return null;
    if (operation === 'chat') return outputBoundOf(perChoice, Math.max(1, this.#choices ?? 1));
    // `best_of` completions are generated and billed for each prompt; `n` of them are returned.
    const completions = Math.max(1, this.#choices ?? 1, this.#bestOf ?? 1);
    return outputBoundOf(perChoice, completions * this.#prompts());
  }

  #inputTokens(): number {
    let textBytes = this.#inputBytes - this.#scan.mediaBytes;
    let tokens = this.#scan.mediaTokens;
    for (const member of [this.input, this.#prompt]) {
      const ids = member === null ? 0 : countTokenIds(this.bytes, member);
      if (member === null || ids === 0) continue;
      textBytes -= member.end - member.start;
      tokens += ids;
    }
    return tokens + Math.ceil(Math.max(0, textBytes) / BYTES_PER_TOKEN);
  }
}

/** Strings, arrays and objects count as input unless listed otherwise: an unknown field may hold documents. */
function isInput(bytes: Uint8Array, member: BodyMember): boolean {
  const first = bytes[member.start];
  return (first === 0x22 || first === 0x5b || first === 0x7b) && !NOT_INPUT.has(member.name);
}

function property(bytes: Uint8Array, member: BodyMember, name: string): unknown {
  if (kindOf(bytes, member) !== 'object') return undefined;
  const value = parseMember(bytes, member);
  return isRecord(value) ? value[name] : undefined;
}

function isEffort(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && value !== 'none' && value !== 'minimal';
}

/** `reasoning: { effort | max_tokens | enabled }` (OpenRouter), or a bare `true`. */
function requestsReasoning(bytes: Uint8Array, member: BodyMember): boolean {
  const value = parseMember(bytes, member);
  if (!isRecord(value)) return value === true;
  if (value['enabled'] === false) return false;
  if (typeof value['effort'] === 'string') return isEffort(value['effort']);
  return value['enabled'] === true || Number(value['max_tokens']) > 0;
}

/** `thinking: { type: "enabled" | "adaptive" | … }`, `{ budget_tokens }`, or a bare `true`. */
function requestsThinking(bytes: Uint8Array, member: BodyMember): boolean {
  const value = parseMember(bytes, member);
  if (!isRecord(value)) return value === true;
  if (typeof value['type'] === 'string') return value['type'] !== 'disabled';
  return value['enabled'] === true || Number(value['budget_tokens']) > 0;
}
