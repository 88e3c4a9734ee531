/**
 * Fields beside `model` that name a model: OpenRouter's `models` and plugins, LiteLLM's `fallbacks`, `engine` and `deployment` of older
 * APIs, a preset that chooses one. A client with a list of models may use them only for what the list allows, so every name is collected;
 * vendors invent such fields faster than a list of them grows, so a field is known by the words in its name.
 */
import { isRecord, parseMember } from './json-values.ts';
import { foldName } from './member-names.ts';
import type { BodyMember } from './request-body.ts';

export interface ModelNames {
  readonly names: readonly string[];
  /** A field that names models, or may, and is too large to be read; null: none is. */
  readonly unreadable: string | null;
}

/** Members that hold content, or what the caller files the request under: names in there choose nothing. */
const FREE = new Set([
  'model', 'messages', 'prompt', 'input', 'tools', 'functions', 'response_format', 'metadata', 'user', 'prediction', 'suffix', 'stop', 'documents',
  'query', 'instructions', 'logit_bias', 'tool_choice', 'function_call', 'stream_options', 'chat_template_kwargs', 'audio', 'modalities', 'web_search_options',
]); // prettier-ignore
const WORDS = /(?:^|_)(?:models?|fallbacks?|deployments?|presets?)(?:_|$)|model(?:s|id|name|list)?$/;
/** An engine is a model at the top of a request, and anything (a search engine) further in. */
const TOP_WORDS = /(?:^|_)engines?(?:_|$)/;
const FIELD_BYTES_MAX = 64 * 1024;
const VALUES_MAX = 10_000;

/** True if a field of this name names a model, or several. */
export function namesModel(name: string, isTop = true): boolean {
  const words = foldName(name.replaceAll(/([a-z])([A-Z])/g, '$1_$2').replaceAll(/[-. ]/g, '_'));
  return WORDS.test(words) || (isTop && TOP_WORDS.test(words));
}

/** Every model that members beside `model` name. Costs nothing for the usual members. */
export function modelNamesIn(bytes: Uint8Array, members: readonly BodyMember[]): ModelNames {
  const names: string[] = [];
  for (const member of members) {
    const first = bytes[member.start];
    const isContainer = first === 0x7b || first === 0x5b;
    if (FREE.has(member.name) || (!isContainer && !namesModel(member.name))) continue;
    if (member.end - member.start > FIELD_BYTES_MAX) return { names, unreadable: member.name.slice(0, 80) };
    collect(parseMember(bytes, member), { isNamed: namesModel(member.name), isTop: member.name === 'extra_body' }, names);
    if (names.length > VALUES_MAX) return { names, unreadable: member.name.slice(0, 80) };
  }
  return { names, unreadable: null };
}

/**
 * `isNamed`: the value stands under a name that names models; in a map of fallbacks the keys are models too. `isTop`: its members are
 * made members of the request itself, as some gateways do.
 */
function collect(value: unknown, { isNamed, isTop }: { readonly isNamed: boolean; readonly isTop: boolean }, names: string[]): void {
  if (typeof value === 'string') {
    if (isNamed) names.push(value);
  } else if (Array.isArray(value)) {
    for (const item of value) collect(item, { isNamed, isTop: false }, names);
  } else if (isRecord(value)) {
    const said = Object.entries(value);
    const isMap = isNamed && !said.some(([name]) => namesModel(name, isTop));
    for (const [name, inner] of said) {
      if (isMap) names.push(name);
      collect(inner, { isNamed: isMap || namesModel(name, isTop), isTop: false }, names);
    }
  }
}
