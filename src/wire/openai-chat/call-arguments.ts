/**
 * Whether the arguments of a tool call are whole. Judged is only what is certain: arguments that begin as a JSON object and end inside it
 * were cut off. None at all, a model's slip (JSON with a fault in it), and the free text of custom tools are passed on.
 */
import { JsonPrefix } from '../../core/json-prefix.ts';
import { isRecord } from '../json-values.ts';

type Fields = Record<string, unknown>;

/** The calls of one answer beyond so many are not judged. */
const CALLS_MAX = 1_024;

/** Longer arguments of a plain answer are not judged, in characters: that would hold up other requests. */
const JUDGED_LENGTH_MAX = 256 * 1024;

/** True if a whole message holds a call whose arguments were cut off. */
export function holdsHalfCall(message: Fields): boolean {
  return callsOf(message).some((call) => {
    const text = argumentsOf(call);
    return text !== null && text.length <= JUDGED_LENGTH_MAX && isHalf(text);
  });
}

function isHalf(text: string): boolean {
  if (!beginsObject(text)) return false;
  try {
    JSON.parse(text);
    return false;
  } catch {
    return JsonPrefix.of(text)?.isComplete === false;
  }
}

interface StreamedCall {
  readonly id: unknown;
  /** Null: not to be judged. */
  json: JsonPrefix | null;
  hasBegun: boolean;
}

/** The same for a stream, whose deltas hold fragments. */
export class CallArguments {
  readonly #byPlace = new Map<string, StreamedCall>();
  /** The last call of each choice, for fragments without an index. */
  readonly #last = new Map<number, StreamedCall>();
  readonly #calls: { readonly choice: number; readonly call: StreamedCall }[] = [];

  add(choice: number, delta: Fields): void {
    for (const said of callsOf(delta)) {
      const call = this.#callOf(choice, said);
      const text = argumentsOf(said);
      if (call === null || call.json === null || text === '') continue;
      if (text === null) call.json = null;
      else read(call, text);
    }
  }

  /** True if a call of this choice has begun an object and not ended it. */
  isHalf(choice: number): boolean {
    return this.#calls.some(({ choice: of, call }) => of === choice && call.hasBegun && call.json?.isComplete === false);
  }

  #callOf(choice: number, { index, id }: Fields): StreamedCall | null {
    const place = `${choice} ${typeof index === 'number' ? index : ''}`;
    const known = typeof index === 'number' ? this.#byPlace.get(place) : this.#last.get(choice);
    const isOther = known !== undefined && typeof id === 'string' && id !== '' && known.id !== undefined && known.id !== id;
    let call = isOther ? undefined : known;
    if (call === undefined) {
      if (this.#calls.length >= CALLS_MAX) return null;
      call = { id: id === '' || id === null ? undefined : id, json: new JsonPrefix(), hasBegun: false };
      this.#calls.push({ choice, call });
    }
    if (typeof index === 'number') this.#byPlace.set(place, call);
    this.#last.set(choice, call);
    return call;
  }
}

function read(call: StreamedCall, text: string): void {
  if (!call.hasBegun) {
    if (/^\s*$/.test(text)) return;
    call.hasBegun = true;
    if (!beginsObject(text)) call.json = null;
  }
  if (call.json?.read(text) === false) call.json = null;
}

function beginsObject(text: string): boolean {
  return /^\s*\{/.test(text);
}

function callsOf(said: Fields): Fields[] {
  const calls: unknown[] = Array.isArray(said['tool_calls']) ? said['tool_calls'] : [];
  const old = said['function_call'];
  return [...calls.filter(isRecord), ...(isRecord(old) ? [{ function: old }] : [])];
}

/** '': none in this one; null: something that is no text. */
function argumentsOf(call: Fields): string | null {
  const called = call['function'];
  if (!isRecord(called)) return '';
  const text = called['arguments'] ?? '';
  return typeof text === 'string' ? text : null;
}
