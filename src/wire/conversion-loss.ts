/** What a conversion can't carry: named for the caller, or a reason why this target can't be asked. */
import type { Fields } from './loose-values.ts';
import type { ModelRequest, Unmodelled } from './model.ts';

/** What becomes of a request member: it has a place in ModelRequest, changes nothing a caller could miss, or see `Unmodelled`. */
export type FieldFate = 'model' | 'ignore' | Unmodelled['fate'];

/** What the target's model and host are known to take; unknown hosts get what nearly all take. */
export interface TargetAbilities {
  /** The name of the output bound in a chat request. */
  readonly outputBoundField: 'max_tokens' | 'max_completion_tokens';
  /** Takes a reasoning effort. */
  readonly reasons: boolean;
  /** How the target is asked to reason, in the Messages dialect: by effort, by a budget of tokens, or not at all. */
  readonly thinking: 'adaptive' | 'budget' | 'none';
  /** The smallest budget of tokens for thinking, in the Gemini dialect. Default: 0, no thinking. */
  readonly thinkingBudgetMin?: number;
  /** Takes sampling parameters (`temperature`, `top_p`, `top_k`). */
  readonly samples: boolean;
  /** Takes images. */
  readonly seesImages: boolean;
  /** Goes on with a response that the last message begins. */
  readonly prefills: boolean;
  /** Has structured output of its own. */
  readonly formats: boolean;
  /** The most tokens it writes in one response; null: not known. */
  readonly outputMax: number | null;
}

/** What the configuration changes in every request to a target. */
export interface WriteEdits {
  readonly model: string;
  /** Asks for the usage of a stream, where the dialect gives it only on demand. */
  readonly askUsage: boolean;
  /** The `set` and `drop` of the target, on the finished body. */
  apply(body: Fields): Fields;
}

export interface ConversionFault {
  readonly field: string;
  readonly message: string;
}

/** As many names are listed; they stand in a header. */
const NAMES_MAX = 32;
/** In characters. */
const NAME_LENGTH_MAX = 64;

/** A caller may call a field what it likes; a header takes less, and may hold no line of its own. */
function headerName(name: string): string {
  return name.slice(0, NAME_LENGTH_MAX).replaceAll(/[^\w.:-]/g, '_');
}

/** Names of what was left out, each once, in the order found, as they may stand in a header; beyond `NAMES_MAX` the last is `more`. */
export class DropList {
  readonly #names = new Set<string>();
  /** The first member without which the response would be wrong; null: there is none. */
  readonly refusal: ConversionFault | null;

  constructor(rest: readonly Unmodelled[]) {
    for (const { name, fate } of rest) if (fate === 'drop') this.add(name);
    const refused = rest.find(({ fate }) => fate === 'refuse');
    this.refusal = refused === undefined ? null : cantCarry(refused.name);
  }

  add(name: string): void {
    this.#names.add(this.#names.size < NAMES_MAX ? headerName(name) : 'more');
  }

  get names(): readonly string[] {
    return [...this.#names];
  }
}

export function cantCarry(field: string): ConversionFault {
  return { field, message: `'${field}' can't be carried to a provider of another protocol` };
}

/** What exists in the caller's dialect only, and without which the response would be another one. */
export function foreignFault(request: ModelRequest, dropped: DropList): ConversionFault | null {
  return foreignContentFault(request) ?? hostedToolFault(request, dropped);
}

/** Unknown parts beside others are dropped. Where there is nothing else, the model would be asked nothing. */
function foreignContentFault({ turns }: ModelRequest): ConversionFault | null {
  let name: string | null = null;
  for (const { role, parts } of turns) {
    if (role === 'system') continue;
    for (const part of parts) {
      if (part.type !== 'foreign') return null;
      name ??= part.name;
    }
  }
  return name === null ? null : cantCarry(`messages.${name}`);
}

/**
 * Tools that the provider runs itself exist in one dialect only. An offer beside other tools is dropped: the model does without. Where
 * nothing else is offered, or the choice insists on a tool that is not there, the response would be another one.
 */
function hostedToolFault(request: ModelRequest, dropped: DropList): ConversionFault | null {
  const hosted = request.tools.filter((tool) => tool.type === 'foreign');
  if (hosted.length === 0) return null;
  const names = new Set(request.tools.flatMap((tool) => (tool.type === 'foreign' ? [] : [tool.name])));
  const { toolChoice } = request;
  const insists = toolChoice?.type === 'tool' && !names.has(toolChoice.name);
  if (names.size === 0 || insists) return cantCarry(`tools.${hosted[0]!.name}`);
  for (const { name } of hosted) dropped.add(`tools.${name}`);
  return null;
}
