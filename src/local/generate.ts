/** Runs an engine for one request: a prompt in, model events out. */
import type { ModelEvent } from '../wire/model.ts';
import type { Engine, Prompt } from './engine.ts';
import { StopTexts } from './stop-texts.ts';

/** When to stop before the response is complete. */
export interface Stopping {
  isStopped(): boolean;
  readonly signal: AbortSignal;
}

/**
 * Emits the events of one response: of one choice with one text part. The first event comes with the first text, or at the end where
 * there is none, so that an engine that fails before it has emitted nothing. A stopped response has no `finish` and no `end`.
 */
export async function generate(engine: Engine, prompt: Prompt, stopping: Stopping, emit: (event: ModelEvent) => void): Promise<void> {
  const stops = new StopTexts(prompt.stop);
  let hasBegun = false;
  const begin = (): void => {
    if (hasBegun) return;
    hasBegun = true;
    emit({ type: 'start', id: null, model: null });
    emit({ type: 'part_start', choice: 0, part: 0, head: { type: 'text' } });
  };
  const emitText = (text: string): void => {
    if (text === '') return;
    begin();
    emit({ type: 'delta', choice: 0, part: 0, text });
  };
  const { finishReason, inputTokens, outputTokens } = await engine.generate(prompt, {
    emit: (text) => emitText(stops.push(text)),
    isStopped: () => stops.isMet || stopping.isStopped(),
    signal: stopping.signal,
  });
  if (stopping.isStopped()) return;
  emitText(stops.end());
  begin();
  const reason = stops.isMet ? 'stop' : finishReason;
  emit({ type: 'part_end', choice: 0, part: 0, opaque: null });
  emit({ type: 'finish', choice: 0, reason, raw: reason, stopSequence: null });
  emit({ type: 'usage', usage: { inputTokens, cachedInputTokens: 0, outputTokens } });
  emit({ type: 'end' });
}
