/** From a request understood to the program of its answer: content, wire shape, pace, and what a fault makes of each. */
import { toPlainAnswer, toStreamAnswer } from './answer.ts';
import type { Answer } from './answer.ts';
import { createSeededRandom, hashNumbers, sample } from './chance.ts';
import { countTokens, speak } from './content.ts';
import type { Choice } from './content.ts';
import type { AnswerFacts, Ask } from './dialect.ts';
import type { FaultBehaviour, Scene } from './fault-kinds.ts';
import type { StormFault, StormOptions } from './options.ts';

const LENGTH_DEFAULT = { min: 20, max: 60 };

/** A fault that strikes, with what its kind does. */
export interface Strike {
  fault: StormFault;
  behaviour: FaultBehaviour;
}

/** The answer, and the tokens that it holds. */
export function generate(ask: Ask, scene: Scene, strike: Strike | undefined, options: StormOptions): { answer: Answer; tokens: number } {
  const { timing = {}, seed = 1, name = 'storm' } = options;
  const choices = toChoices(ask, strike, options);
  const tokens = countTokens(choices);
  const facts: AnswerFacts = {
    call: scene.call,
    created: Math.floor(scene.epochMs / 1000),
    name,
    seed,
    usage: { input: ask.inputTokens, output: tokens },
  };
  const form = strike?.behaviour.form;
  const streamed = form === undefined ? ask.stream : form === 'stream';
  const random = createSeededRandom(hashNumbers(seed, scene.call));
  const answer =
    streamed && ask.events !== undefined
      ? toStreamAnswer(ask.events(choices, facts), timing, random)
      : toPlainAnswer(ask.plain(choices, facts), timing, tokens, random);
  return { answer: strike?.behaviour.answer?.(answer, strike.fault, scene) ?? answer, tokens };
}

function toChoices(ask: Ask, strike: Strike | undefined, { timing, seed = 1 }: StormOptions): Choice[] {
  if (ask.prompt === undefined) return [];
  const length = timing?.tokens ?? LENGTH_DEFAULT;
  const choices = speak(ask.prompt, ask.model, seed, (random) => sample(length, random), ask.outputBound);
  if (strike?.behaviour.content === undefined) return choices;
  return choices.map((choice) => strike.behaviour.content?.(choice, strike.fault) ?? choice);
}
