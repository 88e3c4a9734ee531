/** One call in the engine's thread, from its bytes to the bytes of its answer. */
import type { Engine, EngineSpec } from './engine.ts';
import { EngineRefusal, messageOf } from './engine.ts';
import { readRequest } from '../transport/local/read-prompt.ts';
import { StopTexts } from './stop-texts.ts';
import { createWriter, writeError } from '../transport/local/write-answer.ts';
import type { AnswerOut } from '../transport/local/write-answer.ts';

/** A longer body is more than any local model reads, in bytes. */
const BODY_MAX = 8 * 1024 * 1024;

export interface LocalCall {
  readonly id: string;
  readonly path: string;
  readonly body: Uint8Array;
  /** Seconds since the epoch. */
  readonly created: number;
  isStopped(): boolean;
  readonly signal: AbortSignal;
}

/** Answers in whole, or throws where the answer broke after it had begun: its stream must not look complete. */
export async function runCall(engine: Engine, spec: EngineSpec, call: LocalCall, out: AnswerOut): Promise<void> {
  let hasBegun = () => false;
  try {
    if (call.body.byteLength > BODY_MAX) {
      throw new EngineRefusal(413, 'context_length_exceeded', `a local model reads at most ${BODY_MAX} bytes`, 'messages');
    }
    const request = readRequest(call.path, call.body);
    const writer = createWriter(request, { id: call.id, model: spec.responseModel, created: call.created }, out);
    hasBegun = () => writer.hasBegun;
    const stops = new StopTexts(request.stop);
    const emit = (text: string): void => {
      if (text !== '') writer.text(text);
    };
    const generated = await engine.generate(request.prompt, {
      emit: (text) => emit(stops.push(text)),
      isStopped: () => stops.isMet || call.isStopped(),
      signal: call.signal,
    });
    if (call.isStopped()) return;
    emit(stops.end());
    writer.end(stops.isMet ? { ...generated, finishReason: 'stop' } : generated);
  } catch (error) {
    if (hasBegun()) throw error;
    if (error instanceof EngineRefusal) writeError(out, error.status, error);
    else writeError(out, 500, { code: 'engine_failed', message: `${spec.name} failed: ${messageOf(error)}` });
  }
}
