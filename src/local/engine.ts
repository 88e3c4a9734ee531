/** What a local engine is: the seam between the thread that answers calls and what writes the text. */

export const ENGINES = ['transformers', 'llama', 'extract'] as const;
export type EngineName = (typeof ENGINES)[number];

export const LOCAL_TASKS = ['text-generation', 'summarization'] as const;
export type LocalTask = (typeof LOCAL_TASKS)[number];

/** One local model: everything its thread needs to load it. Plain data, so that it can be sent to the thread and compared. */
export interface EngineSpec {
  /** `provider/model`. */
  readonly name: string;
  /** The model that its answers name. */
  readonly responseModel: string;
  readonly engine: EngineName;
  readonly task: LocalTask;
  /** An absolute path: a folder for `transformers`, a `.gguf` file for `llama`; null: not from a path. */
  readonly weights: string | null;
  /** Its name at the model hub; null: not from there. */
  readonly hub: string | null;
  /** False: a model of the hub is used only where it lies on this machine already. */
  readonly mayDownload: boolean;
  /** The precision of the weights, as `transformers` names it; null: its own choice. */
  readonly dtype: string | null;
  /** Tokens of prompt and answer together; null: what the model was made for. */
  readonly contextSize: number | null;
  /** Tokens of an answer whose caller sets no bound. */
  readonly maxTokens: number;
  /** Processor threads that it computes with. */
  readonly threads: number;
  /** The most that its JavaScript may hold, in bytes; the weights are not part of it. */
  readonly maxHeap: number;
  /** Where models of the hub are kept, absolute. */
  readonly cacheDir: string;
  /** The folder from which its package is looked for, beside our own, absolute. */
  readonly directory: string;
}

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** What is to be answered, whatever the protocol. */
export interface Prompt {
  /** A conversation; for a bare prompt one message of the user. */
  readonly messages: readonly ChatMessage[];
  /** A bare text to go on with, without the form of a conversation. */
  readonly isBare: boolean;
  /** Null: the caller sets none. */
  readonly maxTokens: number | null;
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly seed: number | null;
}

/** How an answer ended. */
export interface Generated {
  readonly finishReason: 'stop' | 'length';
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** Takes the text as it is written. */
export interface Writing {
  emit(text: string): void;
  /** True: nobody wants any more of it. Asked between two tokens. */
  isStopped(): boolean;
  /** The same for the caller who left, told while nothing is written: heard by an engine that computes elsewhere. */
  readonly signal: AbortSignal;
}

export interface Engine {
  /** Throws an EngineRefusal where it can't answer this. */
  generate(prompt: Prompt, writing: Writing): Promise<Generated>;
  close(): Promise<void>;
}

/** Why an engine can't answer, as the status and error that a provider would send. */
export class EngineRefusal extends Error {
  override readonly name = 'EngineRefusal';
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  /** For the operator only. */
  readonly detail: string | null;

  constructor(status: number, code: string, message: string, param: string | null = null, detail: string | null = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
    this.detail = detail;
  }
}

/** The request asks for what no local model does: another target may. */
export function unsupported(message: string, param: string): EngineRefusal {
  return new EngineRefusal(400, 'unsupported_value', message, param);
}

/** It can't run on this machine as things stand: nothing that a breaker or a wait would mend. */
export function unavailable(message: string, detail: string | null = null): EngineRefusal {
  return new EngineRefusal(501, 'engine_unavailable', message, null, detail);
}

/** In one line, without the stack. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!.slice(0, 500);
}
