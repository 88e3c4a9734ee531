/** Models in ONNX format through @huggingface/transformers: chat models and summarizers. */
import { existsSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { EngineRefusal, unavailable } from '../engine.ts';
import type { Engine, EngineSpec, Generated, Prompt, Output } from '../engine.ts';
import { importPeer } from '../peers.ts';
import { textToSummarize } from '../text-to-summarize.ts';
import type { Pipeline, TransformersLibrary } from './library.ts';

/** Takes less memory than fp32 at nearly the same quality; most models of the hub have it. */
const DTYPE_DEFAULT = 'q8';

export async function loadTransformersEngine(spec: EngineSpec): Promise<Engine> {
  const library = (await importPeer('transformers', spec.directory)) as TransformersLibrary;
  const { model, isLocal } = locate(spec, library);
  const pipe = await library.pipeline(spec.task, model, {
    dtype: spec.dtype ?? DTYPE_DEFAULT,
    device: 'cpu',
    local_files_only: isLocal,
    session_options: { intraOpNumThreads: spec.threads, interOpNumThreads: 1 },
  });
  return new TransformersEngine(library, pipe, spec);
}

/** Sets where the library reads files; per thread, since a thread has one model. */
function locate(spec: EngineSpec, { env }: TransformersLibrary): { model: string; isLocal: boolean } {
  env.cacheDir = spec.cacheDir;
  env.allowRemoteModels = spec.weights === null && spec.mayDownload;
  if (spec.weights === null) {
    if (spec.hub === null) throw unavailable(`${spec.name} has no weights: set weights or hub in its models entry`);
    if (!spec.mayDownload && !existsSync(`${spec.cacheDir}/${spec.hub}`))
      throw unavailable(`${spec.name} has no weights on this machine: set weights: FOLDER or hub: ${spec.hub} in its models entry`);
    env.localModelPath = spec.cacheDir;
    return { model: spec.hub, isLocal: !spec.mayDownload };
  }
  if (!existsSync(spec.weights)) throw unavailable(`${spec.name} has no weights at the configured path`, spec.weights);
  env.localModelPath = dirname(spec.weights);
  return { model: basename(spec.weights), isLocal: true };
}

class TransformersEngine implements Engine {
  readonly #library: TransformersLibrary;
  readonly #pipe: Pipeline;
  readonly #spec: EngineSpec;

  constructor(library: TransformersLibrary, pipe: Pipeline, spec: EngineSpec) {
    this.#library = library;
    this.#pipe = pipe;
    this.#spec = spec;
  }

  async generate(prompt: Prompt, output: Output): Promise<Generated> {
    const { input, text } = this.#input(prompt);
    const inputTokens = this.#pipe.tokenizer(text).input_ids.dims.at(-1) ?? 0;
    const maxTokens = this.#outputLimit(prompt, inputTokens);
    const isSummary = this.#spec.task === 'summarization';
    const write = prompt.isBare ? (written: string) => output.emit(written) : withoutLeadingBlank(output);
    let outputTokens = 0;
    let last: unknown = null;
    const streamer = new this.#library.TextStreamer(this.#pipe.tokenizer, {
      // A summarizer's output does not contain its input; its first token is a start marker only.
      skip_prompt: true,
      skip_special_tokens: true,
      callback_function: (written: string) => write(written),
      token_callback_function: (tokens: readonly unknown[]) => {
        outputTokens += tokens.length;
        last = tokens.at(-1);
      },
    });
    if (prompt.seed !== null) this.#library.random.seed(prompt.seed);
    await this.#pipe(input, {
      max_new_tokens: maxTokens,
      ...(isSummary ? {} : { return_full_text: false }),
      ...samplingOf(prompt),
      streamer,
      stopping_criteria: [createStop(this.#library, output)],
    });
    return { finishReason: this.#isEnd(last) || outputTokens < maxTokens ? 'stop' : 'length', inputTokens, outputTokens };
  }

  close(): Promise<void> {
    return this.#pipe.dispose();
  }

  /** The input of the pipeline, and the text it becomes. */
  #input({ messages, isBare }: Prompt): { input: string | readonly object[]; text: string } {
    if (this.#spec.task === 'summarization') {
      const text = textToSummarize(messages);
      if (text === '') throw new EngineRefusal(400, 'unsupported_value', 'there is no text to summarize', 'messages');
      return { input: text, text };
    }
    const { tokenizer } = this.#pipe;
    const hasTemplate = tokenizer.chat_template !== null && tokenizer.chat_template !== undefined;
    if (isBare || !hasTemplate) {
      const text = messages.map(({ content }) => content).join('\n\n');
      return { input: text, text };
    }
    const text = tokenizer.apply_chat_template(messages, { tokenize: false, add_generation_prompt: true });
    return { input: messages, text };
  }

  /** The output limit in tokens; throws if the prompt fills the context. */
  #outputLimit({ maxTokens }: Prompt, inputTokens: number): number {
    const wanted = maxTokens ?? this.#spec.maxTokens;
    const context = this.#spec.contextSize ?? this.#pipe.model.config.max_position_embeddings ?? Infinity;
    // A summarizer truncates its input, and the output has a separate context.
    if (this.#spec.task === 'summarization') return Math.min(wanted, context - 1);
    const room = context - inputTokens;
    if (room > 0) return Math.min(wanted, room);
    const message = `the prompt has ${inputTokens} tokens; the maximum context of this model is ${context}`;
    throw new EngineRefusal(400, 'context_length_exceeded', message, 'messages');
  }

  #isEnd(token: unknown): boolean {
    const ends = this.#pipe.model.generation_config?.eos_token_id ?? [];
    return token !== null && [ends].flat().some((end) => Number(token) === end);
  }
}

/** Most models emit a space before every word, including the first. */
function withoutLeadingBlank(output: Output): (text: string) => void {
  let hasBegun = false;
  return (text) => {
    const written = hasBegun ? text : text.trimStart();
    hasBegun ||= written !== '';
    output.emit(written);
  };
}

function samplingOf({ temperature, topP }: Prompt): object {
  if (temperature === null && topP === null) return {};
  if (temperature === 0) return { do_sample: false };
  return { do_sample: true, ...(temperature !== null && { temperature }), ...(topP !== null && { top_p: topP }) };
}

function createStop(library: TransformersLibrary, output: Output): object {
  class Stop extends library.StoppingCriteria {
    override _call(ids: readonly unknown[]): boolean[] {
      return ids.map(() => output.isStopped());
    }
  }
  return new Stop();
}
