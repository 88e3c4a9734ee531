/** What a conversion can't preserve: fields that are dropped and reported, or a reason not to use this target. */
import type { Fields } from './loose-values.ts';
import type { ModelRequest, Unmodelled } from './model.ts';

/** How a request field is converted. `model`: ModelRequest has a field for it; `ignore`: it has no noticeable effect; else see `Unmodelled`. */
export type FieldHandling = 'model' | 'ignore' | Unmodelled['handling'];

/** What the target's model and host support; unknown hosts get what nearly all support. */
export interface TargetCapabilities {
  /** The field that limits the output in a chat request. */
  readonly outputBoundField: 'max_tokens' | 'max_completion_tokens';
  /** Supports a reasoning effort. */
  readonly reasons: boolean;
  /** How reasoning is requested in the Messages dialect: by effort, by a token budget, or not at all. */
  readonly thinking: 'adaptive' | 'budget' | 'none';
  /** The smallest thinking budget in tokens, in the Gemini dialect. Default: 0, no thinking. */
  readonly thinkingBudgetMin?: number;
  /** Supports sampling parameters (`temperature`, `top_p`, `top_k`). */
  readonly samples: boolean;
  /** Supports images. */
  readonly supportsImages: boolean;
  /** Can continue a response that the last message begins. */
  readonly prefills: boolean;
  /** Supports structured output natively. */
  readonly formats: boolean;
  /** Maximum output tokens of one response; null: unknown. */
  readonly outputMax: number | null;
}

/** What the configuration changes in every request to a target. */
export interface WriteEdits {
  readonly model: string;
  /** Requests usage in the stream, for dialects that report it only on demand. */
  readonly askUsage: boolean;
  /** Applies the target's `set` and `drop` to the finished body. */
  apply(body: Fields): Fields;
}

export interface ConversionFault {
  readonly field: string;
  readonly message: string;
}

/** Names listed, in a response header. */
const NAMES_MAX = 32;
/** In characters. */
const NAME_LENGTH_MAX = 64;

/** A caller's field name made safe for a header value, in particular without line breaks. */
function headerName(name: string): string {
  return name.slice(0, NAME_LENGTH_MAX).replaceAll(/[^\w.:-]/g, '_');
}

/** Names of dropped fields, each once, in order, safe for a header; beyond `NAMES_MAX` the last is `more`. */
export class DropList {
  readonly #names = new Set<string>();
  /** The first field without which the response would be wrong; null: none. */
  readonly refusal: ConversionFault | null;

  constructor(rest: readonly Unmodelled[]) {
    for (const { name, handling } of rest) if (handling === 'drop') this.add(name);
    const refused = rest.find(({ handling }) => handling === 'refuse');
    this.refusal = refused === undefined ? null : conversionFault(refused.name);
  }

  add(name: string): void {
    this.#names.add(this.#names.size < NAMES_MAX ? headerName(name) : 'more');
  }

  get names(): readonly string[] {
    return [...this.#names];
  }
}

export function conversionFault(field: string): ConversionFault {
  return { field, message: `'${field}' can't be converted to the protocol of another provider` };
}

/** A feature that only the caller's dialect has and the response depends on; null: none. */
export function findConversionFault(request: ModelRequest, dropped: DropList): ConversionFault | null {
  return foreignContentFault(request) ?? hostedToolFault(request, dropped);
}

/** Unknown parts are dropped if there are others. If there are none, the prompt would be empty. */
function foreignContentFault({ turns }: ModelRequest): ConversionFault | null {
  let name: string | null = null;
  for (const { role, parts } of turns) {
    if (role === 'system') continue;
    for (const part of parts) {
      if (part.type !== 'foreign') return null;
      name ??= part.name;
    }
  }
  return name === null ? null : conversionFault(`messages.${name}`);
}

/**
 * Tools that the provider runs itself exist in one dialect only. They are dropped if other tools are offered. If there are no others, or
 * `tool_choice` requires a tool that is missing, the response would be a different one.
 */
function hostedToolFault(request: ModelRequest, dropped: DropList): ConversionFault | null {
  const hosted = request.tools.filter((tool) => tool.type === 'foreign');
  if (hosted.length === 0) return null;
  const names = new Set(request.tools.flatMap((tool) => (tool.type === 'foreign' ? [] : [tool.name])));
  const { toolChoice } = request;
  const requiresHosted = toolChoice?.type === 'tool' && !names.has(toolChoice.name);
  if (names.size === 0 || requiresHosted) return conversionFault(`tools.${hosted[0]!.name}`);
  for (const { name } of hosted) dropped.add(`tools.${name}`);
  return null;
}
