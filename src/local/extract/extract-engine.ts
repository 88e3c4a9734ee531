/** The engine without weights: an extractive summary of the text's own sentences. */
import type { Engine, Generated, Prompt, Output } from '../engine.ts';
import { EngineRefusal } from '../engine.ts';
import { textToSummarize } from '../text-to-summarize.ts';
import { extractSummary } from './extract-summary.ts';

/** The estimate used everywhere in the gateway: this engine has no tokenizer. */
const BYTES_PER_TOKEN = 4;

export function createExtractEngine(): Engine {
  return {
    generate: (prompt, output) => Promise.resolve(summarize(prompt, output)),
    close: () => Promise.resolve(),
  };
}

function summarize(prompt: Prompt, output: Output): Generated {
  const text = textToSummarize(prompt.messages);
  if (text === '') throw new EngineRefusal(400, 'unsupported_value', 'there is no text to summarize', 'messages');
  const { sentences, isCut } = extractSummary(text, prompt.maxTokens === null ? Infinity : prompt.maxTokens * BYTES_PER_TOKEN);
  for (const sentence of sentences) {
    if (output.isStopped()) break;
    output.emit(sentence);
  }
  return {
    finishReason: isCut ? 'length' : 'stop',
    inputTokens: tokensOf(prompt.messages.map((message) => message.content).join('\n')),
    outputTokens: tokensOf(sentences.join('')),
  };
}

function tokensOf(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN);
}
