import type { AnswerChoice } from '../core/quality.ts';
import type { ModelResponse, ResponseChoice, ResponsePart } from './model.ts';

/** The choices of a response, for quality checks. */
export function choicesOf({ choices }: ModelResponse): AnswerChoice[] {
  return choices.map(choiceOf);
}

function choiceOf({ parts, finish }: ResponseChoice): AnswerChoice {
  return {
    text: textOf(parts, 'text'),
    refusal: textOf(parts, 'refusal'),
    reasoning: textOf(parts, 'reasoning'),
    callArguments: textOf(parts, 'tool_call'),
    callsTool: parts.some(({ head }) => head.type === 'tool_call'),
    hasMedia: parts.some(({ head }) => head.type === 'media' || head.type === 'foreign'),
    finishReason: finish === null ? null : finish.reason,
  };
}

function textOf(parts: readonly ResponsePart[], type: ResponsePart['head']['type']): string {
  return parts
    .filter(({ head }) => head.type === type)
    .map(({ text }) => text)
    .join('');
}
