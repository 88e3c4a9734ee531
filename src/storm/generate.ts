/** From a request understood to the program of its answer: content, wire shape, pace, and what a fault makes of each. */
import { toPlainAnswer, toStreamAnswer } from './answer.ts';
import type { Answer } from './answer.ts';
import { createSeededRandom, hashNumbers, sample } from './chance.ts';
import { countTokens, speak } from './content.ts';
import type { Choice } from './content.ts';
import type { AnswerFacts, Ask } from './dialect.ts';
import type { Scene } from './fault-behaviour.ts';
import { FAULT_KINDS } from './fault-kinds.ts';
import type { Strike } from './faults.ts';
import type { StormOptions } from './options.ts';

const LENGTH_DEFAULT = { min: 20, max: 60 };

/** The answer, and the tokens that it holds. */
export function generate(ask: Ask, scene: Scene, strikes: readonly Strike[], options: StormOptions): { answer: Answer; tokens: number } {
  const { timing = {}, seed = 1, name = 'storm' } = options;
  const choices = toChoices(ask, strikes, options);
  const tokens = countTokens(choices);
  const facts: AnswerFacts = {
    call: scene.call,
    created: Math.floor(scene.epochMs / 1000),
    name,
    seed,
    usage: { input: ask.inputTokens, output: tokens },
  };
  const form = strikes.map(({ kind }) => FAULT_KINDS[kind].form).findLast((wanted) => wanted !== undefined);
  const streamed = form === undefined ? ask.stream : form === 'stream';
  const random = createSeededRandom(hashNumbers(seed, scene.call));
  const answer =
    streamed && ask.events !== undefined
      ? toStreamAnswer(ask.events(choices, facts), timing, random)
      : toPlainAnswer(ask.plain(choices, facts), timing, tokens, random);
  const struck = strikes.reduce((made, fault) => FAULT_KINDS[fault.kind].answer?.(made, fault, scene) ?? made, answer);
  return { answer: struck, tokens };
}

function toChoices(ask: Ask, strikes: readonly Strike[], { timing, seed = 1 }: StormOptions): Choice[] {
  if (ask.prompt === undefined) return [];
  const length = timing?.tokens ?? LENGTH_DEFAULT;
  const choices = speak(ask.prompt, ask.model, seed, (random) => sample(length, random), ask.outputBound);
  return strikes.reduce((said, fault) => {
    const behaviour = FAULT_KINDS[fault.kind];
    return behaviour.content === undefined ? said : said.map((choice) => behaviour.content?.(choice, fault) ?? choice);
  }, choices);
}
