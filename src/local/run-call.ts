/** Runs one call in the engine's thread: request bytes in, response bytes out. */
import { EngineRefusal, messageOf } from './engine.ts';
import type { Engine, EngineSpec } from './engine.ts';
import { generate } from './generate.ts';
import type { Stopping } from './generate.ts';
import { promptOf } from './prompt.ts';
import { readCall } from './read-call.ts';
import { createResponseWriter, writeError } from './response-writer.ts';
import type { ResponseOut, ResponseWriter } from './response-writer.ts';

/** Maximum request size in bytes. */
const BODY_MAX = 8 * 1024 * 1024;

export interface EngineCall extends Stopping {
  readonly id: string;
  readonly path: string;
  readonly body: Uint8Array;
  /** Seconds since the epoch. */
  readonly created: number;
}

/** Writes a response or an error response. Throws if a stream fails after it has started, so that it does not look complete. */
export async function runCall(engine: Engine, spec: EngineSpec, call: EngineCall, out: ResponseOut): Promise<void> {
  let writer: ResponseWriter | null = null;
  try {
    if (call.body.byteLength > BODY_MAX) {
      throw new EngineRefusal(413, 'context_length_exceeded', `local models accept at most ${BODY_MAX} bytes`, 'messages');
    }
    const { form, request, toolsField } = readCall(call.path, call.body);
    const prompt = promptOf(request, { isBare: form === 'completions', toolsField });
    const { stream, includeUsage, tools } = request;
    const names = { id: call.id, model: spec.responseModel, createdAt: call.created };
    const options = { ...names, includeUsage, tools, echo: {}, usageDetails: false };
    const response = (writer = createResponseWriter(form, stream, options, out));
    await generate(engine, prompt, call, (event) => response.write(event));
  } catch (error) {
    if (writer?.hasBegun === true) throw error;
    if (error instanceof EngineRefusal) writeError(out, error.status, error);
    else writeError(out, 500, { code: 'engine_failed', message: `${spec.name} failed: ${messageOf(error)}` });
  }
}
