/** A local engine: the interface between the thread that serves calls and the library that generates text. */

export const ENGINES = ['transformers', 'llama', 'extract'] as const;
export type EngineName = (typeof ENGINES)[number];

export const LOCAL_TASKS = ['text-generation', 'summarization'] as const;
export type LocalTask = (typeof LOCAL_TASKS)[number];

/** One local model: everything its thread needs to load it. Data only, so that it can be sent to the thread and compared. */
export interface EngineSpec {
  /** `provider/model`. */
  readonly name: string;
  /** The model name in responses. */
  readonly responseModel: string;
  readonly engine: EngineName;
  readonly task: LocalTask;
  /** An absolute path: a folder for `transformers`, a `.gguf` file for `llama`; null if the weights come from the hub. */
  readonly weights: string | null;
  /** The model's name at the hub; null if the weights come from a path. */
  readonly hub: string | null;
  /** If false, a model of the hub is used only if it is already on this machine. */
  readonly mayDownload: boolean;
  /** Precision of the weights, in the terms of `transformers`; null for the engine's default. */
  readonly dtype: string | null;
  /** Maximum number of prompt and response tokens together; null for the model's maximum. */
  readonly contextSize: number | null;
  /** Output limit in tokens if the caller sets none. */
  readonly maxTokens: number;
  /** Processor threads used for inference. */
  readonly threads: number;
  /** Maximum size of the JavaScript heap, in bytes, without the weights. */
  readonly maxHeap: number;
  /** Absolute path of the folder for models of the hub. */
  readonly cacheDir: string;
  /** Absolute path of a folder in which the engine's package is also looked up. */
  readonly directory: string;
}

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** The input of an engine. */
export interface Prompt {
  /** A conversation; a bare prompt is one user message. */
  readonly messages: readonly ChatMessage[];
  /** A text to complete, without a chat template. */
  readonly isBare: boolean;
  /** Null if the caller sets none. */
  readonly maxTokens: number | null;
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly seed: number | null;
  /** The response ends before the first of these texts. */
  readonly stop: readonly string[];
}

/** How a response ended. */
export interface Generated {
  readonly finishReason: 'stop' | 'length';
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** Receives the text as it is generated. */
export interface Output {
  emit(text: string): void;
  /** True if the engine should stop. Checked between two tokens. */
  isStopped(): boolean;
  /** Aborts when the caller disconnects, even while no token is generated; for engines that compute in their own threads. */
  readonly signal: AbortSignal;
}

export interface Engine {
  /** Throws an EngineRefusal for a prompt it does not support. */
  generate(prompt: Prompt, output: Output): Promise<Generated>;
  close(): Promise<void>;
}

/** A refusal of an engine, as the status and error that a provider would send. */
export class EngineRefusal extends Error {
  override readonly name = 'EngineRefusal';
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  /** Shown to the operator only. */
  readonly detail: string | null;

  constructor(status: number, code: string, message: string, param: string | null = null, detail: string | null = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
    this.detail = detail;
  }
}

/** The request needs a feature that local models do not support; another target may. */
export function unsupported(message: string, param: string): EngineRefusal {
  return new EngineRefusal(400, 'unsupported_value', message, param);
}

/** The engine can't run on this machine: a permanent failure that no retry resolves. */
export function unavailable(message: string, detail: string | null = null): EngineRefusal {
  return new EngineRefusal(501, 'engine_unavailable', message, null, detail);
}

/** The first line of an error's message, without the stack. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!.slice(0, 500);
}
