/** Generates the response script of a parsed request: content, wire format, timing, and the effect of faults on each. */
import { toNonStreamingScript, toStreamScript } from './response-script.ts';
import type { ResponseScript } from './response-script.ts';
import { createSeededRandom, hashNumbers, sample } from './random.ts';
import { countReasoning, countTokens, generateChoices } from './content.ts';
import type { Choice } from './content.ts';
import type { ResponseFacts, ParsedRequest } from './dialect.ts';
import { applyFault } from './fault-behaviour.ts';
import type { FaultContext } from './fault-behaviour.ts';
import { FAULT_KINDS } from './fault-kinds.ts';
import type { SingleFault } from './faults.ts';
import { SSE } from './framings.ts';
import type { StormOptions } from './options.ts';

/** Harms after which a provider does not store the response. */
const SPOILING = new Set(['before', 'after', 'ambiguous']);

const LENGTH_DEFAULT = { min: 20, max: 60 };

export interface Generated {
  script: ResponseScript;
  /** Tokens of the output. */
  tokens: number;
  /** Called after the response has been sent in full. */
  sent?: () => void;
}

/** Generates the response with the given faults applied. */
export function generate(request: ParsedRequest, context: FaultContext, faults: readonly SingleFault[], options: StormOptions): Generated {
  const { timing = {}, seed = 1, name = 'storm' } = options;
  const choices = toChoices(request, context, faults, options);
  const tokens = countTokens(choices);
  const facts: ResponseFacts = {
    call: context.call,
    created: Math.floor(context.epochMs / 1000),
    name,
    seed,
    usage: { input: request.inputTokens, output: tokens, reasoning: countReasoning(choices) },
  };
  const form = faults.map(({ kind }) => FAULT_KINDS[kind].form).findLast((wanted) => wanted !== undefined);
  const streamed = form === undefined ? request.stream : form === 'stream';
  const random = createSeededRandom(hashNumbers(seed, context.call));
  const script =
    streamed && request.events !== undefined
      ? toStreamScript(request.events(choices, facts), request.framing ?? SSE, timing, random)
      : toNonStreamingScript(request.body(choices, facts), timing, tokens, random);
  const edited = faults.reduce((made, fault) => applyFault(FAULT_KINDS[fault.kind], made, fault, context), script);
  const isSpoiled = faults.some(({ kind }) => SPOILING.has(FAULT_KINDS[kind].harm));
  return request.sent === undefined || isSpoiled
    ? { script: edited, tokens }
    : { script: edited, tokens, sent: () => request.sent?.(choices, facts) };
}

function toChoices(
  request: ParsedRequest,
  context: FaultContext,
  faults: readonly SingleFault[],
  { timing, seed = 1 }: StormOptions,
): Choice[] {
  if (request.prompt === undefined) return [];
  const length = timing?.tokens ?? LENGTH_DEFAULT;
  const choices = generateChoices(request.prompt, request.model, seed, (random) => sample(length, random), request.outputLimit);
  return faults.reduce((current, fault) => {
    const behaviour = FAULT_KINDS[fault.kind];
    return behaviour.content === undefined ? current : current.map((choice) => behaviour.content?.(choice, fault, context) ?? choice);
  }, choices);
}
