/** The arguments of the tool calls in a response. */
import { isRecord } from '../../core/json.ts';
import { ArgumentsPrefix, isCutArguments } from '../cut-arguments.ts';

type Fields = Record<string, unknown>;

/** Calls checked in one response. */
const CALLS_MAX = 1_024;

/** True if a complete message holds a call whose arguments were cut off. */
export function holdsCutCall(message: Fields): boolean {
  return callsOf(message).some((call) => {
    const text = argumentsOf(call);
    return text !== null && isCutArguments(text);
  });
}

interface StreamedCall {
  readonly id: unknown;
  readonly json: ArgumentsPrefix;
}

/** The same for a stream, whose deltas hold fragments of arguments. */
export class CallArguments {
  readonly #byPlace = new Map<string, StreamedCall>();
  /** The last call of each choice, for fragments without an index. */
  readonly #last = new Map<number, StreamedCall>();
  readonly #calls: { readonly choice: number; readonly call: StreamedCall }[] = [];

  add(choice: number, delta: Fields): void {
    for (const fields of callsOf(delta)) {
      const call = this.#callOf(choice, fields);
      const text = argumentsOf(fields);
      if (call === null) continue;
      if (text === null) call.json.ignore();
      else call.json.read(text);
    }
  }

  /** True if a call of this choice has begun an object and not completed it. */
  isCut(choice: number): boolean {
    return this.#calls.some(({ choice: of, call }) => of === choice && call.json.isCut);
  }

  #callOf(choice: number, { index, id }: Fields): StreamedCall | null {
    const place = `${choice} ${typeof index === 'number' ? index : ''}`;
    const known = typeof index === 'number' ? this.#byPlace.get(place) : this.#last.get(choice);
    const isOther = known !== undefined && typeof id === 'string' && id !== '' && known.id !== undefined && known.id !== id;
    let call = isOther ? undefined : known;
    if (call === undefined) {
      if (this.#calls.length >= CALLS_MAX) return null;
      call = { id: id === '' || id === null ? undefined : id, json: new ArgumentsPrefix() };
      this.#calls.push({ choice, call });
    }
    if (typeof index === 'number') this.#byPlace.set(place, call);
    this.#last.set(choice, call);
    return call;
  }
}

function callsOf(fields: Fields): Fields[] {
  const calls: unknown[] = Array.isArray(fields['tool_calls']) ? fields['tool_calls'] : [];
  const old = fields['function_call'];
  return [...calls.filter(isRecord), ...(isRecord(old) ? [{ function: old }] : [])];
}

/** Empty: none in this delta; null: not a string. */
function argumentsOf(call: Fields): string | null {
  const called = call['function'];
  if (!isRecord(called)) return '';
  const text = called['arguments'] ?? '';
  return typeof text === 'string' ? text : null;
}
