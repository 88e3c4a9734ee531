/** Chat models in GGUF format through node-llama-cpp. */
import { existsSync } from 'node:fs';
import { EngineRefusal, unavailable } from '../engine.ts';
import type { Engine, EngineSpec, Generated, Prompt, Output } from '../engine.ts';
import { importPeer } from '../peers.ts';
import type {
  GenerateOptions,
  HistoryItem,
  Llama,
  LlamaChat,
  LlamaCompletion,
  LlamaContext,
  LlamaLibrary,
  LlamaModel,
  Sequence,
} from './library.ts';

/** Context takes memory per token, and few calls need a model's maximum. */
const CONTEXT_MAX = 4_096;

export async function loadLlamaEngine(spec: EngineSpec): Promise<Engine> {
  const library = (await importPeer('llama', spec.directory)) as LlamaLibrary;
  const modelPath = await findWeights(spec, library);
  // Nothing is built or downloaded: the package's own binary runs, or the target fails.
  const llama = await library.getLlama({
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    logLevel: 'error',
    logger: () => {},
    maxThreads: spec.threads,
  });
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({
    contextSize: spec.contextSize ?? Math.min(CONTEXT_MAX, model.trainContextSize),
    threads: spec.threads,
    sequences: 1,
  });
  return new LlamaEngine(library, spec, { llama, model, context });
}

function findWeights({ name, weights, hub, mayDownload, cacheDir }: EngineSpec, library: LlamaLibrary): Promise<string> {
  if (weights !== null) {
    if (existsSync(weights)) return Promise.resolve(weights);
    throw unavailable(`${name} has no weights at the configured path`, weights);
  }
  if (hub === null) throw unavailable(`${name} has no weights: set weights or hub in its models entry`);
  return library.resolveModelFile(`hf:${hub}`, { directory: cacheDir, download: mayDownload ? 'auto' : false, cli: false });
}

interface Loaded {
  readonly llama: Llama;
  readonly model: LlamaModel;
  readonly context: LlamaContext;
}

class LlamaEngine implements Engine {
  readonly #spec: EngineSpec;
  readonly #loaded: Loaded;
  readonly #sequence: Sequence;
  readonly #chat: LlamaChat;
  readonly #completion: LlamaCompletion;

  constructor(library: LlamaLibrary, spec: EngineSpec, loaded: Loaded) {
    this.#spec = spec;
    this.#loaded = loaded;
    this.#sequence = loaded.context.getSequence();
    this.#chat = new library.LlamaChat({ contextSequence: this.#sequence });
    this.#completion = new library.LlamaCompletion({ contextSequence: this.#sequence });
  }

  async generate(prompt: Prompt, output: Output): Promise<Generated> {
    const history = toHistory(prompt);
    const bare = prompt.isBare ? prompt.messages.map(({ content }) => content).join('\n\n') : null;
    const inputTokens = this.#count(bare, history);
    const before = this.#sequence.tokenMeter.getState();
    const stop = new AbortController();
    const stopIfAsked = (): void => {
      if (output.isStopped()) stop.abort();
    };
    output.signal.addEventListener('abort', () => stop.abort());
    stopIfAsked();
    const options: GenerateOptions = {
      onTextChunk(text) {
        output.emit(text);
        stopIfAsked();
      },
      onToken: stopIfAsked,
      signal: stop.signal,
      stopOnAbortSignal: true,
      maxTokens: this.#outputLimit(prompt, inputTokens),
      ...(prompt.temperature !== null && { temperature: prompt.temperature }),
      ...(prompt.topP !== null && { topP: prompt.topP }),
      ...(prompt.seed !== null && { seed: prompt.seed }),
    };
    const { metadata } =
      bare === null
        ? await this.#chat.generateResponse(history, options)
        : await this.#completion.generateCompletionWithMeta(bare, options);
    const outputTokens = this.#sequence.tokenMeter.diff(before).usedOutputTokens;
    return { finishReason: metadata.stopReason === 'maxTokens' ? 'length' : 'stop', inputTokens, outputTokens };
  }

  async close(): Promise<void> {
    const { context, model, llama } = this.#loaded;
    await context.dispose();
    await model.dispose();
    await llama.dispose();
  }

  #count(bare: string | null, chatHistory: readonly HistoryItem[]): number {
    const { model } = this.#loaded;
    if (bare !== null) return model.tokenize(bare).length;
    return this.#chat.chatWrapper.generateContextState({ chatHistory }).contextText.tokenize(model.tokenizer).length;
  }

  /** The output limit in tokens; throws if the prompt fills the context. */
  #outputLimit({ maxTokens }: Prompt, inputTokens: number): number {
    const { contextSize } = this.#loaded.context;
    const room = contextSize - inputTokens - 1;
    if (room > 0) return Math.min(maxTokens ?? this.#spec.maxTokens, room);
    const message = `the prompt has ${inputTokens} tokens; the maximum context of this model is ${contextSize}`;
    throw new EngineRefusal(400, 'context_length_exceeded', message, 'messages');
  }
}

/** The last item is the response to generate. */
function toHistory({ messages }: Prompt): HistoryItem[] {
  const items = messages.map(({ role, content }): HistoryItem => {
    if (role === 'assistant') return { type: 'model', response: [content] };
    return { type: role === 'system' ? 'system' : 'user', text: content };
  });
  if (items.at(-1)?.type !== 'model') items.push({ type: 'model', response: [] });
  return items;
}
