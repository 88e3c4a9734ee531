/** From a request understood to the program of its answer: content, wire shape, pace, and what a fault makes of each. */
import { toPlainAnswer, toStreamAnswer } from './answer.ts';
import type { Answer } from './answer.ts';
import { createSeededRandom, hashNumbers, sample } from './chance.ts';
import { countReasoning, countTokens, speak } from './content.ts';
import type { Choice } from './content.ts';
import type { ResponseFacts, Ask } from './dialect.ts';
import { struckBy } from './fault-behaviour.ts';
import type { Scene } from './fault-behaviour.ts';
import { FAULT_KINDS } from './fault-kinds.ts';
import type { Strike } from './faults.ts';
import { SSE } from './framings.ts';
import type { StormOptions } from './options.ts';

/** Harms after which a provider does not keep a response. */
const SPOILING = new Set(['before', 'after', 'doubt']);

const LENGTH_DEFAULT = { min: 20, max: 60 };

export interface Generated {
  answer: Answer;
  /** Tokens of the output. */
  tokens: number;
  /** To be called when the answer was sent to its end. */
  sent?: () => void;
}

/** Generates the answer as the faults that strike leave it. */
export function generate(ask: Ask, scene: Scene, strikes: readonly Strike[], options: StormOptions): Generated {
  const { timing = {}, seed = 1, name = 'storm' } = options;
  const choices = toChoices(ask, scene, strikes, options);
  const tokens = countTokens(choices);
  const facts: ResponseFacts = {
    call: scene.call,
    created: Math.floor(scene.epochMs / 1000),
    name,
    seed,
    usage: { input: ask.inputTokens, output: tokens, reasoning: countReasoning(choices) },
  };
  const form = strikes.map(({ kind }) => FAULT_KINDS[kind].form).findLast((wanted) => wanted !== undefined);
  const streamed = form === undefined ? ask.stream : form === 'stream';
  const random = createSeededRandom(hashNumbers(seed, scene.call));
  const answer =
    streamed && ask.events !== undefined
      ? toStreamAnswer(ask.events(choices, facts), ask.framing ?? SSE, timing, random)
      : toPlainAnswer(ask.plain(choices, facts), timing, tokens, random);
  const struck = strikes.reduce((made, fault) => struckBy(FAULT_KINDS[fault.kind], made, fault, scene), answer);
  const isSpoiled = strikes.some(({ kind }) => SPOILING.has(FAULT_KINDS[kind].harm));
  return ask.sent === undefined || isSpoiled
    ? { answer: struck, tokens }
    : { answer: struck, tokens, sent: () => ask.sent?.(choices, facts) };
}

function toChoices(ask: Ask, scene: Scene, strikes: readonly Strike[], { timing, seed = 1 }: StormOptions): Choice[] {
  if (ask.prompt === undefined) return [];
  const length = timing?.tokens ?? LENGTH_DEFAULT;
  const choices = speak(ask.prompt, ask.model, seed, (random) => sample(length, random), ask.outputBound);
  return strikes.reduce((said, fault) => {
    const behaviour = FAULT_KINDS[fault.kind];
    return behaviour.content === undefined ? said : said.map((choice) => behaviour.content?.(choice, fault, scene) ?? choice);
  }, choices);
}
