/** Formats candidates, complete and in chunks. */
import { argumentsOf, callsOf } from '../content.ts';
import type { Choice, Finish, ToolCall } from '../content.ts';
import type { ResponseFacts, ResponseBody, StreamEvent, Usage } from '../dialect.ts';
import type { SealOwner, Seals } from '../seals.ts';
import { partialCall } from './partial-arguments.ts';

const FINISH: Readonly<Record<Finish, string | undefined>> = {
  stop: 'STOP',
  length: 'MAX_TOKENS',
  tool: 'STOP',
  filter: 'SAFETY',
  none: undefined,
};

export interface CandidateParts {
  readonly seals: Seals;
  readonly owner: SealOwner;
  /** The model thinks: calls and the end of the text carry a signature, calls an id. */
  readonly signs: boolean;
  /** `includeThoughts`: the response contains a summary of the reasoning. */
  readonly showsThoughts: boolean;
  /** `streamFunctionCallArguments`: a stream sends a call's arguments one by one. */
  readonly streamsArguments: boolean;
}

type Part = Readonly<Record<string, unknown>>;

/** The complete response. */
export function contentBody(parts: CandidateParts, choices: readonly Choice[], facts: ResponseFacts): ResponseBody {
  const blocked = choices.find((choice) => choice.blocked !== undefined)?.blocked;
  const candidates = choices.filter(({ kind }) => kind !== 'absent').map((choice, index) => candidate(parts, choice, index, facts));
  const body = {
    ...(blocked === undefined ? { candidates } : { promptFeedback: { blockReason: blocked } }),
    ...envelope(parts, facts.usage, facts),
  };
  return { contentType: 'application/json; charset=UTF-8', body: `${JSON.stringify(body, null, 2)}\n` };
}

/** The response in chunks: one per token, one per complete function call, and a last one with the finish reason. */
export function streamContent(parts: CandidateParts, choices: readonly Choice[], facts: ResponseFacts): StreamEvent[] {
  const events: StreamEvent[] = [];
  const add = (part: StreamEvent['part'], fields: Part, usage: Usage) =>
    events.push({ part, data: JSON.stringify({ ...fields, ...envelope(parts, usage, facts) }) });
  const soFar: Usage = { input: facts.usage.input, output: 0, reasoning: 0 };
  for (const [index, choice] of choices.entries()) {
    if (choice.blocked !== undefined) {
      add('finish', { promptFeedback: { blockReason: choice.blocked } }, soFar);
      continue;
    }
    const chunk = (part: Part) => ({ candidates: [{ content: { parts: [part], role: 'model' }, index }] });
    for (const text of parts.showsThoughts ? (choice.reasoning ?? []) : []) add('content', chunk({ text, thought: true }), soFar);
    for (const part of contentParts(parts, choice, index, facts)) add('content', chunk(part), soFar);
    const end = lastCandidate(parts, choice, index, facts);
    if (end !== undefined) add('finish', { candidates: [end] }, index === choices.length - 1 ? facts.usage : soFar);
  }
  return events;
}

function candidate(parts: CandidateParts, choice: Choice, index: number, facts: ResponseFacts): Part {
  const reasoning = parts.showsThoughts && choice.reasoning !== undefined ? [{ text: choice.reasoning.join(''), thought: true }] : [];
  const own = wholeParts(parts, choice, index, facts);
  const all = [...reasoning, ...own];
  return { ...(all.length === 0 ? {} : { content: { parts: all, role: 'model' } }), ...endOf(choice), index };
}

function wholeParts(parts: CandidateParts, choice: Choice, index: number, facts: ResponseFacts): readonly Part[] {
  if (choice.kind === 'tool') return functionCalls(parts, choice, index, facts);
  if (choice.kind === 'null' || choice.kind === 'absent' || (choice.deltas.length === 0 && choice.finish === 'length')) return [];
  return [{ text: choice.deltas.join(''), ...signature(parts, index, facts) }];
}

function contentParts(parts: CandidateParts, choice: Choice, index: number, facts: ResponseFacts): readonly Part[] {
  if (choice.kind === 'tool') {
    const calls = functionCalls(parts, choice, index, facts);
    return parts.streamsArguments ? calls.flatMap(inParts) : calls;
  }
  return choice.deltas.map((text) => ({ text }));
}

/** The candidate of the last chunk; undefined if the stream ends without a finish reason. */
function lastCandidate(parts: CandidateParts, choice: Choice, index: number, facts: ResponseFacts): Part | undefined {
  const end = endOf(choice);
  if (choice.kind === 'absent' || end['finishReason'] === undefined) return undefined;
  if (choice.kind === 'null') return { ...end, index };
  const sign = choice.kind === 'tool' ? {} : signature(parts, index, facts);
  return { content: { parts: [{ text: '', ...sign }], role: 'model' }, ...end, index };
}

function endOf(choice: Choice): Part {
  const reason = choice.reason ?? FINISH[choice.finish];
  if (reason === undefined) return {};
  return {
    finishReason: reason,
    ...(choice.kind === 'tool' && reason === 'STOP' ? { finishMessage: 'Model generated function call(s).' } : {}),
  };
}

function inParts({ functionCall, ...signed }: Part): readonly Part[] {
  const { args, ...call } = functionCall as Part;
  return partialCall(call, args, signed);
}

/** Only the first of several calls is signed. */
function functionCalls(parts: CandidateParts, choice: Choice, index: number, facts: ResponseFacts): readonly Part[] {
  const code = parts.seals.idOf(facts.call * 16 + index);
  return callsOf(choice).map(({ tool, deltas }: ToolCall, at) => {
    const id = parts.signs ? { id: `${code.slice(0, 8)}${at === 0 ? '' : at}` } : {};
    const sign = at === 0 ? signature(parts, index, facts) : {};
    return { functionCall: { ...id, name: tool, args: argumentsOf(deltas) }, ...sign };
  });
}

function signature({ seals, owner, signs }: CandidateParts, index: number, facts: ResponseFacts): Part {
  return signs ? { thoughtSignature: seals.seal('thought', owner, '', facts.call * 16 + index) } : {};
}

function envelope({ owner, seals }: CandidateParts, usage: Usage, facts: ResponseFacts): Part {
  return { usageMetadata: usageOf(usage), modelVersion: owner.model, responseId: seals.idOf(facts.call).slice(0, 22) };
}

/** `usageMetadata`: candidates exclude reasoning. */
function usageOf({ input, output, reasoning }: Usage): Part {
  return {
    promptTokenCount: input,
    ...(output > reasoning ? { candidatesTokenCount: output - reasoning } : {}),
    totalTokenCount: input + output,
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: input }],
    ...(reasoning > 0 ? { thoughtsTokenCount: reasoning } : {}),
  };
}
