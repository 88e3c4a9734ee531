/**
 * Fields beside `model` that name a model: OpenRouter's `models` and plugins, LiteLLM's `fallbacks`, `engine` and `deployment` of older
 * APIs, a preset that selects one. A client with a list of allowed models may use them only for those, so every name is collected. Vendors
 * invent such fields faster than a list could follow, so a field is recognized by the words in its name.
 */
import { isRecord } from '../core/json.ts';
import { parseMember } from './json-values.ts';
import { foldName } from './member-names.ts';
import type { BodyMember } from './request-body.ts';

export interface ModelNames {
  readonly names: readonly string[];
  /** A field that may name models but is too large to be read; null: none. */
  readonly unreadable: string | null;
}

/** Members that hold content, or the caller's own labels: names in them select nothing. */
const FREE = new Set([
  'model', 'messages', 'prompt', 'input', 'tools', 'functions', 'response_format', 'metadata', 'user', 'prediction', 'suffix', 'stop', 'documents',
  'query', 'instructions', 'system', 'contents', 'content', 'systemInstruction', 'system_instruction', 'logit_bias', 'tool_choice', 'function_call', 'stream_options', 'chat_template_kwargs', 'audio', 'modalities', 'web_search_options',
]); // prettier-ignore
const WORDS = /(?:^|_)(?:models?|fallbacks?|deployments?|presets?)(?:_|$)|model(?:s|id|name|list)?$/;
/** An engine is a model at the top level of a request, but may be anything (a search engine) further in. */
const TOP_WORDS = /(?:^|_)engines?(?:_|$)/;
const NONE: ReadonlySet<string> = new Set();
const FIELD_BYTES_MAX = 64 * 1024;
const VALUES_MAX = 10_000;

/** True if a field with this name names one or more models. */
export function namesModel(name: string, isTop = true): boolean {
  const words = foldName(name.replaceAll(/([a-z])([A-Z])/g, '$1_$2').replaceAll(/[-. ]/g, '_'));
  return WORDS.test(words) || (isTop && TOP_WORDS.test(words));
}

/** Every model named by members other than `model` and `except`. Common members cost nothing. */
export function modelNamesIn(bytes: Uint8Array, members: readonly BodyMember[], except = NONE): ModelNames {
  const names: string[] = [];
  for (const member of members) {
    const first = bytes[member.start];
    const isContainer = first === 0x7b || first === 0x5b;
    if (FREE.has(member.name) || except.has(member.name) || (!isContainer && !namesModel(member.name))) continue;
    if (member.end - member.start > FIELD_BYTES_MAX) return { names, unreadable: member.name.slice(0, 80) };
    collect(parseMember(bytes, member), { isNamed: namesModel(member.name), isTop: member.name === 'extra_body' }, names);
    if (names.length > VALUES_MAX) return { names, unreadable: member.name.slice(0, 80) };
  }
  return { names, unreadable: null };
}

/**
 * `isNamed`: the member's name says that it names models; in a map of fallbacks the keys are models too. `isTop`: some gateways merge its
 * members into the request itself.
 */
function collect(value: unknown, { isNamed, isTop }: { readonly isNamed: boolean; readonly isTop: boolean }, names: string[]): void {
  if (typeof value === 'string') {
    if (isNamed) names.push(value);
  } else if (Array.isArray(value)) {
    for (const item of value) collect(item, { isNamed, isTop: false }, names);
  } else if (isRecord(value)) {
    const entries = Object.entries(value);
    const isMap = isNamed && !entries.some(([name]) => namesModel(name, isTop));
    for (const [name, inner] of entries) {
      if (isMap) names.push(name);
      collect(inner, { isNamed: isMap || namesModel(name, isTop), isTop: false }, names);
    }
  }
}
